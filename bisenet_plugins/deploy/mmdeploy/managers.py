"""Backend managers for mmdeploy: ONNX Runtime and OpenVINO as they are today, TensorRT 10+ and TensorRT-RTX.

mmdeploy's own managers call programs and classes that these runtimes have since dropped (the ``mo`` program, the
inference engine's first API, implicit batch, calibrator classes). The ones here take their places in mmdeploy's
registry; nothing of mmdeploy, torch or the runtimes is changed for longer than an export takes.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from mmdeploy.backend.base import BACKEND_MANAGERS, BaseBackendManager, BaseWrapper
from mmdeploy.core import FUNCTION_REWRITER
from mmdeploy.core.rewriters import function_rewriter, rewriter_utils
from mmdeploy.utils import get_backend_config, get_ir_config, get_model_inputs, get_root_logger
from torch import Tensor

from ...errors import expect
from ...runtime.artifact import CHOICES
from ...runtime.backends import PROGRAMS, SUFFIXES, Backend, import_runtime, installed, open_backend, runtime_module
from ..backend_file import build_backend_file
from ..quantize import Calibration

__all__ = ['BackendManager', 'BackendWrapper', 'precision_of', 'quiet_mmdeploy', 'register_managers']


def precision_of(deploy_cfg: Any) -> str:
    """Read the precision of a deploy config, in this project's words or in mmdeploy's.

    Args:
        deploy_cfg: Deploy config; ``backend_config`` holds ``precision``, or ``common_config`` holds ``fp16_mode`` or
            ``int8_mode``.

    Raises:
        InputError: If the precision is unknown.
    """
    backend = get_backend_config(deploy_cfg)
    common = backend.get('common_config') or {}
    found = 'int8' if common.get('int8_mode') else 'fp16' if common.get('fp16_mode') else 'fp32'
    found = str(backend.get('precision', found)).lower()
    expect(found in CHOICES['precision'], 'precision', f'one of {CHOICES["precision"]}', found)
    return found


class BackendWrapper(BaseWrapper):
    """Hand mmdeploy's tensors to one of this project's backends.

    Args:
        backend: Loaded artifact.
        output_names: Name of the one output.
        contained: Whether the graph takes bytes and gives masks without channels.
    """

    def __init__(self, backend: Backend, output_names: Sequence[str] | None = None, contained: bool = False) -> None:
        super().__init__(list(output_names or ['output']))
        self.backend, self.contained = backend, contained

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the artifact.

        Args:
            inputs: The one input by name.
        """
        (value,) = inputs.values()
        value = value.permute(0, 2, 3, 1).byte() if self.contained else value
        result = torch.from_numpy(self.backend(value.detach().cpu().contiguous().numpy()))
        return {self.output_names[0]: result[:, None] if self.contained else result}


class BackendManager(BaseBackendManager):
    """What mmdeploy asks of a backend; a class for each of :data:`SUFFIXES` is derived from it."""

    backend = ''

    @classmethod
    def is_available(cls, with_custom_ops: bool = False) -> bool:
        """Return whether the runtime is installed; no custom operators are ever needed.

        Args:
            with_custom_ops: Unused; required by mmdeploy's interface.
        """
        return bool(installed([runtime_module(cls.backend)]))

    @classmethod
    def get_version(cls) -> str:
        """Return the runtime's version."""
        return str(import_runtime(runtime_module(cls.backend)).__version__)

    @classmethod
    def build_wrapper(cls, backend_files: Sequence[str], device: str = 'cpu',
                      input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
                      deploy_cfg: Any = None, **kwargs: Any) -> BackendWrapper:
        """Load an artifact for mmdeploy.

        Args:
            backend_files: The artifact's file.
            device: Unused; required by mmdeploy's interface.
            input_names: Unused; required by mmdeploy's interface.
            output_names: Name of the output.
            deploy_cfg: Deploy config; ``codebase_config`` says whether the graph is self-contained.
            **kwargs: Unused; required by mmdeploy's interface.
        """
        contained = bool(((deploy_cfg or {}).get('codebase_config') or {}).get('self_contained'))
        return BackendWrapper(open_backend(cls.backend, backend_files[0]), output_names, contained)

    @classmethod
    def to_backend(cls, ir_files: Sequence[str], work_dir: str, deploy_cfg: Any, log_level: int = logging.INFO,
                   device: str = 'cpu', calibration: Calibration | None = None, **kwargs: Any) -> list[str]:
        """Bring ONNX files to the backend, at the precision that the deploy config asks for.

        Args:
            ir_files: ONNX files.
            work_dir: Folder to write to.
            deploy_cfg: Deploy config. For TensorRT ``backend_config.model_inputs[0].input_shapes`` holds
                ``min_shape``, ``opt_shape`` and ``max_shape`` of each input, and
                ``common_config.compute_capabilities`` the GPUs that a TensorRT-RTX engine is for.
            log_level: Unused; required by mmdeploy's interface.
            device: Unused; required by mmdeploy's interface.
            calibration: Images for INT8.
            **kwargs: Unused; required by mmdeploy's interface.
        """
        common = get_backend_config(deploy_cfg).get('common_config') or {}
        inputs = get_model_inputs(deploy_cfg)
        name = (get_ir_config(deploy_cfg).get('input_names') or ['input'])[0]
        return [build_backend_file(path, work_dir, cls.backend, precision_of(deploy_cfg), calibration,
                                   inputs[0].get('input_shapes', {}).get(name) if inputs else None,
                                   tuple(common.get('compute_capabilities', ())),
                                   int(common.get('max_workspace_size', 0))) for path in ir_files]


