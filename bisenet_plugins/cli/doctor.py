"""Look at the installed stack and say what would not work, and the pip line that mends it.

Only Python's own library is imported here, so that a broken installation can still be examined; the tool loads this
file by its path.
"""

from __future__ import annotations

import importlib
import json
import platform
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata

__all__ = ['Finding', 'Package', 'Report', 'examine', 'examine_this_machine', 'format_report']

ONEDL = {'mmcv': 'onedl-mmcv==2.3.6', 'mmengine': 'onedl-mmengine==0.10.12', 'mmseg': 'onedl-mmsegmentation==1.4.2'}
CLASSIC = {'mmcv': 'mmcv==2.1.0', 'mmengine': 'mmengine==0.10.7', 'mmseg': 'mmsegmentation==1.2.2'}
NEEDED = {'torch': 'torch==2.13.0', 'numpy': 'numpy', 'cv2': 'opencv-python', 'matplotlib': 'matplotlib', **ONEDL}
OPTIONAL = {
    'setuptools': '"setuptools<81"',
    'timm': 'timm',
    'mmpretrain': 'onedl-mmpretrain==1.3.6',
    'mmdeploy': '--no-deps mmdeploy==1.3.1',
    'onnx': 'onnx',
    'onnxruntime': 'onnxruntime',
    'openvino': 'openvino',
    'tensorrt': 'tensorrt',
    'tensorrt_rtx': 'tensorrt-rtx',
}
OLDEST_TORCH = (2, 6)
PYTHONS = ((3, 10), (3, 13))


@dataclass(frozen=True)
class Package:
    """One import name and what provides it.

    Args:
        name: The import name.
        distribution: The installed distribution behind it; empty where there is none.
        version: Its version; empty where there is none.
        needed: Whether nothing works without it.
    """

    name: str
    distribution: str
    version: str
    needed: bool


@dataclass(frozen=True)
class Finding:
    """Something to know about an installation.

    Args:
        blocks: Whether the project cannot work as it is.
        text: What was found.
        mend: The command that mends it; empty where nothing needs mending.
    """

    blocks: bool
    text: str
    mend: str = ''


