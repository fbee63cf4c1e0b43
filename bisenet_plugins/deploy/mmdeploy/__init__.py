"""What mmdeploy lacks for these networks and today's runtimes; importing this package registers it.

A deploy config names it: ``custom_imports = dict(imports=['bisenet_plugins.deploy.mmdeploy'])``. In this package alone
may mmdeploy be imported at the top of a module.
"""

import bisenet_plugins  # noqa: F401  registers the parts that configs name

from . import managers, rewrites, task  # noqa: F401

managers.register_managers()
