"""From a trained config to a fast, verified artefact, over mmdeploy's own pipeline.

Read ``convert.py`` first: it is the whole way. A deploy config names this package in ``custom_imports``, which
registers what mmdeploy lacks (``rewrites.py``, ``managers.py``, ``task.py``) with mmdeploy; running an artefact needs
``artifact.py`` and its runtime alone.
"""

import importlib.util

import bisenet_plugins  # noqa: F401  registers the parts that configs name

from ..errors import AgreementError, DeployError, MissingPackageError, NoGpuError, UnsupportedOperatorError
from ..runtime.artifact import Artifact
from .forms import DeployForm

__all__ = [
    'AgreementError', 'Artifact', 'DeployError', 'DeployForm', 'MissingPackageError',
    'NoGpuError', 'UnsupportedOperatorError', 'register_mmdeploy_parts'
]


def register_mmdeploy_parts() -> None:
    """Register this package's rewriters, backend managers and task with mmdeploy; once is enough.

    Raises:
        MissingPackageError: If mmdeploy is not installed.
    """
    from ..errors import require
    require('mmdeploy')
    from . import managers, rewrites, task  # noqa: F401


if importlib.util.find_spec('mmdeploy') is not None:
    register_mmdeploy_parts()
