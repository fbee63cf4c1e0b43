"""Leave out of the doctests: modules that import mmdeploy where it is not installed, and the links for the wheel."""

import importlib.util

collect_ignore_glob = ['bisenet_plugins/configs', 'bisenet_plugins/configs/*']
if importlib.util.find_spec('mmdeploy') is None:
    collect_ignore_glob.append('bisenet_plugins/deploy/mmdeploy/*')
