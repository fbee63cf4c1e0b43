"""Export a model: ``python tools/deploy.py CONFIG CHECKPOINT --format openvino --out DIR``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bisenet_cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main('export'))
