"""Leave the files that import mmdeploy out of the doctests where it is not installed."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec('mmdeploy') else ['managers.py', 'rewrites.py', 'task.py']
