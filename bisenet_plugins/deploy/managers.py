"""Backend managers for mmdeploy: ONNX Runtime and OpenVINO as they are today, and TensorRT 10+ and TensorRT-RTX.

mmdeploy's own managers call programs and classes that these runtimes have since dropped (the ``mo`` program, the
inference engine's first API, implicit batch, calibrator classes). The ones here take their places in mmdeploy's
registry; nothing of mmdeploy, torch or the runtimes is changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch
from mmdeploy.backend.base import BACKEND_MANAGERS, BaseBackendManager, BaseWrapper
from mmdeploy.utils import get_backend_config, get_ir_config, get_model_inputs, get_root_logger
from torch import Tensor

from ..errors import DeployError, require
from ..runtime.backends import Backend, open_backend, runtime_module
from ..runtime.backends.openvino import openvino_core
from .half import to_float16
from .quantize import Calibration, quantize_onnx, quantize_openvino
from .tensorrt_build import build_engine

__all__ = ['OnnxRuntimeManager', 'OpenVINOManager', 'SessionWrapper', 'TensorRTManager', 'TensorRTRTXManager']

PRECISIONS = ('fp32', 'fp16', 'int8')


def precision_of(deploy_cfg: dict) -> str:
    """Read the precision of a deploy config, in this project's words or in mmdeploy's.

    Args:
        deploy_cfg: Deploy config; ``backend_config`` holds ``precision``, or ``common_config`` holds ``fp16_mode`` or
            ``int8_mode``.

    Raises:
        ValueError: If the precision is unknown.
    """
    backend = get_backend_config(deploy_cfg)
    common = backend.get('common_config') or {}
    found = 'int8' if common.get('int8_mode') else 'fp16' if common.get('fp16_mode') else 'fp32'
    found = str(backend.get('precision', found)).lower()
    if found not in PRECISIONS:
        raise ValueError(f'precision is {found!r}; it must be one of {PRECISIONS}')
    return found


def _needs_calibration(calibration: Calibration | None) -> Calibration:
    if calibration is None:
        raise DeployError('precision int8 needs calibration images; give a folder or a dataset config '
                          '(--calibration)')
    return calibration


class SessionWrapper(BaseWrapper):
    """Hand mmdeploy's tensors to one of this project's sessions.

    Args:
        session: Loaded artefact.
        output_names: Name of the one output.
    """

    def __init__(self, session: Backend, output_names: Sequence[str] | None = None) -> None:
        super().__init__(list(output_names or ['output']))
        self.session = session

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the artefact.

        Args:
            inputs: The one input by name.
        """
        (value,) = inputs.values()
        result = self.session(value.detach().cpu().contiguous().numpy())
        return {self.output_names[0]: torch.from_numpy(result)}


class _Manager(BaseBackendManager):
    """What the four have in common."""

    command_line_name = ''

    @classmethod
    def is_available(cls, with_custom_ops: bool = False) -> bool:
        """Tell whether the runtime is installed; no custom operators are ever needed.

        Args:
            with_custom_ops: Not looked at.
        """
        return importlib.util.find_spec(runtime_module(cls.command_line_name)) is not None

    @classmethod
    def get_version(cls) -> str:
        """Give the runtime's version, ``None`` as a word where it is not installed."""
        if not cls.is_available():
            return 'None'
        return str(importlib.import_module(runtime_module(cls.command_line_name)).__version__)

    @classmethod
    def check_env(cls, log_callback: Any = lambda _: _) -> str:
        """Tell the runtime's version.

        Args:
            log_callback: Called with the sentence.
        """
        info = f'{cls.command_line_name}:\t{cls.get_version()}'
        log_callback(info)
        return info

    @classmethod
    def build_wrapper(cls, backend_files: Sequence[str], device: str = 'cpu',
                      input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
                      deploy_cfg: Any = None, **kwargs: Any) -> SessionWrapper:
        """Load an artefact for mmdeploy.

        Args:
            backend_files: The artefact's file.
            device: Not looked at: the backend decides.
            input_names: Not looked at.
            output_names: Name of the output.
            deploy_cfg: Not looked at.
            **kwargs: Not looked at.
        """
        return SessionWrapper(open_backend(cls.command_line_name, backend_files[0]), output_names)


def _copy(source: str, target: str) -> str:
    if os.path.abspath(source) != os.path.abspath(target):
        shutil.copyfile(source, target)
    return target


class OnnxRuntimeManager(_Manager):
    """ONNX Runtime, in single precision, half precision, or INT8 with QDQ nodes."""

    command_line_name = 'onnxruntime'

    @classmethod
    def to_backend(cls, ir_files: Sequence[str], work_dir: str, deploy_cfg: Any, log_level: int = logging.INFO,
                   device: str = 'cpu', calibration: Calibration | None = None, **kwargs: Any) -> list[str]:
        """Bring ONNX files to the precision that the deploy config asks for.

        Args:
            ir_files: ONNX files.
            work_dir: Folder to write to.
            deploy_cfg: Deploy config.
            log_level: Not looked at.
            device: Not looked at.
            calibration: Images for INT8.
            **kwargs: Not looked at.

        Raises:
            DeployError: If INT8 is asked for without calibration images.
        """
        require('onnxruntime')
        precision = precision_of(deploy_cfg)
        files = []
        for path in ir_files:
            target = os.path.join(work_dir, os.path.basename(path))
            if precision == 'fp32':
                files.append(_copy(path, target))
                continue
            target = target.replace('.onnx', f'_{precision}.onnx')
            if precision == 'fp16':
                to_float16(path, target)
            else:
                quantize_onnx(path, target, _needs_calibration(calibration))
            files.append(target)
        return files


