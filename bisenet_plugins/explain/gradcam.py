"""Why a network decides as it does: where it looks, and what each of its two pathways sees.

Letters: N batch, C channels, K classes, H and W sides of the network's input, h and w map sides, in pixels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..runtime.predictor import Predictor

__all__ = ['default_stages', 'grad_cam', 'has_grad_cam_package', 'network_input', 'one_pathway', 'segment']


def network_input(predictor: Predictor, image: np.ndarray) -> dict[str, Any]:
    """Take a picture as far as the network's input.

    Args:
        predictor: The network.
        image: ``(H, W, 3)`` uint8 BGR.

    Returns:
        ``inputs`` ``(1, C, H, W)``, normalised, and ``data_samples``.
    """
    sides = image.shape[:2]
    sample = predictor.pipeline(dict(img=image, img_path=None, img_shape=sides, ori_shape=sides))
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    return predictor.model.data_preprocessor(batch, False)


def segment(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    """Segment a picture with the loaded network itself, in whatever state its hooks have put it.

    Args:
        predictor: The network.
        image: ``(H, W, 3)`` uint8 BGR.

    Shape:
        - Output: ``(H, W)`` uint8.
    """
    with torch.no_grad():
        result = predictor.model(**network_input(predictor, image), mode='predict')[0]
    return result.pred_sem_seg.data.squeeze(0).to(torch.uint8).cpu().numpy()


@contextlib.contextmanager
def one_pathway(model: nn.Module, kept: str) -> Iterator[None]:
    """Let only one pathway tell the aggregation what is where.

    Inside the block the other pathway's map is replaced by its own mean over the picture, channel by channel: the
    numbers stay in the range that the aggregation knows, but their place is gone. (Zeros would be a map that it never
    met.) The paper's figure shows networks that were trained without a pathway; this shows what one trained network
    draws from each of its two.

    Args:
        model: A segmentor whose decode head has an ``aggregation``, such as :class:`BGAHead`.
        kept: ``detail`` or ``semantic``.

    Raises:
        ValueError: If ``kept`` is neither, or the decode head joins no two pathways.

    Source:
        BiSeNet V2, Figure 9 (there: branches trained apart).
    """
    if kept not in ('detail', 'semantic'):
        raise ValueError(f"kept is {kept!r}, 'detail' or 'semantic' is wanted")
    aggregation = getattr(getattr(model, 'decode_head', None), 'aggregation', None)
    if aggregation is None:
        raise ValueError('the decode head has no aggregation, so there are no two pathways to tell apart')
    flat = 1 if kept == 'detail' else 0

    def flatten(_: nn.Module, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        changed = list(maps)
        changed[flat] = maps[flat].mean((2, 3), keepdim=True).expand_as(maps[flat])
        return tuple(changed)

    hook = aggregation.register_forward_pre_hook(flatten)
    try:
        yield
    finally:
        hook.remove()


class _Logits(nn.Module):
    """A segmentor as a function from images ``(N, C, H, W)`` to logits ``(N, K, h, w)``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits before they are resized."""
        return self.model(inputs, mode='tensor')


def _record(model: nn.Module, inputs: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a network and keep the maps that modules give, of those named or of all."""
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                maps[name] = output

        return hook

    modules = dict(model.named_modules())
    unknown = [name for name in names or () if name not in modules]
    if unknown:
        raise ValueError(f'there is no stage {unknown[0]!r} in the network; name one of its modules, such as '
                         f'{", ".join(default_stages(model, inputs))}')
    hooks = [modules[name].register_forward_hook(keep(name)) for name in (modules if names is None else names)]
    try:
        with torch.enable_grad():
            logits = _Logits(model)(inputs.detach().clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    return logits, maps


def default_stages(model: nn.Module, inputs: Tensor) -> list[str]:
    """Name the modules whose outputs are the backbone's maps, and the aggregation, as far as the logits hear of them.

    Args:
        model: A segmentor, in evaluation mode.
        inputs: A normalised image ``(1, C, H, W)``.

    Returns:
        Names as in ``model.named_modules()``, in the order of the maps.
    """
    found: list[Any] = []
    hook = model.backbone.register_forward_hook(lambda _, __, output: found.extend(output))  # type: ignore[union-attr, operator]
    try:
        logits, maps = _record(model, inputs)
    finally:
        hook.remove()
    outer_first = [name for name, _ in model.named_modules() if name in maps]
    wanted = [next((name for name in outer_first if maps[name] is stage), None) for stage in found]
    names = [name for name in (*wanted, 'decode_head.aggregation') if name in maps]
    names = list(dict.fromkeys(name for name in names if name is not None))
    grads = torch.autograd.grad(logits.sum(), [maps[name] for name in names], allow_unused=True) if names else ()
    return [name for name, grad in zip(names, grads) if grad is not None]


def has_grad_cam_package() -> bool:
    """Tell whether the package ``grad-cam`` is installed and works.

    Note:
        It imports torchvision, which fails in other ways than ImportError where it was built for another torch.
    """
    try:
        import pytorch_grad_cam  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def grad_cam(
    model: nn.Module, inputs: Tensor, stages: Sequence[str], class_id: int, package: bool | None = None
) -> dict[str, np.ndarray]:
    """Show where each stage holds what speaks for a class.

    The score is the sum of the class's logits over the pixels that the network gives to it.

    Args:
        model: A segmentor, in evaluation mode.
        inputs: A normalised image ``(1, C, H, W)``.
        stages: Names of modules that give one map each.
        class_id: The class.
        package: Whether the package ``grad-cam`` computes it; None takes it where it is installed. Without it, this
            module's own few lines do, with the same result.

    Shape:
        - Output: for each stage ``(H, W)`` float32 from 0 to 1.

    Raises:
        ValueError: If a stage is unknown, gives something other than one map, or has no influence on the logits.
        ValueError: If the network has no class of that number.

    Note:
        The package is asked for one stage at a time: for several at once it pairs maps with gradients by their order,
        which is wrong where two pathways run side by side.

    Source:
        Selvaraju et al., Grad-CAM, 2017; BiSeNet V2, Figures 6 and 8.
    """
    logits, maps = _record(model, inputs, stages)
    if not 0 <= class_id < logits.shape[1]:
        raise ValueError(f'class_id is {class_id}, the network has classes 0 to {logits.shape[1] - 1}')
    single = [name for name in stages if name not in maps]
    if single:
        raise ValueError(f'stage {single[0]!r} gives no single map (N, C, h, w)')
    where = (logits.argmax(1) == class_id).detach()  # (1, h, w)
    score = (logits[:, class_id] * where).sum()
    grads = torch.autograd.grad(score, [maps[name] for name in stages], allow_unused=True)
    for name, grad in zip(stages, grads):
        if grad is None:
            raise ValueError(f'stage {name!r} has no influence on the logits')
    if has_grad_cam_package() if package is None else package:
        return {name: _by_package(model, inputs, name, class_id, where[0]) for name in stages}
    sides = (inputs.shape[3], inputs.shape[2])
    return {name: _weighted(maps[name].detach(), grad, sides) for name, grad in zip(stages, grads)}


def _weighted(stage: Tensor, grad: Tensor, sides: tuple[int, int]) -> np.ndarray:
    """Sum a map's channels, each by its mean gradient, and stretch what is positive to 0..1."""
    cam = (stage * grad.mean((2, 3), keepdim=True)).sum(1)[0].relu().cpu().numpy()  # (h, w)
    for size in (sides, None):  # stretched before and after resizing, as the package does
        cam = (cam - cam.min()) / (1e-7 + (cam - cam.min()).max())
        cam = cv2.resize(cam, size) if size else cam
    return cam.astype(np.float32)


def _by_package(model: nn.Module, inputs: Tensor, stage: str, class_id: int, where: Tensor) -> np.ndarray:
    """Let the package compute one stage."""
    from pytorch_grad_cam import GradCAM

    layer = dict(model.named_modules())[stage]
    with GradCAM(model=_Logits(model), target_layers=[layer]) as cam, torch.enable_grad():
        return cam(inputs.detach().clone().requires_grad_(), [lambda logits: (logits[class_id] * where).sum()])[0]
