"""Examine the installation: ``python tools/doctor.py [--json]``; exit status 1 if something blocks."""

import argparse
import contextlib
import importlib.util
import io
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description='Examine the installation and say what mends it.')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    args = parser.parse_args()
    # By its path, not through the package: that cannot be imported where the stack is broken.
    path = Path(__file__).resolve().parents[1] / 'bisenet_plugins' / 'cli' / 'doctor.py'
    spec = importlib.util.spec_from_file_location('doctor', path)
    doctor = importlib.util.module_from_spec(spec)
    sys.modules['doctor'] = doctor
    spec.loader.exec_module(doctor)
    with contextlib.redirect_stdout(io.StringIO()):  # some packages print while they are imported
        report = doctor.examine_this_machine()
    print(report.to_json() if args.json else doctor.format_report(report))
    return 0 if report.ok else 1


if __name__ == '__main__':
    sys.exit(main())
