"""Mixed precision in bfloat16, on CPUs too."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

__all__ = ['AutocastOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Compute the forward pass in bfloat16 where PyTorch deems it safe; weights and their updates stay float32.

    It stands in ``optim_wrapper`` where mmengine's ``AmpOptimWrapper`` would, which refuses CPUs. bfloat16 has the
    range of float32, so that no loss is scaled. A CPU for which oneDNN has no bfloat16 kernels (x86 without AVX-512)
    would take ten times as long for it, so there everything stays in float32, with a warning.

    Args:
        kwargs: Arguments of mmengine's ``OptimWrapper``: ``optimizer``, ``clip_grad`` and others.

    Attributes:
        dtype: ``torch.bfloat16``, or ``torch.float32`` where that is slower.

    Note:
        It pays on CPUs that multiply bfloat16 in hardware (AVX512-BF16, AMX) and on GPUs from NVIDIA's Ampere on.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(layer.parameters(), lr=0.1))
        >>> with wrapper.optim_context(layer):
        ...     layer(torch.rand(1, 4)).dtype == wrapper.dtype
        True
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device_type = torch.device(get_device()).type
        fast = self.device_type != 'cpu' or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.dtype = torch.bfloat16 if fast else torch.float32
        if not fast:
            print_log('optim_wrapper: this CPU has no instructions for bfloat16, so training stays in float32',
                      'current', logging.WARNING)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Generator[None, None, None]:
        """Open the context of the forward pass, gradient accumulation included."""
        with super().optim_context(model), torch.autocast(
                self.device_type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            yield
