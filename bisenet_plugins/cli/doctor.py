"""Examine the installation, and name the line that fixes what is wrong; exit status 1 if something blocks.

Only Python's own library is imported, so that a broken installation can still be examined.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import platform
import re
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata

NEEDS_PACKAGE = False
ONEDL = {'mmcv': 'onedl-mmcv==2.3.6', 'mmengine': 'onedl-mmengine==0.10.12', 'mmseg': 'onedl-mmsegmentation==1.4.2'}
NEEDED = {'torch': 'torch==2.13.0', 'numpy': 'numpy', 'cv2': 'opencv-python', 'matplotlib': 'matplotlib', **ONEDL}
OPTIONAL = {
    'setuptools': '"setuptools<81"', 'timm': 'timm', 'mmpretrain': 'onedl-mmpretrain==1.3.6',
    'mmdeploy': '--no-deps mmdeploy==1.3.1', 'onnx': 'onnx', 'onnxruntime': 'onnxruntime', 'openvino': 'openvino',
    'tensorrt': 'tensorrt', 'tensorrt_rtx': 'tensorrt-rtx', 'kornia_rs': 'kornia-rs'}
PYTHONS = ((3, 10), (3, 13))
Installed = Mapping[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Finding:
    """Something to know about an installation.

    Args:
        blocks: Whether the project cannot work as it is.
        text: What was found.
        fix: The command that fixes it; empty where nothing needs fixing.
    """

    blocks: bool
    text: str
    fix: str = ''


@dataclass
class Report:
    """Everything found.

    Args:
        python: Version of the interpreter.
        packages: Import name, distribution and version (empty where there is none) of each package of the stack.
        findings: What blocks, then what is worth knowing.
    """

    python: str
    packages: list[dict[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing blocks."""
        return not any(finding.blocks for finding in self.findings)

    def to_text(self) -> str:
        """Return the report for people."""
        lines = [f'Python {self.python} on {platform.system()} {platform.machine()}', '']
        for package in self.packages:
            state = package['version'] or ('missing' if package['name'] in NEEDED else '-')
            lines.append(f'  {package["name"]:<13}{state:<14}{package["distribution"]}')
        for blocks, title in ((True, 'Blocks:'), (False, 'Good to know:')):
            chosen = [finding for finding in self.findings if finding.blocks == blocks]
            lines += ['', title] if chosen else []
            lines += [f'  {finding.text}' + (f'\n      {finding.fix}' if finding.fix else '') for finding in chosen]
        verdict = 'All required packages are installed.' if self.ok else 'Run the lines under "Blocks".'
        found = {package['name'] for package in self.packages if package['version']}
        lacking = all('is not installed' in finding.text for finding in self.findings if finding.blocks)
        if not self.ok and lacking and found >= {'numpy', 'cv2'} and found & {'onnxruntime', 'openvino'}:
            verdict += ' Segmenting with the networks in the package and with exported ones needs none of them.'
        return '\n'.join([*lines, '', verdict])


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--json', action='store_true', help='print the report as JSON')


def run(args: Namespace) -> int:
    """Examine this interpreter and print the report."""
    with contextlib.redirect_stdout(io.StringIO()):  # some packages print while they are imported
        report = examine_this_machine()
    print(json.dumps({**asdict(report), 'ok': report.ok}, indent=2) if args.json else report.to_text())
    return 0 if report.ok else 1


def examine_this_machine() -> Report:
    """Examine the interpreter that runs this."""
    installed: dict[str, list[tuple[str, str]]] = {name: [] for name in [*NEEDED, *OPTIONAL]}
    for found in metadata.distributions():  # packages_distributions() of Python 3.10 misses most
        for name in {file.parts[0].removesuffix('.py') for file in found.files or ()} & {*installed}:
            installed[name] = list(dict.fromkeys([*installed[name], (found.name, found.version)]))
    if not _import_error('mmcv._ext'):
        installed['mmcv._ext'] = installed['mmcv']
    return examine(installed, sys.version_info[:3], _import_error)


