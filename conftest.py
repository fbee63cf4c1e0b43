"""Leave out of the doctests: modules that import mmdeploy where it is not installed, and the links for the wheel."""

import gc
import importlib.util

gc.set_threshold(100_000, 20, 20)  # networks are many objects that live long; looking at them often costs a twentieth

collect_ignore_glob = ['bisenet_plugins/configs', 'bisenet_plugins/configs/*']
if importlib.util.find_spec('mmdeploy') is None:
    collect_ignore_glob.append('bisenet_plugins/deploy/mmdeploy/*')
