"""One bad input, and whether what came of it is right."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .warm import NOT_POSSIBLE

ROOT = Path(__file__).resolve().parents[1]
MAY_APPEAR = ('w', 'w/*', 'disk', 'out', 'work_dirs', 'work_dirs/*')
"""What a failed command may leave: folders for logs and checkpoints. Nothing else, and nothing that is partial."""


@dataclass(frozen=True)
class Case:
    """One bad input.

    ``name`` is unique; ``words`` is the command line; ``says`` are patterns (``*`` matches anything) that the one line
    on stderr must contain; ``status`` the exit status, or several that are right; ``change`` prepares the folder;
    ``may`` are more files that may appear; ``more`` goes to :mod:`faults.warm`; ``seconds`` is the time limit.
    """

    name: str
    words: tuple[Any, ...]
    says: tuple[str, ...] = ()
    status: int | tuple[int, ...] = 1
    change: Callable[[Path], Any] | None = None
    may: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    seconds: float = 60.0


def cases(*listed: Case) -> Any:
    """Make a test for each case."""
    names = [case.name for case in listed]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return pytest.mark.parametrize('case', listed, ids=names)


class Runner:
    """The warm process."""

    def __init__(self) -> None:
        environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '-1',
                       'COLUMNS': '200'}
        self.process = subprocess.Popen([sys.executable, '-m', 'faults.warm'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
                                        env=environment)
        assert json.loads(self.process.stdout.readline()) == 'ready'

    def __call__(self, words: tuple[Any, ...], folder: Path, seconds: float = 60.0, **more: Any) -> tuple[Any, str,
        str]:
        """Run a command in a folder; return its exit status, stdout and stderr."""
        words = [os.fsencode(str(word) if not isinstance(word, bytes) else word).decode('latin-1') for word in words]
        asked = dict(words=words, folder=str(folder), seconds=seconds, **more)
        self.process.stdin.write(json.dumps(asked) + '\n')
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        if done['status'] == NOT_POSSIBLE:
            pytest.skip('needs the right to mount a file system')
        told = [Path(f'{folder}.{name}').read_bytes().decode(errors='surrogateescape') for name in ('stdout', 'stderr')]
        self.seconds = done['seconds']
        return done['status'], *told

    def close(self) -> None:
        """End it with a word: data workers that pytest forked since hold its stdin open."""
        self.process.stdin.write('null\n')
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


def listing(folder: Path) -> dict[str, str]:
    """Return what is in a folder, with a digest of each file."""
    found = {}
    for path in sorted(folder.rglob('*')):
        whole = path.is_file() and not path.is_symlink()
        found[os.fsencode(path.relative_to(folder)).decode('latin-1')] = (
            hashlib.sha256(path.read_bytes()).hexdigest() if whole else '')
    return found


def judge(case: Case, runner: Runner, material: Path, folder: Path) -> None:
    """Run a case and judge it: exit status, one line that names the thing, no traceback, no partial or changed file."""
    shutil.copytree(material, folder)
    if case.change is not None:
        case.change(folder)
    before = listing(folder)
    status, out, err = runner(case.words, folder, case.seconds, **case.more)
    story = f'{case.words}: status {status}\n{err[-3000:]}\n{out[-1500:]}'
    assert status is not None, f'took more than {case.seconds} s: {story}'
    right = case.status if isinstance(case.status, tuple) else (case.status,)
    assert status in right, story
    assert 'Traceback' not in err and 'Traceback' not in out, story
    assert all(character.isprintable() or character in '\n\r\t' or 0xdc80 <= ord(character) for character in err), story
    text = err + out
    if status not in (0, 130, 141, 143):
        lines = err.splitlines()
        wrong = [line for line in lines if line.startswith(('error: ', 'failed: ')) or ': error: ' in line]
        assert wrong or 'WRONG' in out, story
        assert len(wrong) <= 1 or wrong[0].startswith('failed: '), story
        assert all(len(line) < 1000 for line in wrong), story
        text = '\n'.join(wrong) if wrong and wrong[0].startswith('error: ') else text  # logs hold the whole config
    text = ' '.join(text.split())
    missing = re.search('error: (.* is not installed; it comes with the extra .*)', text)
    if missing and case.words[0] in ('export', 'verify'):
        pytest.skip(missing[1])
    for words in case.says:
        assert fnmatch.fnmatchcase(text, f'*{words.replace("[", "[[]")}*'), f'expected {words!r} in {story}'
    after = listing(folder)
    changed = [name for name in before if after.get(name) != before[name]]
    assert not [name for name in changed if not any(fnmatch.fnmatchcase(name, one) for one in case.may)], \
        f'{changed} changed: {story}'
    may = (*MAY_APPEAR, *case.may)
    new = [name for name in after if name not in before]
    assert not [name for name in new if not any(fnmatch.fnmatchcase(name, one) for one in may)], f'{new}: {story}'
    left = [name for name in new if any(part in name for part in ('.partial', '.deploy-', '.export-'))]
    assert not left, f'{left}: {story}'
