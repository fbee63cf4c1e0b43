"""Where a network looks, and what each of its two pathways contributes.

Letters: N batch, C channels, K classes, H and W sides of the network's input, h and w map sides, in pixels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, expect

__all__ = ['default_stages', 'grad_cam', 'one_pathway']


@contextlib.contextmanager
def one_pathway(model: nn.Module, kept: str) -> Iterator[None]:
    """Let only one pathway tell the aggregation where things are.

    Inside the block the other pathway's map is replaced by its own mean over the image, channel by channel: the values
    stay in the range that the aggregation was trained on, but their places are gone, which zeros would not achieve.

    Args:
        model: A segmentor whose decode head has an ``aggregation``, such as :class:`BGAHead`.
        kept: ``detail`` or ``semantic``.

    Raises:
        InputError: If ``kept`` is neither, or the decode head has no aggregation.

    Note:
        The paper's figure shows networks trained with one branch; this shows what one trained network takes from each
        of its two.

    Source:
        BiSeNet V2, Figure 9 (there: branches trained apart).
    """
    expect(kept in ('detail', 'semantic'), 'kept', "'detail' or 'semantic'", kept)
    aggregation = getattr(getattr(model, 'decode_head', None), 'aggregation', None)
    if aggregation is None:
        raise InputError('expected a decode head with an aggregation of two pathways, got one without')
    flat = 1 if kept == 'detail' else 0

    def flatten(_: nn.Module, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x.mean((2, 3), keepdim=True).expand_as(x) if i == flat else x for i, x in enumerate(maps))

    with aggregation.register_forward_pre_hook(flatten):
        yield


def _record(model: nn.Module, inputs: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a network and keep the maps of the named modules, or of all."""
    maps: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps[name] = output

    modules = dict(model.named_modules())
    if unknown := [name for name in names or () if name not in modules]:
        raise InputError('stages: expected modules of the network, such as '
                         f'{", ".join(default_stages(model, inputs))}, got {unknown[0]!r}')
    with contextlib.ExitStack() as hooks, torch.enable_grad():
        for name in modules if names is None else names:
            hooks.enter_context(modules[name].register_forward_hook(partial(keep, name)))
        logits = model(inputs.detach().clone().requires_grad_(), mode='tensor')  # (1, K, h, w)
    return logits, maps


def default_stages(model: nn.Module, inputs: Tensor) -> list[str]:
    """Name the modules that return the backbone's maps, and the aggregation, as far as the logits depend on them.

    Args:
        model: A segmentor, in evaluation mode.
        inputs: A preprocessed image ``(1, C, H, W)``.

    Returns:
        Names as in ``model.named_modules()``, in the order of the maps.
    """
    found: list[Any] = []
    with model.backbone.register_forward_hook(lambda _, __, output: found.extend(output)):  # type: ignore[union-attr, operator]
        logits, maps = _record(model, inputs)
    outer_first = [name for name, _ in model.named_modules() if name in maps]
    of_backbone = [next((name for name in outer_first if maps[name] is stage), '') for stage in found]
    names = list(dict.fromkeys(name for name in (*of_backbone, 'decode_head.aggregation') if name in maps))
    grads = torch.autograd.grad(logits.sum(), [maps[name] for name in names], allow_unused=True) if names else ()
    return [name for name, grad in zip(names, grads) if grad is not None]


def grad_cam(model: nn.Module, inputs: Tensor, stages: Sequence[str], class_id: int) -> dict[str, np.ndarray]:
    """Show where each stage holds evidence for a class.

    The score is the sum of the class's logits over the pixels that the network assigns to it. Each channel of a stage
    is weighted by the mean of its gradient; what is positive in their sum is scaled to 0..1.

    Args:
        model: A segmentor, in evaluation mode.
        inputs: A preprocessed image ``(1, C, H, W)``.
        stages: Names of modules that return one map each.
        class_id: The class.

    Shape:
        - Output: for each stage ``(H, W)`` float32 from 0 to 1.

    Raises:
        InputError: If a stage is unknown, returns something other than one map, or does not influence the logits.
        InputError: If the network has no class of that number.

    Note:
        A network of one output channel has two classes: the logit beyond that of the head's ``threshold`` is evidence
        for class 1, its negative for class 0.
        The same numbers as the package ``grad-cam`` computes for one stage at a time; for several at once it pairs
        maps with gradients by their order, which is wrong for two pathways side by side.

    Source:
        Selvaraju et al., Grad-CAM, 2017; BiSeNet V2, Figures 6 and 8.
    """
    logits, maps = _record(model, inputs, stages)
    if logits.shape[1] == 1:  # one class, and the background where it is not above the threshold
        threshold = getattr(getattr(model, 'decode_head', None), 'threshold', None)
        margin = logits - torch.logit(torch.tensor(0.5 if threshold is None else float(threshold)))
        logits = torch.cat((-margin, margin), 1)
    expect(0 <= class_id < logits.shape[1], 'class_id', f'a number from 0 to {logits.shape[1] - 1}', class_id)
    for name in stages:
        expect(name in maps, 'stages', 'modules that return one map (N, C, h, w)', name)
    score = (logits[:, class_id] * (logits.argmax(1) == class_id)).sum()
    grads = torch.autograd.grad(score, [maps[name] for name in stages], allow_unused=True)
    heats = {}
    for name, grad in zip(stages, grads):
        expect(grad is not None, 'stages', 'modules that influence the logits', name)
        cam = (maps[name].detach() * grad.mean((2, 3), keepdim=True)).sum(1)[0].relu().cpu().numpy()  # (h, w)
        heat = cv2.resize(cam, (inputs.shape[3], inputs.shape[2]))
        heats[name] = cv2.normalize(heat, np.empty_like(heat), 0, 1, cv2.NORM_MINMAX)
    return heats
