"""The curves hold the whole history of a run."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bisenet_plugins.engine import CurvesHook, draw_curves, read_history
from bisenet_plugins.weights import load_checkpoint


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def test_starts_of_a_run_are_joined_where_one_takes_over(tmp_path):
    first, second = tmp_path / 'a.json', tmp_path / 'b.json'
    write(first, [{'loss': 9.0, 'step': step} for step in (1, 2, 3, 4)])
    with first.open('a') as file:
        file.write('{"mIoU": 12.5, "step": 2}\n{"loss": 8.0, "st')
    write(second, [{'loss': 5.0, 'lr': 0.1, 'step': 3}, {'note': 'text', 'step': 4}])
    history = read_history([(first, 0), (second, 2), (tmp_path / 'gone.json', 7)])
    assert history == {1: {'loss': 9.0}, 2: {'loss': 9.0, 'mIoU': 12.5}, 3: {'loss': 5.0, 'lr': 0.1}, 4: {}}


@pytest.mark.parametrize('history', [
    {1: {'loss': 1.0}},
    {1: {'loss': 2.0, 'decode.loss_ce': 1.5, 'lr': 0.1}, 2: {'loss': 1.0, 'lr': 0.05, 'mIoU': 40.0}},
    {5: {'mIoU': 10.0}},
])
def test_curves_are_drawn_from_whatever_there_is(history):
    plot = Image.open(io.BytesIO(draw_curves(history, 'a run')))
    assert plot.format == 'PNG' and plot.width > 3 * plot.height


def test_a_run_leaves_curves_and_notes_its_log(trained):
    scalars = next(trained[1].glob('*/vis_data/scalars.json'))
    assert (scalars.parents[1] / 'curves.png').stat().st_size > 5000
    noted = load_checkpoint(trained[1] / 'iter_4.pth')['message_hub']['runtime_info']['curves_logs']
    assert noted == [[scalars.parents[1].name, 0]]
    history = read_history([(scalars, 0)])
    assert [step for step, row in history.items() if 'loss' in row] == [1, 2, 3, 4]
    assert [step for step, row in history.items() if 'mIoU' in row] == [2, 4]


class Hub:
    """A message hub's notes."""

    def __init__(self):
        self.runtime_info = {}

    def get_info(self, key, default=None):
        return self.runtime_info.get(key, default)

    def update_info(self, key, value):
        self.runtime_info[key] = value


def make_runner(folder, timestamp, iteration, hub):
    warned = []
    return SimpleNamespace(work_dir=str(folder), log_dir=str(folder / timestamp), timestamp=timestamp, iter=iteration,
                           message_hub=hub, experiment_name='run', warned=warned,
                           logger=SimpleNamespace(warning=warned.append))


def test_a_resumed_run_shows_its_past(tmp_path, monkeypatch):
    drawn = []

    def keep(history, title):
        drawn.append(sorted(history))
        return b'picture'

    monkeypatch.setattr('bisenet_plugins.engine.curves_hook.draw_curves', keep)
    hub = Hub()
    write(tmp_path / 'one' / 'vis_data' / 'scalars.json', [{'loss': 1.0, 'step': step} for step in (1, 2, 3)])
    CurvesHook().before_train(make_runner(tmp_path, 'one', 0, hub))
    hook, runner = CurvesHook(), make_runner(tmp_path, 'two', 2, hub)
    hook.before_train(runner)
    hook.after_val_epoch(runner, {})
    write(tmp_path / 'two' / 'vis_data' / 'scalars.json', [{'loss': 1.0, 'step': step} for step in (3, 4)])
    hook.after_train(runner)
    assert drawn == [[1, 2], [1, 2, 3, 4]]
    assert (tmp_path / 'two' / 'curves.png').read_bytes() == b'picture'


def test_without_figures_it_warns_once(tmp_path):
    hook, runner = CurvesHook(), make_runner(tmp_path, 'one', 0, Hub())
    hook.after_train(runner)
    hook.after_train(runner)
    assert len(runner.warned) == 1 and 'LocalVisBackend' in runner.warned[0]
    assert not np.any([path.is_file() for path in tmp_path.rglob('*')])
