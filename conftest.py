"""Leave out of the doctests: modules that import mmdeploy where it is not installed, and the links for the wheel."""

import gc
import importlib.util
import os

gc.set_threshold(100_000, 20, 20)  # networks are many objects that live long; looking at them often costs a twentieth

collect_ignore_glob = ['bisenet_plugins/configs', 'bisenet_plugins/configs/*']
if importlib.util.find_spec('mmdeploy') is None:
    collect_ignore_glob.append('bisenet_plugins/deploy/mmdeploy/*')
if 'PYTEST_XDIST_WORKER' in os.environ:  # workers share the cores, and so do the processes that they start
    os.environ.setdefault('OMP_NUM_THREADS', '1')
