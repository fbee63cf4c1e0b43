"""What mmdeploy's exporter lacks for today's torch, as rewriters in mmdeploy's own registry.

They work inside mmdeploy's rewriter context alone: importing this module changes nothing in torch or mmseg.
"""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import torch
from mmdeploy.core import FUNCTION_REWRITER
from mmdeploy.utils import IR, get_codebase_config, get_root_logger, is_dynamic_shape
from torch import Tensor, nn

from ...errors import UnsupportedOperatorError
from ...runtime.preprocess import Preprocess
from ..deploy_model import DeployModel
from ..graph import finish_graph
from ..options import OPSETS

__all__ = ['base_segmentor__forward', 'deploy_model_of', 'explain_unsupported', 'export__tracer']


def deploy_model_of(segmentor: nn.Module, deploy_cfg: Any) -> DeployModel:
    """Build the function that a deploy config asks for.

    Args:
        segmentor: Model to deploy.
        deploy_cfg: mmdeploy's deploy config; ``codebase_config`` may hold ``with_argmax``, ``stride8_logits`` and
            ``self_contained=dict(channel_order=..., network_size=..., pipeline=...)``.
    """
    cfg = get_codebase_config(deploy_cfg)
    contained = cfg.get('self_contained') or {}
    output = 'logits_s8' if cfg.get('stride8_logits') else 'mask' if cfg.get('with_argmax', True) else 'logits'
    size, pipeline = contained.get('network_size'), contained.get('pipeline')
    return DeployModel(segmentor, output, channel_order=contained.get('channel_order', 'bgr') if contained else None,
                       network_size=tuple(size) if size else None, static=not is_dynamic_shape(deploy_cfg),
                       pipeline=Preprocess(**pipeline) if pipeline else None)


def explain_unsupported(error: Exception, model: nn.Module, args: Any) -> UnsupportedOperatorError:
    """Turn the exporter's error into a sentence that names operator, node and module.

    Args:
        error: What the exporter raised.
        model: Model that was traced.
        args: Its inputs.
    """
    found = re.search(r'aten::(\w+)|prim::(\w+)', str(error))
    kind = found.group(0) if found else 'an operator'
    node_name, place = '', 'a module that the trace does not name'
    graph = torch.jit.trace(model, args, check_trace=False, strict=False).inlined_graph
    node = next((node for node in graph.nodes() if node.kind() == kind), None)
    if node is not None:
        place = node.scopeName().rsplit('/', 1)[-1].replace('__module.', '') or 'the segmentor itself'
        node_name = f' (node %{next(iter(node.outputs())).debugName()})'
    return UnsupportedOperatorError(f'{kind}{node_name} in module {place} has no ONNX counterpart: {error}')


@FUNCTION_REWRITER.register_rewriter('torch.onnx.export', ir=IR.ONNX)
def export__tracer(model: nn.Module, args: Any, f: str, **kwargs: Any) -> None:
    """Call torch's exporter on its tracing path, which mmdeploy's rewriters work on, and finish the graph.

    From torch 2.9 on the default path is another one, on which mmdeploy's export fails.

    Args:
        model: Model that mmdeploy patched.
        args: Its inputs.
        f: File to write.
        **kwargs: Everything else goes to ``torch.onnx.export``.

    Raises:
        UnsupportedOperatorError: If an operator has no ONNX counterpart.
    """
    ctx = FUNCTION_REWRITER.get_context()
    if 'dynamo' in inspect.signature(ctx.origin_func).parameters:
        kwargs['dynamo'] = False
    least, opset = OPSETS['trace'].start, OPSETS['trace'].stop - 1
    if kwargs.get('opset_version', opset) < least:
        get_root_logger().warning(f'opset {kwargs["opset_version"]} is raised to {opset}: these networks need {least}')
        kwargs['opset_version'] = opset
    if get_codebase_config(ctx.cfg).get('self_contained'):
        inputs = args[0] if isinstance(args, (tuple, list)) else args
        model = deploy_model_of(model, ctx.cfg).eval()
        args = torch.zeros(len(inputs), *inputs.shape[2:], 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            ctx.origin_func(model, args, f, **kwargs)
        except torch.onnx.errors.OnnxExporterError as error:
            raise explain_unsupported(error, model, args) from error
        except RuntimeError as error:
            if 'stride should not be zero' not in str(error):
                raise
            raise UnsupportedOperatorError('a pooling to a given number of places does not fit the traced size; with '
                                           '--shape and --exporter program it does') from error
    finish_graph(f)


@FUNCTION_REWRITER.register_rewriter('mmseg.models.segmentors.BaseSegmentor.forward', ir=IR.ONNX)
def base_segmentor__forward(self: nn.Module, inputs: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Return what the deploy config asks for: classes, or scores at the head's stride or at the input's size.

    mmdeploy's own makes classes of every network with one output channel.

    Args:
        self: The segmentor.
        inputs: Normalised images.
        *args: Unused: sizes come from ``inputs``, so that they stay dynamic.
        **kwargs: Unused; required by mmdeploy's interface.

    Shape:
        - inputs: ``(N, 3, H, W)``.
        - Output: ``(N, 1, H, W)``, ``(N, K, H, W)``, or ``(N, K, h, w)`` with ``stride8_logits``.
    """
    model = deploy_model_of(self, FUNCTION_REWRITER.get_context().cfg)
    model.channel_order = None
    return model(inputs)
