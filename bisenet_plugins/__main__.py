"""``python -m bisenet_plugins`` is the console command ``bisenet``."""

import sys

from .cli.main import run_command

if __name__ == '__main__':
    sys.exit(run_command())
