"""From a trained network to a fast, verified artifact, over mmdeploy's own pipeline.

Read ``exporter.py`` first: it is the whole way. Importing this package imports none of mmdeploy, onnx and the runtimes;
what mmdeploy lacks is registered with it by :func:`register`, or by importing ``bisenet_plugins.deploy.mmdeploy``,
which our deploy configs name in ``custom_imports``.
"""

from ..errors import require
from .exporter import deploy
from .options import DeployOptions, parse_shape

__all__ = ['DeployOptions', 'deploy', 'parse_shape', 'register']


def register() -> None:
    """Register this package's rewriters, backend managers and task with mmdeploy; more than once is a no-op.

    Raises:
        MissingPackageError: If mmdeploy is not installed.
    """
    require('mmdeploy')
    from . import mmdeploy  # noqa: F401
