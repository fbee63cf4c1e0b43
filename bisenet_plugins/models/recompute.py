"""Training in less memory: outputs of batch norms and their ReLUs are computed again instead of being kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ['recomputed_norms']


class _Recipe:
    """How to make a batch norm's output, with or without the ReLU behind it, from the batch norm's input."""

    def __init__(self, norm: _BatchNorm, x: Tensor, mean: Tensor, inverse_std: Tensor, relu: bool = False) -> None:
        self.parts = norm, x.detach(), mean, inverse_std
        self.relu = relu
        self.users = self.left = 0
        self.made: Tensor | None = None

    def __call__(self) -> Tensor:
        """Make the output; it is held until the last operation that needs it has had it."""
        made = self.made
        if made is None:
            norm, x, mean, inverse_std = self.parts
            with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
                variance = inverse_std.pow(-2).sub_(norm.eps)
                made = F.batch_norm(x, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)
                made = made.relu_() if self.relu else made
            self.left = self.users
        self.left -= 1
        self.made = made if self.left else None
        return made


class _Recipes:
    """What is known of outputs while a forward pass runs, by their memory."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[StorageWeakRef, tuple, _Recipe]] = {}
        self.entering: _Recipe | None = None  # what goes through a ReLU right now

    def add(self, out: Tensor, recipe: _Recipe) -> None:
        storage = out.untyped_storage()
        self.known[storage._cdata] = StorageWeakRef(storage), _state(out), recipe

    def find(self, tensor: Tensor) -> _Recipe | None:
        """Return the recipe of a tensor that is, to the last change, what a recipe makes."""
        reference, state, recipe = self.known.get(tensor.untyped_storage()._cdata, (None, None, None))
        return recipe if reference is not None and not reference.expired() and state == _state(tensor) else None

    def after_norm(self, norm: _BatchNorm, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        node: Any = out.grad_fn
        mean = getattr(node, '_saved_result1', None)
        if mean is not None and mean.numel() == out.shape[1]:  # none in eval mode and for other batch norms
            self.add(out, _Recipe(norm, inputs[0], mean, node._saved_result2))

    def before_relu(self, relu: nn.ReLU, inputs: tuple[Tensor, ...]) -> None:
        self.entering = self.find(inputs[0])

    def after_relu(self, relu: nn.ReLU, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        self.entering = None

    def pack(self, tensor: Tensor) -> Any:
        """Keep a recipe in the place of what it makes; all that a ReLU keeps is its output."""
        if self.entering is not None:
            self.add(tensor, _Recipe(*self.entering.parts, relu=True))
            self.entering = None
        if (recipe := self.find(tensor)) is None:
            return tensor
        recipe.users += 1
        return recipe


def _state(tensor: Tensor) -> tuple:
    return tensor._version, tensor.shape, tensor.stride(), tensor.storage_offset()


@contextmanager
def recomputed_norms(model: nn.Module) -> Iterator[None]:
    """Inside the block, keep no output of a batch norm or of the ReLU behind it for the backward pass.

    The backward pass makes them again from the batch norm's input, which it keeps in any case. The gradients are equal
    up to rounding; a network of convolution, batch norm and ReLU keeps about half as much.

    Args:
        model: Network whose batch norms and ``nn.ReLU`` modules are watched.

    Note:
        What is no such pair is kept as ever: other norms, other activations, synchronised batch norms over several
        processes, and outputs that something changed in place later.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 1, 3))
        >>> with recomputed_norms(net):
        ...     loss = net(torch.rand(2, 3, 8, 8)).sum()
        >>> loss.backward()
    """
    recipes = _Recipes()
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                stack.enter_context(module.register_forward_hook(recipes.after_norm))
            elif isinstance(module, nn.ReLU):
                stack.enter_context(module.register_forward_pre_hook(recipes.before_relu))
                stack.enter_context(module.register_forward_hook(recipes.after_relu))
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(
            recipes.pack, lambda kept: kept() if isinstance(kept, _Recipe) else kept))
        yield
