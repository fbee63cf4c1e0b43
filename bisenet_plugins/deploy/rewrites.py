"""What mmdeploy's exporter lacks for today's torch, as rewriters in mmdeploy's own registry.

They work inside mmdeploy's rewriter context alone: importing this file changes nothing in torch or mmseg.
"""

from __future__ import annotations

import inspect
import re
import warnings
from typing import Any

import torch
from mmdeploy.core import FUNCTION_REWRITER
from mmdeploy.utils import IR, get_codebase_config, is_dynamic_shape
from torch import Tensor, nn

from ..errors import UnsupportedOperatorError
from .forms import DeployForm
from .graph import finish_graph

__all__ = ['encoder_decoder__predict', 'export__tracer', 'explain_unsupported', 'form_of']


def form_of(segmentor: nn.Module, deploy_cfg: dict) -> DeployForm:
    """Build the function that a deploy config asks for.

    Args:
        segmentor: Model to deploy.
        deploy_cfg: mmdeploy's deploy config; ``codebase_config`` may hold ``with_argmax``, ``stride8_logits`` and
            ``self_contained=dict(channel_order=..., network_size=...)``.
    """
    codebase = get_codebase_config(deploy_cfg)
    output = 'mask' if codebase.get('with_argmax', True) else 'logits'
    if codebase.get('stride8_logits', False):
        output = 'logits_s8'
    contained = codebase.get('self_contained') or {}
    size = contained.get('network_size')
    return DeployForm(segmentor, output, channel_order=contained.get('channel_order', 'bgr') if contained else None,
                      network_size=tuple(size) if size else None, static=not is_dynamic_shape(deploy_cfg))


def explain_unsupported(error: Exception, model: nn.Module, args: Any) -> UnsupportedOperatorError:
    """Turn the exporter's complaint into a sentence that names operator, node and module.

    Args:
        error: What the exporter raised.
        model: Model that was traced.
        args: Its inputs.
    """
    found = re.search(r"aten::(\w+)|prim::(\w+)", str(error))
    kind = found.group(0) if found else 'an operator'
    node_name, place = '', 'a module that the trace does not name'
    graph = torch.jit.trace(model, args, check_trace=False, strict=False).inlined_graph
    for node in graph.nodes():
        if node.kind() == kind:
            place = node.scopeName().rsplit('/', 1)[-1].replace('__module.', '') or 'the segmentor itself'
            node_name = f' (node %{next(iter(node.outputs())).debugName()})'
            break
    return UnsupportedOperatorError(f'{kind}{node_name} in module {place} has no ONNX counterpart: {error}')


@FUNCTION_REWRITER.register_rewriter('torch.onnx.export', ir=IR.ONNX)
def export__tracer(model: nn.Module, args: Any, f: str, **kwargs: Any) -> None:
    """Call torch's exporter with the tracing path, which mmdeploy's rewriters work on, and finish the graph.

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
    if get_codebase_config(ctx.cfg).get('self_contained'):
        inputs = args[0] if isinstance(args, (tuple, list)) else args
        model = form_of(model, ctx.cfg).eval()
        args = torch.zeros(len(inputs), *inputs.shape[2:], 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            ctx.origin_func(model, args, f, **kwargs)
        except torch.onnx.errors.OnnxExporterError as error:
            raise explain_unsupported(error, model, args) from error
    finish_graph(f)


def encoder_decoder__predict(self: nn.Module, inputs: Tensor, data_samples: list, **kwargs: Any) -> Tensor:
    """Give the scores that the deploy config asks for: at the head's stride, or at the input's size.

    Args:
        self: The segmentor.
        inputs: Normalised images.
        data_samples: Not looked at: sizes come from ``inputs``, so that they stay dynamic.
        **kwargs: Not looked at.

    Shape:
        - inputs: ``(N, 3, H, W)``.
        - Output: ``(N, K, H, W)``, or ``(N, K, h, w)`` with ``stride8_logits``.
    """
    ctx = FUNCTION_REWRITER.get_context()
    form = form_of(self, ctx.cfg)
    if form.output == 'mask':
        form.output = 'logits'
    form.channel_order = None
    return form(inputs)


for _name in ('mmseg.models.segmentors.EncoderDecoder.predict', 'bisenet_plugins.BilateralSegmentor.predict'):
    FUNCTION_REWRITER.register_rewriter(_name, ir=IR.ONNX)(encoder_decoder__predict)