def _import_error(name: str) -> str:
    """Import a module; return what went wrong, in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            importlib.import_module(name)
    except Exception as error:  # whatever a broken package raises is the finding
        return f'{type(error).__name__}: {(str(error).strip().splitlines() or [""])[-1]}'
    return ''


def version_key(text: str) -> tuple[int, ...]:
    """Turn a version's leading numbers into a tuple to compare.

    Example:
        >>> version_key('2.13.0+cpu')
        (2, 13, 0)
    """
    match = re.match(r'\d+(\.\d+)*', text)
    return tuple(int(part) for part in match.group().split('.')) if match else ()


def examine(installed: Installed, python: tuple[int, int, int], try_import: Callable[[str], str]) -> Report:
    """Judge an installation.

    Args:
        installed: For each import name the distributions that provide it, with their versions.
        python: The interpreter's version.
        try_import: Imports a name and returns the error as text, empty if it went well.

    Returns:
        The report, blocking findings first.

    Example:
        >>> report = examine({}, (3, 11, 0), lambda name: '')
        >>> report.ok, report.findings[0].text
        (False, 'torch is not installed')
    """
    report = Report('.'.join(map(str, python)))
    found = report.findings
    if not PYTHONS[0] <= python[:2] <= PYTHONS[1]:
        found.append(Finding(True, f'Python {report.python} is outside 3.10 to 3.13', 'make setup PYTHON=python3.12'))
    for name, pip in {**NEEDED, **OPTIONAL}.items():
        distribution, version = (installed.get(name) or [('', '')])[0]
        report.packages.append(dict(name=name, distribution=distribution, version=version))
        if not distribution:
            text = f'{name} is not installed' + ('' if name in NEEDED else ' (optional)')
            found.append(Finding(name in NEEDED, text, f'pip install {pip}'))
        elif name in NEEDED and (error := try_import(name)):
            missing = re.search(r"No module named '(\w+)", error)
            fix = f'pip install {missing[1]}' if missing and missing[1] != name else ''
            found.append(Finding(True, f'import {name} fails: {error}', fix))
    found += _conflicts(installed)
    found.sort(key=lambda finding: (not finding.blocks, 'optional' in finding.text))
    return report


def _conflicts(installed: Installed) -> Iterator[Finding]:
    """Find packages that do not go together, or are installed twice."""
    versions = {name: version_key(found[0][1]) for name, found in installed.items() if found}
    torch, tools = versions.get('torch'), versions.get('setuptools', ())
    families = {name: 'onedl' if installed[name][0][0].startswith('onedl-') else 'open-mmlab'
                for name in ONEDL if installed.get(name)}
    for name in (*ONEDL, 'cv2'):
        providers = [distribution for distribution, _ in installed.get(name, [])]
        if len(providers) > 1:
            told = ' and '.join(providers)
            text = f'{name} is installed {len(providers)} times, by {told}: they overwrite each other'
            fix = f'pip uninstall -y {" ".join(providers)} && pip install --no-deps {ONEDL.get(name, providers[0])}'
            yield Finding(name in ONEDL, text, fix)
    if len(set(families.values())) > 1:
        told = ', '.join(f'{name} from {family}' for name, family in families.items())
        yield Finding(False, f'the stack is mixed: {told}; one family throughout is what is tested',
                      f'pip install {" ".join(ONEDL.values())}')
    if families.get('mmseg') == 'open-mmlab' and versions.get('mmcv', ()) >= (2, 2):
        yield Finding(True, 'mmsegmentation 1.2.2 refuses mmcv 2.2.0 and later',
                      'pip install --no-build-isolation mmcv==2.1.0')
    classic = 'open-mmlab' in families.values()
    if tools >= (82,) or (classic and not tools):
        need = 'the open-mmlab stack' if classic else 'building mmcv or inheriting "mmseg::" configs'
        yield Finding(classic, f'setuptools 82 and later lack pkg_resources, which {need} needs',
                      'pip install "setuptools<81"')
    if torch and torch < (2, 6):
        yield Finding(True, f'torch {".".join(map(str, torch))} is older than 2.6, which reading checkpoints without '
                            'pickle needs', f'pip install {NEEDED["torch"]}')
    if 'mmcv' in versions and not installed.get('mmcv._ext'):
        yield Finding(False, 'mmcv has no compiled operators; nothing here needs them')