def register_managers() -> None:
    """Put the managers in mmdeploy's registry, behind mmdeploy's own so that they are the ones found.

    mmdeploy evaluates paths such as ``mmseg.models`` after ``exec('import ...')``, which binds no local name from
    Python 3.13 on: the packages become global names there.
    """
    for module in (function_rewriter, rewriter_utils):
        vars(module).update({name: sys.modules[name] for name in ('bisenet_plugins', 'mmdeploy', 'mmseg', 'torch')})
    for backend in SUFFIXES.keys() - set(PROGRAMS):
        name = runtime_module(backend)
        with quiet_mmdeploy():
            BACKEND_MANAGERS.find(name)  # imports mmdeploy's own, which registers itself at that
            BACKEND_MANAGERS.register(name)(type(f'BackendManager_{name}', (BackendManager,), dict(backend=backend)))


def _replacer() -> Callable[..., None]:
    """Return what does mmdeploy's ``_replace_all_obj`` with one search of the process for all of its functions."""
    holders: dict[int, list[Any]] = {}

    def replace(old: Any, new: Any, ignore_refs: Sequence[Any] = (), ignore_keys: Sequence[str] = ()) -> None:
        if id(old) not in holders:  # the first function to be rewritten, or to be restored
            original = [item['origin_func'] for item in FUNCTION_REWRITER._origin_functions]
            rewritten = [item.func for items in FUNCTION_REWRITER._func_contexts.values() for item in items]
            group = next(group for group in (original, rewritten, [old]) if any(item is old for item in group))
            holders.clear()
            holders.update({id(function): [] for function in group})
            for holder in gc.get_referrers(*group):
                if isinstance(holder, dict | list):
                    for value in holder.values() if isinstance(holder, dict) else holder:
                        holders.get(id(value), []).append(holder)
        for holder in holders.pop(id(old)):
            for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
                if value is old and key not in ignore_keys:
                    holder[key] = new

    return replace


@contextlib.contextmanager
def quiet_mmdeploy() -> Iterator[None]:
    """Keep mmdeploy's remarks about what these networks do not need out of the log, and its rewriters quick.

    A rewriter looks up the function that called it; mmdeploy reads the source files of the whole stack for that, at
    every call, and searches the whole process for what refers to a function, once for each function.
    """
    logger, found, replace = get_root_logger(), function_rewriter.get_frame_func, function_rewriter._replace_all_obj
    level = logger.level
    logger.setLevel(logging.ERROR)
    function_rewriter.get_frame_func = lambda top=1: (frame := sys._getframe(top)).f_globals[frame.f_code.co_name]
    function_rewriter._replace_all_obj = _replacer()
    try:
        yield
    finally:
        logger.setLevel(level)
        function_rewriter.get_frame_func, function_rewriter._replace_all_obj = found, replace
