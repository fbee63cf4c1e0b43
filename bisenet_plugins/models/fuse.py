"""Networks that only predict: folded batch norms, no auxiliary heads, convolutions that end in their ReLU."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .layers import RepConvModule, can_fold, lay_channels_last

Network = TypeVar('Network', bound=nn.Module)


def switch_to_deploy(model: Network) -> Network:
    """Fold every batch norm into the convolution before it and drop the auxiliary heads, in place.

    For any part or whole segmentor, after training and before prediction or export.

    Args:
        model: A part or a segmentor; it is left in evaluation mode.

    Returns:
        The same object.

    Note:
        Folded is what is seen to be a convolution whose output goes into one batch norm and nowhere else, and whose
        folded form computes the same; every ``RepConvModule`` becomes one convolution. Another batch norm stays: the
        first of the context embedding, one before its convolution or behind an activation, one that does more than
        normalise, one in a forward pass that cannot be followed. The result cannot be trained on. Not seen is a map
        that a module keeps on itself for others, and what depends on two conditions with different outcomes.

    Source:
        BiSeNet V2, Section "Inference" (auxiliary heads are discarded).

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> net, image = DetailBranch(width_mult=0.25).eval(), torch.rand(1, 3, 32, 32)
        >>> before, after = net(image)[0], switch_to_deploy(net)(image)[0]
        >>> torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)
        >>> any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
        False
    """
    model.eval()
    if getattr(model, 'with_auxiliary_head', False):
        setattr(model, 'auxiliary_head', None)  # noqa: B010, the name is a segmentor's, not every module's
    _replace(model, lambda part: part.folded() if isinstance(part, RepConvModule) else None)
    _replace(model, _folded(model).get)
    return model


def _replace(model: nn.Module, stand_in: Callable[[nn.Module], nn.Module | None]) -> None:
    """Put in the place of each part what stands in for it, where anything does."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if (instead := stand_in(child)) is not None:
                setattr(parent, name, instead)


def _folded(model: nn.Module) -> dict[nn.Module | None, nn.Module]:
    """Return what stands in for each convolution that can be folded, and for the batch norm behind it."""
    before, after = defaultdict(set), defaultdict(set)
    for called in _calls(model):
        for node, module in called.items():
            sources, users = node.all_input_nodes, list(node.users)
            before[module].add(called.get(sources[0]) if len(sources) == 1 else None)
            after[module].add(called.get(users[0]) if len(users) == 1 else None)
    instead: dict[nn.Module | None, nn.Module] = {}
    for conv in (module for module in after if isinstance(module, nn.Conv2d) and len(after[module]) == 1):
        (norm,) = after[conv]
        if can_fold(norm) and before[norm] == {conv}:
            whole = fuse_conv_bn_eval(conv, norm)
            if conv.weight.is_meta or _same(conv, norm, whole):
                instead[conv], instead[norm] = whole, nn.Identity()
    return instead


def _same(conv: nn.Conv2d, norm: _BatchNorm, whole: nn.Module) -> bool:
    """Return whether one convolution computes what two layers do, on a map as small as it may be."""
    pads: Any = conv.padding if isinstance(conv.padding, tuple) else (0, 0)
    side = max(1, *(d * (k - 1) + 1 - 2 * pad for d, k, pad in zip(conv.dilation, conv.kernel_size, pads)))
    x = (torch.arange(conv.in_channels * side**2).sin() + 0.5).view(1, -1, side, side).to(conv.weight)
    with torch.no_grad():
        wanted = norm.forward(conv.forward(x))  # without hooks
        return torch.allclose(whole.forward(x), wanted, 0.0, torch.finfo(x.dtype).eps**0.5 * float(wanted.abs().max()))


def _calls(model: nn.Module) -> Iterator[dict[fx.Node, nn.Module]]:
    """Yield what each module calls in its forward pass, which is followed without an input."""
    shadow = copy.deepcopy(model)
    modules = list(model.modules())
    forwards = [module.forward for module in shadow.modules() if next(module.children(), None) is not None]
    for tracer in (_Tracer(False), _Tracer(True)):
        for place, module in enumerate(shadow.modules()):
            module.forward = partial(tracer.record, str(place))
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
        for forward in forwards:
            if nodes := tracer.follow(forward):
                yield {node: modules[int(str(node.target))] for node in nodes if node.op == 'call_module'}


