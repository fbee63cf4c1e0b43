"""Checkpoints appear whole or not at all."""

import os

import pytest
import torch
from mmengine.fileio import get_file_backend

from bisenet_plugins.engine import AtomicCheckpointHook, AtomicLocalBackend
from bisenet_plugins.files import write_atomically
from bisenet_plugins.weights import load_checkpoint


@pytest.mark.parametrize('step', ['fsync', 'replace'])
def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / 'file'
    write_atomically(path, b'old')

    def broken(*args):
        raise OSError('the disk is full')

    monkeypatch.setattr(os, step, broken)
    with pytest.raises(OSError, match='the disk is full'):
        write_atomically(path, b'new and longer')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['file']


def test_mmengine_finds_the_backend(tmp_path):
    backend = get_file_backend(backend_args={'backend': 'atomic_local'})
    assert isinstance(backend, AtomicLocalBackend)
    backend.put_text('grün', tmp_path / 'new' / 'text')
    backend.put(memoryview(b'bytes'), str(tmp_path / 'bytes'))
    assert backend.get_text(tmp_path / 'new' / 'text') == 'grün'
    assert (tmp_path / 'bytes').read_bytes() == b'bytes'


def test_the_hook_writes_through_it_unless_told_otherwise():
    assert AtomicCheckpointHook(interval=1).backend_args == {'backend': 'atomic_local'}
    assert AtomicCheckpointHook(interval=1, backend_args={'backend': 'local'}).backend_args == {'backend': 'local'}


def test_a_run_keeps_its_newest_checkpoints(trained):
    folder = trained[1]
    assert sorted(path.name for path in folder.glob('*.pth')) == ['iter_2.pth', 'iter_4.pth']
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'iter_4.pth')
    assert not list(folder.rglob('*.partial'))


class Scales(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


class FakeRunner:
    """As much of a runner as saving needs; says what lay on the disk whenever it saved."""

    def __init__(self, folder):
        self.folder = folder
        self.work_dir = str(folder)
        self.model = Scales()
        self.seen = []
        self.message_hub = self

    def update_info(self, key, value):
        setattr(self, key, value)

    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        self.seen.append(sorted(path.name for path in self.folder.glob('*.pth')))
        torch.save({'meta': kwargs['meta']}, self.folder / filename)


def test_an_outdated_checkpoint_goes_only_after_the_new_one_is_there(tmp_path):
    from collections import deque

    hook = AtomicCheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1)
    runner = FakeRunner(tmp_path)
    hook.out_dir = str(tmp_path)
    hook.file_backend = AtomicLocalBackend()
    hook.keep_ckpt_ids = deque(maxlen=1)
    for step in (1, 2, 2, 3):
        hook._save_checkpoint_with_step(runner, step, {'iter': step})
    assert runner.seen == [[], ['iter_1.pth'], ['iter_2.pth'], ['iter_2.pth']]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_3.pth']
    assert load_checkpoint(tmp_path / 'iter_3.pth')['meta'] == {'iter': 3}
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_3.pth')
