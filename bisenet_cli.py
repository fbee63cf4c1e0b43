"""Start the console command ``bisenet`` (also ``python -m bisenet_cli``).

It stands beside the package, not in it, because importing the package loads PyTorch and MMSegmentation: options are
read before that, so that ``--help`` answers at once, and ``doctor`` works where the stack is broken.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec, module_from_spec

__all__ = ['main']


def main(command: str | None = None, argv: Sequence[str] | None = None) -> int:
    """Run a command of the package.

    Args:
        command: Its name; None reads it from the command line.
        argv: The command line; None takes that of the process.

    Returns:
        The exit status.
    """
    load = None
    if 'bisenet_plugins' not in sys.modules:  # a process of its own
        if '--show' not in (argv or sys.argv):
            os.environ['MPLBACKEND'] = 'Agg'  # plots go into files, whatever the variable says
        spec = find_spec('bisenet_plugins')
        assert spec is not None and spec.loader is not None
        package = sys.modules[spec.name] = module_from_spec(spec)  # its submodules can be imported, it has not run yet
        load = partial(spec.loader.exec_module, package)
    from bisenet_plugins.cli.main import run_command

    return run_command(command, argv, load)


if __name__ == '__main__':
    sys.exit(main())