@dataclass
class Report:
    """Everything found.

    Args:
        python: Version of the interpreter.
        packages: The stack, needed packages first.
        findings: What blocks, then what is worth knowing.
    """

    python: str
    packages: list[Package] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing blocks."""
        return not any(finding.blocks for finding in self.findings)

    def to_json(self) -> str:
        """Write the report as JSON."""
        return json.dumps({**asdict(self), 'ok': self.ok}, indent=2)


def version_key(text: str) -> tuple[int, ...]:
    """Turn a version's leading numbers into a tuple to compare.

    Example:
        >>> version_key('2.13.0+cpu')
        (2, 13, 0)
    """
    match = re.match(r'\d+(\.\d+)*', text)
    return tuple(int(part) for part in match.group().split('.')) if match else ()


def examine(
    installed: Mapping[str, list[tuple[str, str]]],
    python: tuple[int, int, int],
    try_import: Callable[[str], str],
) -> Report:
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
    report = Report('.'.join(str(part) for part in python))
    found = report.findings
    for name, needed in [*((name, True) for name in NEEDED), *((name, False) for name in OPTIONAL)]:
        distribution, version = (installed.get(name) or [('', '')])[0]
        report.packages.append(Package(name, distribution, version, needed))
    if not PYTHONS[0] <= python[:2] <= PYTHONS[1]:
        found.append(Finding(True, f'Python {report.python} is outside 3.10 to 3.13', 'make setup PYTHON=python3.12'))
    versions = {package.name: version_key(package.version) for package in report.packages if package.distribution}
    for package in report.packages:
        if not package.distribution:
            table = NEEDED if package.needed else OPTIONAL
            text = f'{package.name} is not installed' + ('' if package.needed else ' (optional)')
            found.append(Finding(package.needed, text, f'pip install {table[package.name]}'))
    found += _stack(installed, versions)
    found += _details(installed, versions)
    for name in NEEDED:
        if name in versions and (error := try_import(name)):
            missing = re.search(r"No module named '([\w]+)", error)
            mend = f'pip install {missing.group(1)}' if missing and missing.group(1) != name else ''
            found.append(Finding(True, f'import {name} fails: {error}', mend))
    report.findings = sorted(found, key=lambda finding: (not finding.blocks, 'optional' in finding.text))
    return report


def _family(distribution: str) -> str:
    """Name the stack that a distribution belongs to."""
    return 'onedl' if distribution.startswith('onedl-') else 'open-mmlab'


def _stack(installed: Mapping[str, list[tuple[str, str]]], versions: Mapping[str, tuple[int, ...]]) -> list[Finding]:
    """Check that mmcv, mmengine and mmseg come from one place each, and fit together."""
    found = []
    families = {}
    for name in ONEDL:
        providers = [distribution for distribution, _ in installed.get(name, [])]
        if len(providers) > 1:
            mend = f'pip uninstall -y {" ".join(providers)} && pip install --no-deps {ONEDL[name]}'
            text = f'{name} is installed twice, by {" and ".join(providers)}: one has overwritten files of the other'
            found.append(Finding(True, text, mend))
        if providers:
            families[name] = _family(providers[0])
    if len(set(families.values())) > 1:
        told = ', '.join(f'{name} from {family}' for name, family in families.items())
        mend = f'pip install {" ".join(ONEDL.values())}'
        found.append(Finding(False, f'the stack is mixed: {told}; one family throughout is what is tested', mend))
    if families.get('mmseg') == 'open-mmlab' and versions.get('mmcv', ()) >= (2, 2):
        text = 'mmsegmentation 1.2.2 refuses mmcv 2.2.0 and later'
        found.append(Finding(True, text, f'pip install --no-build-isolation {CLASSIC["mmcv"]}'))
    classic = 'open-mmlab' in families.values()
    tools = versions.get('setuptools', ())
    if classic and (not tools or tools >= (82,)):
        text = 'the open-mmlab stack needs pkg_resources, which setuptools 82 and later lack'
        found.append(Finding(True, text, 'pip install "setuptools<81"'))
    elif tools >= (82,):
        text = 'setuptools 82 and later lack pkg_resources, which building mmcv or inheriting "mmseg::" configs needs'
        found.append(Finding(False, text, 'pip install "setuptools<81"'))
    return found


def _details(installed: Mapping[str, list[tuple[str, str]]], versions: Mapping[str, tuple[int, ...]]) -> list[Finding]:
    """Check single packages."""
    found = []
    torch = versions.get('torch')
    if torch and torch < OLDEST_TORCH:
        text = f'torch {".".join(map(str, torch))} is older than 2.6, which reading checkpoints without pickle needs'
        found.append(Finding(True, text, f'pip install {NEEDED["torch"]}'))
    numpy = versions.get('numpy', ())
    if torch and numpy >= (2,) and torch < (2, 3):
        found.append(Finding(True, 'numpy 2 needs torch 2.3 or later', 'pip install "numpy<2"'))
    opencv = [distribution for distribution, _ in installed.get('cv2', [])]
    if len(opencv) > 1:
        text = f'OpenCV is installed {len(opencv)} times, by {", ".join(opencv)}; they overwrite each other'
        mend = f'pip uninstall -y {" ".join(opencv)} && pip install {opencv[0]}'
        found.append(Finding(False, text, mend))
    if 'mmcv' in versions and not installed.get('mmcv._ext'):
        found.append(Finding(False, 'mmcv has no compiled operators; nothing here needs them'))
    return found


def examine_this_machine() -> Report:
    """Examine the interpreter that runs this."""
    providers = metadata.packages_distributions()
    installed: dict[str, list[tuple[str, str]]] = {}
    for name in [*NEEDED, *OPTIONAL]:
        distributions = dict.fromkeys(providers.get(name, []))
        installed[name] = [(distribution, metadata.version(distribution)) for distribution in distributions]
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
        lines = str(error).strip().splitlines()
        return f'{type(error).__name__}: {lines[-1] if lines else ""}'
    return ''


def format_report(report: Report) -> str:
    """Write a report for people."""
    lines = [f'Python {report.python} on {platform.system()} {platform.machine()}', '']
    for package in report.packages:
        state = package.version or ('missing' if package.needed else '-')
        lines.append(f'  {package.name:<13}{state:<14}{package.distribution}')
    for blocks, title in ((True, 'Blocks:'), (False, 'Good to know:')):
        chosen = [finding for finding in report.findings if finding.blocks == blocks]
        if chosen:
            lines += ['', title]
            lines += [f'  {finding.text}' + (f'\n      {finding.mend}' if finding.mend else '') for finding in chosen]
    verdict = 'Everything that is needed is there.' if report.ok else 'The lines under "Blocks" mend what is wrong.'
    lines += ['', verdict]
    return '\n'.join(lines)