class _Tracer(fx.Tracer):
    """Follow a forward pass without values; a condition on a value is taken to be ``choice``."""

    def __init__(self, choice: bool) -> None:
        super().__init__()
        self.choice = choice

    def record(self, place: str, *args: Any, **kwargs: Any) -> fx.Proxy:
        """Note a call instead of making it."""
        return self.create_proxy('call_module', place, args, kwargs)

    def follow(self, forward: Callable[..., Any]) -> list[fx.Node]:
        """Return the steps of a forward pass, none where they depend on more than conditions."""
        self.graph = fx.Graph()
        try:
            takes = [name for name, taken in inspect.signature(forward).parameters.items()
                     if (taken.default is taken.empty or self.choice) and taken.kind is taken.POSITIONAL_OR_KEYWORD]
            found = forward(*(self.create_proxy('placeholder', name, (), {}) for name in takes))
            self.graph.output(self.create_arg(found))
        except Exception:
            return []
        return list(self.graph.nodes)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Decide a condition."""
        return self.choice

    def create_arg(self, a: Any) -> Any:
        """Leave out tensors, which no module called here has made."""
        return None if isinstance(a, Tensor) else super().create_arg(a)


def fused_copy(model: Network) -> Network:
    """Copy a network and bring the copy to what predicts fastest on its device; the original stays as it is.

    Between a loaded checkpoint and prediction. The numbers are equal up to rounding.

    Args:
        model: A segmentor or a part of one, on the device where it is to run.

    Example:
        >>> from bisenet_plugins.models import DetailBranch
        >>> net, image = DetailBranch(width_mult=0.25).eval(), torch.rand(1, 3, 32, 32)
        >>> with torch.inference_mode():
        ...     torch.testing.assert_close(fused_copy(net)(image)[0], net(image)[0], rtol=1e-4, atol=1e-4)
    """
    fast = switch_to_deploy(copy.deepcopy(model)).requires_grad_(False)
    lay_channels_last(fast)
    first = next(fast.parameters(), None)
    if first is not None and first.device.type == 'cpu' and first.dtype == torch.float32:
        fuse_relu(fast)
    return fast


def fuse_relu(model: nn.Module) -> int:
    """Let convolutions compute the ReLU behind them, in place.

    Args:
        model: A network in evaluation mode on the CPU whose batch norms are folded.

    Returns:
        How many of mmcv's ``ConvModule`` were changed; none where PyTorch has no oneDNN.
    """
    if not _has_fused_relu():
        return 0
    found = [module for module in model.modules() if isinstance(module, ConvModule) and _ends_in_relu(module)]
    for module in found:
        module.conv, module.activate = _ConvReLU(module.conv), nn.Identity()
    return len(found)


def _ends_in_relu(module: ConvModule) -> bool:
    """Return whether a module is a plain convolution and a ReLU, and nothing more."""
    return (tuple(module.order) == ('conv', 'norm', 'act') and isinstance(module.norm, nn.Identity | None)
            and module.with_activation and type(module.activate) is nn.ReLU and not module.with_explicit_padding
            and type(module.conv) is nn.Conv2d and module.conv.padding_mode == 'zeros'
            and not isinstance(module.conv.padding, str))


class _ConvReLU(nn.Module):
    """One oneDNN call for a convolution and its ReLU, with the weights laid out ahead where that is possible."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = conv.in_channels, conv.out_channels, conv.groups
        self.kernel_size, self.stride = conv.kernel_size, conv.stride
        self.bias = conv.bias
        self.kind: tuple[Any, ...] = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.packed: Tensor = conv.weight.detach()
        with contextlib.suppress(RuntimeError):  # the calls of other versions of PyTorch differ
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.packed, *self.kind, [1, conv.in_channels, 64, 128])

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, h, w)``, never below zero."""
        return torch.ops.mkldnn._convolution_pointwise(x, self.packed, self.bias, *self.kind, 'relu', [], '')


def _has_fused_relu() -> bool:
    """Try the oneDNN call once on a small map, against the two plain calls."""
    if not torch.backends.mkldnn.is_available():
        return False
    conv = nn.Conv2d(4, 4, 3, padding=1)
    x = torch.linspace(-1, 1, 1024).view(1, 4, 16, 16)
    with contextlib.suppress(RuntimeError, AttributeError), torch.no_grad():
        return torch.allclose(_ConvReLU(conv)(x), conv(x).relu(), atol=1e-5)
    return False
