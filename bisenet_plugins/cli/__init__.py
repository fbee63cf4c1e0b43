"""The console command ``bisenet``, which ``tools/`` run too: one module per sub-command.

A command's module has ``add_arguments(parser)`` and ``run(args)``, which returns the exit status or None for 0. Its
first docstring line is its description. It imports nothing heavy before ``run``.
"""
