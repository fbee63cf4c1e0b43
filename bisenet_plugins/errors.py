"""What can go wrong on the way to an artefact, each as its own error, and the check of what is installed."""

from __future__ import annotations

import importlib.util

__all__ = ['AgreementError', 'DeployError', 'MissingBackendError', 'NoGpuError', 'UnsupportedOperatorError', 'require']

# import name -> (extra of this project that brings it, pip line)
REQUIREMENTS = {
    'mmdeploy': ('deploy', "pip install 'bisenet-plugins[deploy]' && pip install --no-deps mmdeploy==1.3.1"),
    'onnx': ('deploy', "pip install 'bisenet-plugins[deploy]'"),
    'onnxruntime': ('deploy', "pip install 'bisenet-plugins[deploy]'"),
    'openvino': ('openvino', "pip install 'bisenet-plugins[openvino]'"),
    'nncf': ('int8', "pip install 'bisenet-plugins[int8]'"),
    'tensorrt': ('tensorrt', "pip install 'bisenet-plugins[tensorrt]'"),
    'tensorrt_rtx': ('tensorrt-rtx', "pip install 'bisenet-plugins[tensorrt-rtx]'"),
}


class DeployError(RuntimeError):
    """A model could not be deployed; the message says why."""


class MissingBackendError(DeployError):
    """A package that the asked backend or precision needs is not installed."""


class NoGpuError(DeployError):
    """The asked backend works on a machine with an NVIDIA GPU only."""


class UnsupportedOperatorError(DeployError):
    """An operator of the model has no counterpart in the exporter or in the backend."""


class AgreementError(DeployError):
    """An artefact does not give what the PyTorch model gives."""


def require(*modules: str) -> None:
    """Refuse to go on where a package is not installed.

    Args:
        modules: Import names.

    Raises:
        MissingBackendError: If one is missing; the sentence names the extra and the pip line.

    Example:
        >>> require('importlib')
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            extra, line = REQUIREMENTS.get(module, ('deploy', f'pip install {module}'))
            raise MissingBackendError(f"{module} is not installed; it comes with the extra '{extra}': {line}")
