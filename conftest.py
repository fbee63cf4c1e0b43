"""Leave modules that import mmdeploy out of the doctests where it is not installed."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec('mmdeploy') else ['bisenet_plugins/deploy/mmdeploy/*']
