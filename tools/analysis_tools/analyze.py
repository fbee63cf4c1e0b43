"""Write a report page: ``python tools/analysis_tools/analyze.py IMAGE... --labels DIR --out page.html``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main('analyze'))
