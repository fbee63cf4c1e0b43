"""Convert CamVid: ``python tools/dataset_converters/camvid.py SOURCE --out data/camvid``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main('prepare-camvid'))
