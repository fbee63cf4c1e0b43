"""Checkpoints are read without pickle, and the newest whole one is found."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner import load_checkpoint as mmengine_load

from bisenet_plugins.errors import CheckpointError
from bisenet_plugins.weights import (
    DamagedCheckpointError,
    RefusedCheckpointError,
    find_resumable,
    load_checkpoint,
    weights_only_checkpoints,
)
from bisenet_plugins.weights.checkpoint import load_weights


class Evil:
    """Runs a command when pickle rebuilds it."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


class Climb:
    """Asks for an attribute that leads out of the history buffer."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def whole(step):
    """The parts that a run needs to go on."""
    return {'meta': {'iter': step}, 'state_dict': {'weight': torch.ones(1)}, 'optimizer': {}}


def test_a_checkpoint_of_mmengine_is_read_without_pickle(trained):
    checkpoint = load_checkpoint(trained[1] / 'iter_4.pth')
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert len(history.data[0]) == 4
    assert history.statistics('mean', window_size=4) == pytest.approx(history.data[0].mean())


def test_pickle_is_refused_and_never_run(tmp_path):
    path, marker = tmp_path / 'evil.pth', tmp_path / 'was_here'
    torch.save({'state_dict': {}, 'note': Evil(marker)}, path)
    with pytest.raises(RefusedCheckpointError, match=r'mkdir.*convert_weights.py --trust.*state_dict'):
        load_checkpoint(path)
    assert not marker.exists()


def test_getattr_is_open_for_statistics_only(tmp_path):
    torch.save({'note': Climb()}, tmp_path / 'climb.pth')
    with pytest.raises(RefusedCheckpointError, match='getattr'):
        load_checkpoint(tmp_path / 'climb.pth')


@pytest.mark.parametrize('content', [b'', b'hello world', None])
def test_damaged_files_are_told_from_refused_ones(tmp_path, content):
    path = tmp_path / 'damaged.pth'
    torch.save(whole(1), path)
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(DamagedCheckpointError, match='damaged.pth: expected a checkpoint, got a truncated'):
        load_checkpoint(path)


def test_what_is_no_dictionary_or_not_there_is_named(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(DamagedCheckpointError, match='expected a dictionary of weights, got a list'):
        load_checkpoint(tmp_path / 'list.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        load_checkpoint(tmp_path / 'none.pth')


def test_mmengine_keeps_weights_only_inside_the_block(tmp_path):
    path, marker = tmp_path / 'evil.pth', tmp_path / 'was_here'
    torch.save({'state_dict': {}, 'note': Evil(marker)}, path)
    before = CheckpointLoader._schemes['']
    with pytest.raises(RefusedCheckpointError, match='mkdir'), weights_only_checkpoints():
        mmengine_load(torch.nn.Linear(1, 1), str(path))
    with pytest.raises(RefusedCheckpointError, match='a checkpoint that the config names'), weights_only_checkpoints():
        torch.load(path, weights_only=False)
    assert not marker.exists()
    assert CheckpointLoader._schemes[''] is before
    assert 'TORCH_FORCE_WEIGHTS_ONLY_LOAD' not in os.environ


def test_the_switch_of_a_user_is_kept(monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'yes')
    with weights_only_checkpoints():
        assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == '1'
    assert os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] == 'yes'


def make_run(folder: Path, steps, last):
    for step in steps:
        torch.save(whole(step), folder / f'iter_{step}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / last) if last else '')


def cut(path: Path):
    path.write_bytes(path.read_bytes()[:-200])


def test_the_newest_checkpoint_is_found(tmp_path):
    assert find_resumable(tmp_path) is None
    make_run(tmp_path, [9, 10], 'iter_10.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_10.pth'


@pytest.mark.parametrize('last', ['iter_10.pth', '', 'iter_11.pth'])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, last, monkeypatch):
    told = []
    monkeypatch.setattr('bisenet_plugins.weights.checkpoint.print_log', lambda text, **options: told.append(text))
    make_run(tmp_path, [8, 9, 10], last)
    cut(tmp_path / 'iter_10.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_9.pth'
    assert re.search('iter_10.pth: expected a checkpoint.*the checkpoint before it is tried', told[-1])
    assert (len(told) == 2) == (last == 'iter_11.pth'), 'a note that names a missing file is reported too'


def test_weights_alone_are_not_resumed(tmp_path):
    make_run(tmp_path, [9], 'best_mIoU_iter_9.pth')
    torch.save({'state_dict': {}, 'meta': {}}, tmp_path / 'best_mIoU_iter_9.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_9.pth'


def test_a_training_that_saves_no_optimizer_goes_on(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr('bisenet_plugins.weights.checkpoint.print_log', lambda text, *options: told.append(text))
    torch.save({'state_dict': {}, 'meta': {'iter': 4}}, tmp_path / 'iter_4.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_4.pth'
    assert told[0].endswith('iter_4.pth holds no state of the optimizer, which starts from zero')


def test_a_moved_run_finds_its_files(tmp_path):
    make_run(tmp_path, [9, 10], 'iter_9.pth')
    (tmp_path / 'last_checkpoint').write_text('/gone/iter_9.pth')
    assert find_resumable(tmp_path) == tmp_path / 'iter_9.pth'


def test_nothing_whole_and_pickle_are_errors(tmp_path):
    make_run(tmp_path, [9, 10], 'iter_10.pth')
    for path in tmp_path.glob('*.pth'):
        cut(path)
    with pytest.raises(DamagedCheckpointError, match=r"got damaged \['iter_\d+\.pth', '"):
        find_resumable(tmp_path)
    torch.save({**whole(10), 'note': Evil(tmp_path / 'x')}, tmp_path / 'iter_10.pth')
    with pytest.raises(RefusedCheckpointError, match='iter_10.pth: expected plain tensors'):
        find_resumable(tmp_path)


def test_a_safetensors_file_is_a_checkpoint(tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    path = tmp_path / 'weights.safetensors'
    save_file({'weight': torch.ones(2, dtype=torch.half)}, path)
    assert load_checkpoint(path)['state_dict']['weight'].tolist() == [1.0, 1.0]
    layer = torch.nn.LayerNorm(2, bias=False)
    layer.weight.data.zero_()
    with weights_only_checkpoints():
        mmengine_load(layer, str(path))
    assert layer.weight.tolist() == [1.0, 1.0] and layer.weight.dtype == torch.float32
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DamagedCheckpointError, match='weights.safetensors: expected a checkpoint'):
        load_checkpoint(path)


def test_changed_bytes_are_noticed(tmp_path):
    """torch.load reads the weights all the same."""
    path = tmp_path / 'weights.pth'
    torch.save({'weight': torch.arange(1000.0)}, path)
    content = bytearray(path.read_bytes())
    place = bytes(content).index(torch.tensor([500.0, 501.0]).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match='expected the bytes that were written, got others in .*data/0'):
        load_checkpoint(path)


def test_weights_that_are_not_finite_are_refused():
    layer = torch.nn.Linear(2, 2)
    state = {**layer.state_dict(), 'bias': torch.tensor([1.0, float('inf')])}
    with pytest.raises(CheckpointError, match='here: expected finite weights .*, got others in bias'):
        load_weights(layer, dict(state_dict=state), 'here')


@pytest.mark.parametrize('bare', [False, True])
@pytest.mark.parametrize('odd, kind', [
    ([1.0], 'list'), ('text', 'str'), (np.ones(2), 'ndarray'), (torch.ones(2).to_sparse(), 'sparse tensor'),
    (torch.ones(2, device='meta'), 'meta tensor'), (None, 'NoneType')])
def test_what_is_no_plain_tensor_is_named(tmp_path, odd, kind, bare):
    layer = torch.nn.Linear(2, 2)
    state, path = {**layer.state_dict(), 'bias': odd}, tmp_path / 'a.pth'
    torch.save(state if bare else dict(state_dict=state), path)
    with pytest.raises(CheckpointError, match=f"a.pth: expected plain tensors, got a {kind} as 'bias'"):
        load_weights(layer, load_checkpoint(path), str(path))
    with pytest.raises(CheckpointError, match=f"here: expected plain tensors, got a {kind} as 'bias'"):
        load_weights(layer, state if bare else dict(state_dict=state), 'here')


@pytest.mark.parametrize('wrap', [dict, lambda state: dict(state_dict=state)])
def test_names_that_are_none_are_named(tmp_path, wrap):
    torch.save(wrap({3: torch.ones(2)}), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='a.pth: .* got 2 missing'):
        load_weights(torch.nn.Linear(2, 2), load_checkpoint(tmp_path / 'a.pth'), 'a.pth')
    with pytest.raises(CheckpointError, match='here: .* got 2 missing'):
        load_weights(torch.nn.Linear(2, 2), wrap({3: torch.ones(2)}), 'here')


@pytest.mark.parametrize('begins', [b'\x89PNG\r\n\x1a\n', b'{"weight": 1}', b'\x40' + bytes(7) + b'{"__metadata__'])
def test_a_foreign_file_is_named_by_its_beginning(tmp_path, begins):
    (tmp_path / 'a.pth').write_bytes(begins + bytes(100))
    with pytest.raises(DamagedCheckpointError, match=r'got a truncated or foreign file \(.*\w.*\)'):
        load_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('content', [b'no checkpoint', b'\x80\x02garbage', b'\x80\x02hello', b'(lp0\n.'])
def test_no_message_advises_to_run_what_a_file_holds(content, tmp_path):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(tmp_path / 'a.pth')
    assert 'weights_only' not in str(refused.value) and 'two options' not in str(refused.value)
