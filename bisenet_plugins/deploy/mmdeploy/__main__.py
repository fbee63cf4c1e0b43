"""Run a script of mmdeploy with this package's parts: ``python -m bisenet_plugins.deploy.mmdeploy SCRIPT ...``.

With it a stock deploy config of mmdeploy is enough. The processes that such a script spawns import this module again,
and so have the parts as well.
"""

import runpy
import sys

if __name__ == '__main__':
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name='__main__')
