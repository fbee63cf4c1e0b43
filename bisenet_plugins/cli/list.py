"""List the networks in the package and the configs that come with it: size, operations and mIoU."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ..errors import expect, require
from ..weights.store import read_index
from .options import configs_folder

NEEDS_PACKAGE = False


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('words', nargs='*', metavar='WORD', help='only names that hold every one of these')
    parser.add_argument('--json', action='store_true', help='print the lists as JSON')


def run(args: Namespace) -> None:
    """Print both lists."""
    configs = read_configs()
    networks = [entry for entry in read_networks(configs) if all(word in entry['name'] for word in args.words)]
    configs = [entry for entry in configs if all(word in entry['name'] for word in args.words)]
    if not (networks or configs):
        require('yaml')
    expect(bool(networks or configs), 'WORD', 'words that are in a name of a network or config', ' '.join(args.words))
    if args.json:
        print(json.dumps(dict(networks=networks, configs=configs), indent=2))
        return
    if networks:
        print('networks in the package; segment with one: bisenet predict IMAGE --pretrained NAME')
        print(as_table(networks, ('name', 'dataset', 'parameters', 'MB', 'val mIoU', 'test mIoU')), end='\n\n')
    if configs:
        print('configs; write one here: bisenet config NAME')
        print(as_table(configs, ('name', 'dataset', 'parameters', 'GMACs', 'val mIoU')), end='\n\n')
    elif find_spec('yaml') is None:
        print('configs are not listed: they need PyYAML, which comes with mmengine; "bisenet doctor" says more\n')
    print('GMACs are for one image of the size in the name; mIoU is given where the repository holds the log.')


def read_configs() -> list[dict[str, Any]]:
    """Read the model index, without a look into any config.

    Returns:
        For each config its ``name``, ``config`` (path below ``configs/``), ``dataset``, ``parameters``, ``GMACs`` and
        ``val mIoU``, None where it was not run; what was run first. Nothing without PyYAML, which comes with mmengine,
        and without which no config can be read.
    """
    try:
        import yaml
    except ImportError:
        return []
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    entries = []
    for path in sorted(configs_folder().glob('*/metafile.yml')):
        for model in yaml.load(path.read_text(encoding='utf-8'), loader)['Models']:
            facts, miou = model['Metadata'], model['Results'][0]['Metrics']['mIoU']
            entries.append({
                'name': model['Name'], 'config': model['Config'].removeprefix('configs/'),
                'dataset': facts['Training Data'], 'parameters': facts['Parameters'],
                'GMACs': round(facts['FLOPs'] / 1e9, 2), 'val mIoU': miou if isinstance(miou, float) else None})
    return sorted(entries, key=lambda entry: (entry['val mIoU'] is None, entry['name']))


def read_networks(configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read which networks the package holds.

    Args:
        configs: As from :func:`read_configs`; they know what a network costs.

    Returns:
        As for configs, with ``MB`` of the file and ``test mIoU``.
    """
    known = {entry['name']: entry for entry in configs}
    return [{**known.get(entry.get('config', ''), {}), 'name': name, 'MB': round(entry['bytes'] / 1e6, 1),
             'val mIoU': entry['mIoU'], 'test mIoU': entry.get('test_mIoU')} for name, entry in read_index().items()]


def as_table(entries: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Arrange entries in columns.

    Example:
        >>> print(as_table([{'name': 'a', 'parameters': 5000000, 'mIoU': 64.5}], ('name', 'parameters', 'mIoU')))
          name  parameters   mIoU
          a         5.00 M  64.50
    """
    def cell(column: str, value: Any) -> str:
        if value is None:
            return '-'
        if column == 'parameters':
            return f'{value / 1e6:.2f} M'
        return f'{value:.{1 if column == "MB" else 2}f}' if isinstance(value, float) else str(value)

    rows = [list(columns), *([cell(column, entry.get(column)) for column in columns] for entry in entries)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    text = [place < 2 and columns[place] in ('name', 'dataset') for place in range(len(columns))]
    return '\n'.join('  ' + '  '.join(
        value.ljust(width) if left else value.rjust(width) for value, width, left in zip(row, widths, text)).rstrip()
        for row in rows)
