"""Run a script of mmdeploy with this package's parts: ``python -m bisenet_plugins.deploy.mmdeploy.run SCRIPT ...``.

With it a stock deploy config of mmdeploy is enough. The script runs in this module, so that the processes that it
spawns import this module first, and with it the parts.
"""

import os
import sys
from pathlib import Path

SCRIPT = 'BISENET_PLUGINS_SCRIPT'
"""Variable that tells the script to spawned processes, whose first argument is this module."""

if __name__ in ('__main__', '__mp_main__'):
    if __name__ == '__main__':
        del sys.argv[0]
        os.environ[SCRIPT] = sys.argv[0]
    exec(compile(Path(os.environ[SCRIPT]).read_text(encoding='utf-8'), os.environ[SCRIPT], 'exec'))
