"""``python -m bisenet_plugins`` is the console command ``bisenet``."""

import sys

from bisenet_cli import main

if __name__ == '__main__':
    sys.modules.pop('bisenet_plugins')  # it has not run yet; the command runs it once the options are read
    sys.exit(main())
