"""The project's version; setup.cfg, the changelog and checkpoints read it from here."""

__version__ = '0.1.0'
