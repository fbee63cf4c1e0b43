"""Write the model zoo's pages: ``python benchmarks/write_model_zoo.py``; results/logs.json names the logs of runs."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.model_zoo import write_zoo  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description='Write configs/*/README.md, configs/*/metafile.yml, model-index.yml.')
    parser.parse_args()
    write_zoo(ROOT)


if __name__ == '__main__':
    main()
