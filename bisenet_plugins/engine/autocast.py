"""Mixed precision in bfloat16, on CPUs too."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

__all__ = ['AutocastOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Compute the forward pass in bfloat16 where PyTorch deems it safe; weights and their updates stay float32.

    It stands in ``optim_wrapper`` where mmengine's ``AmpOptimWrapper`` would, which refuses CPUs. bfloat16 has the
    range of float32, so that no loss is scaled.

    Args:
        kwargs: Arguments of mmengine's ``OptimWrapper``: ``optimizer``, ``clip_grad`` and others.

    Note:
        It pays on CPUs that multiply bfloat16 in hardware (AVX512-BF16, AMX) and on GPUs from NVIDIA's Ampere on;
        elsewhere it is slower than float32.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
        >>> with wrapper.optim_context(layer):
        ...     layer(torch.rand(1, 4)).dtype
        torch.bfloat16
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device_type = torch.device(get_device()).type

    @contextmanager
    def optim_context(self, model: nn.Module) -> Generator[None, None, None]:
        """Open the context of the forward pass, gradient accumulation included."""
        with super().optim_context(model), torch.autocast(self.device_type, dtype=torch.bfloat16):
            yield