class OpenVINOManager(_Manager):
    """OpenVINO, in single precision, with half-precision weights, or INT8 through nncf."""

    command_line_name = 'openvino'

    @classmethod
    def to_backend(cls, ir_files: Sequence[str], work_dir: str, deploy_cfg: Any, log_level: int = logging.INFO,
                   device: str = 'cpu', calibration: Calibration | None = None, **kwargs: Any) -> list[str]:
        """Convert ONNX files to OpenVINO's ``.xml`` and ``.bin``.

        Args:
            ir_files: ONNX files.
            work_dir: Folder to write to.
            deploy_cfg: Deploy config.
            log_level: Not looked at.
            device: Not looked at.
            calibration: Images for INT8.
            **kwargs: Not looked at.

        Raises:
            DeployError: If INT8 is asked for without calibration images.
        """
        require('openvino')
        import openvino
        precision = precision_of(deploy_cfg)
        files = []
        for path in ir_files:
            target = os.path.join(work_dir, os.path.basename(path).replace('.onnx', '.xml'))
            model = openvino_core().read_model(path)
            if precision == 'int8':
                model = quantize_openvino(model, _needs_calibration(calibration))
            openvino.save_model(model, target, compress_to_fp16=precision == 'fp16')
            files.append(target)
        return files


class TensorRTManager(_Manager):
    """TensorRT 10 and later: explicit batch, strongly typed, the types taken from the graph."""

    command_line_name = 'tensorrt'

    @classmethod
    def to_backend(cls, ir_files: Sequence[str], work_dir: str, deploy_cfg: Any, log_level: int = logging.INFO,
                   device: str = 'cuda:0', calibration: Calibration | None = None, **kwargs: Any) -> list[str]:
        """Build engines from ONNX files.

        Args:
            ir_files: ONNX files.
            work_dir: Folder to write to.
            deploy_cfg: Deploy config; ``backend_config.model_inputs[0].input_shapes`` gives ``min_shape``,
                ``opt_shape`` and ``max_shape`` of each input, ``common_config.compute_capabilities`` the GPUs that a
                TensorRT-RTX engine is for.
            log_level: Not looked at.
            device: Not looked at.
            calibration: Images for INT8.
            **kwargs: Not looked at.

        Raises:
            NoGpuError: If TensorRT is asked for on a machine without a GPU.
            DeployError: If INT8 is asked for without calibration images.
        """
        require(runtime_module(cls.command_line_name))
        precision = precision_of(deploy_cfg)
        common = get_backend_config(deploy_cfg).get('common_config') or {}
        inputs = get_model_inputs(deploy_cfg)
        shapes = inputs[0].get('input_shapes', {}) if inputs else {}
        name = (get_ir_config(deploy_cfg).get('input_names') or ['input'])[0]
        files = []
        for path in ir_files:
            graph = path
            if precision != 'fp32':
                graph = os.path.join(work_dir, os.path.basename(path).replace('.onnx', f'_{precision}.onnx'))
            if precision == 'fp16':
                to_float16(path, graph)
            elif precision == 'int8':
                quantize_onnx(path, graph, _needs_calibration(calibration), symmetric=True)
            target = os.path.join(work_dir, os.path.basename(path).replace('.onnx', '.engine'))
            build_engine(graph, target, cls.command_line_name, shapes.get(name),
                         compute_capabilities=tuple(common.get('compute_capabilities', ())),
                         workspace_bytes=int(common.get('max_workspace_size', 0)))
            files.append(target)
        return files


class TensorRTRTXManager(TensorRTManager):
    """TensorRT for RTX: builds ahead of time, also on a machine without a GPU."""

    command_line_name = 'tensorrt-rtx'


def _register() -> None:
    """Put the managers in mmdeploy's registry, behind mmdeploy's own so that they are the ones found."""
    managers = {'onnxruntime': OnnxRuntimeManager, 'openvino': OpenVINOManager, 'tensorrt': TensorRTManager,
                'tensorrt_rtx': TensorRTRTXManager}
    logger = get_root_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    for name, manager in managers.items():
        try:  # mmdeploy registers a backend when its folder is first imported
            importlib.import_module(f'mmdeploy.backend.{name}')
        except Exception as error:  # a runtime that mmdeploy's own folder no longer fits
            logging.getLogger(__name__).debug('mmdeploy.backend.%s: %s', name, error)
        BACKEND_MANAGERS.register(name)(manager)
    logger.setLevel(level)


_register()
