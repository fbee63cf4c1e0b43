"""Options of a command line, laid over a config."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop

from bisenet_plugins.engine import launch
from bisenet_plugins.engine.launch import load_config, prepare_test, prepare_training, run_test, run_training
from bisenet_plugins.errors import CheckpointError, ConfigError, InputError


@pytest.fixture
def cfg(trained, tmp_path):
    return load_config(trained[0], tmp_path / 'work')


def test_a_config_is_read_with_its_options(trained, tmp_path):
    cfg = load_config(trained[0], None, {'train_dataloader.batch_size': 3})
    assert (cfg.work_dir, cfg.train_dataloader.batch_size, cfg.launcher) == ('work_dirs/tiny', 3, 'none')
    assert load_config(trained[0], tmp_path).work_dir == str(tmp_path)


@pytest.mark.parametrize('key', ['nope.a.b', 'hyper.lr', 'nope', 'train_pipeline'])
def test_an_option_that_nothing_reads_is_refused(trained, key):
    name = key.partition('.')[0]
    with pytest.raises(ConfigError, match=f"--cfg-options: expected keys that are in the config, got '{name}'"):
        load_config(trained[0], None, {key: 3, 'train_cfg.max_iters': 2})
    options = {'custom_hooks': [], 'auto_scale_lr.base_batch_size': 16, 'load_from': None,
               'compile.backend': 'eager', 'sync_bn': 'torch', 'activation_checkpointing': ['backbone']}
    assert load_config(trained[0], None, options).auto_scale_lr.base_batch_size == 16


def test_an_option_that_the_file_alone_reads_is_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match="expected keys of what is built, got 'pipeline', which only the config file"):
        load_config(trained[0], None, {'pipeline': []})
    own = tmp_path / 'own.py'
    own.write_text(f"_base_ = '{trained[0]}'\nlength = 3\nmy_hooks_note = 'a'\ntrain_cfg = dict(max_iters=length)\n")
    assert load_config(own, None, {'my_hooks_note': 'b'}).my_hooks_note == 'b'  # for code of one's own
    with pytest.raises(ConfigError, match="got 'length'"):
        load_config(own, None, {'length': 5})
    with pytest.raises(ConfigError, match=r'--cfg-options: .* in val_cfg\.a, val_cfg\.a\.-1'):
        load_config(own, None, {'val_cfg.a': [1], 'val_cfg.a.-1': 2})


def test_a_schedule_by_epochs_is_refused_where_iterations_count(trained, tmp_path):
    for schedule, path in (([dict(type='PolyLR', end=4)], r'param_scheduler\.0'),
                           (dict(type='OneCycleLR', eta_max=0.1, total_steps=4, by_epoch=True), 'param_scheduler')):
        cfg = load_config(trained[0], tmp_path)
        cfg.param_scheduler = schedule
        with pytest.raises(ConfigError, match=f'^{path}.by_epoch: expected False'):
            prepare_training(cfg)
    for moves in (dict(type='ReduceOnPlateauLR', monitor='mIoU'), dict(type='PolyLR', convert_to_iter_based=True)):
        cfg = load_config(trained[0], tmp_path, {'param_scheduler': [moves]})
        assert prepare_training(cfg) is cfg


def test_what_a_resumed_run_keeps_is_said(trained, tmp_path, caplog):
    shutil.copytree(trained[1], tmp_path / 'run')
    (tmp_path / 'run' / 'last_checkpoint').unlink()
    given = load_config(trained[0]).optim_wrapper.optimizer.lr
    options = {'train_cfg.max_iters': 5, 'param_scheduler.0.end': 9, 'optim_wrapper.optimizer.lr': 7.5,
               'auto_scale_lr': None,
               'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False}
    said = []
    for laid in (options, {**options, 'param_scheduler.0.end': load_config(trained[0]).param_scheduler[0].end,
                           'optim_wrapper.optimizer.lr': given}):
        runner = run_training(prepare_training(load_config(trained[0], tmp_path / 'run', laid), resume=True))
        said.append(open(next(iter(sorted((tmp_path / 'run').glob('*/*.log'), reverse=True)))).read())
        assert runner.iter == 5
        for file in (tmp_path / 'run').glob('iter_5.pth'):
            file.unlink()
    assert f'keeps optim_wrapper.optimizer.lr={given}, param_scheduler.0.end=' in said[0]
    assert 'whatever the config says' not in said[1]


def test_what_is_no_config_is_named(tmp_path):
    with pytest.raises(ConfigError, match='there is no config at .*none.py'):
        load_config(tmp_path / 'none.py')
    (tmp_path / 'broken.py').write_text('model = (')
    with pytest.raises(ConfigError, match='broken.py: expected an mmengine config, got SyntaxError'):
        load_config(tmp_path / 'broken.py')


def test_missing_keys_are_named(tmp_path):
    with pytest.raises(ConfigError, match='got none named model, train_dataloader, train_cfg, optim_wrapper'):
        prepare_training(Config({}))
    with pytest.raises(ConfigError, match='config: expected .* got none named test_cfg, tta_pipeline'):
        prepare_test(Config(dict(model={}, test_dataloader={}, test_evaluator={})), 'x', tta=True)


def test_an_endless_sampler_is_refused_in_epochs(cfg):
    for loop, sampler in (('EpochBasedTrainLoop', 'ResumableSampler'), (EpochBasedTrainLoop, InfiniteSampler)):
        cfg.train_cfg = dict(type=loop, max_epochs=1)
        cfg.train_dataloader.sampler = dict(type=sampler)
        with pytest.raises(ConfigError, match='such as DefaultSampler, and no SeedSample in the pipeline, got '):
            prepare_training(cfg)


def test_amp_and_learning_rate(cfg, monkeypatch):
    with pytest.raises(ConfigError, match='--amp: expected an accelerator, got a CPU'):
        monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
        prepare_training(cfg, amp=True)
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    assert prepare_training(cfg, amp=True).optim_wrapper.type == 'AmpOptimWrapper'
    for kind in (OptimWrapper, AmpOptimWrapper, 'mmengine.optim.OptimWrapper'):  # as lazy imports have them
        cfg.optim_wrapper.type = kind
        assert prepare_training(cfg, amp=True).optim_wrapper.type == 'AmpOptimWrapper'
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ConfigError, match='optim_wrapper.type: expected OptimWrapper with --amp, got ApexOptimWrapper'):
        prepare_training(cfg, amp=True)
    with pytest.raises(ConfigError, match='auto_scale_lr: expected dict'):
        prepare_training(cfg, auto_scale_lr=True)
    cfg.auto_scale_lr = dict(base_batch_size=16)
    assert prepare_training(cfg, auto_scale_lr=True).auto_scale_lr.enable


def test_resuming_finds_the_newest_checkpoint(trained, tmp_path):
    cfg = prepare_training(load_config(trained[0], trained[1]), resume=True)
    assert (cfg.resume, cfg.load_from) == (True, str(trained[1] / 'iter_4.pth'))
    cfg = prepare_training(load_config(trained[0], tmp_path), resume=True)
    assert (cfg.resume, cfg.load_from) == (False, None)
    chosen = str(trained[1] / 'iter_2.pth')
    cfg = prepare_training(load_config(trained[0], tmp_path, {'load_from': chosen}), resume=True)
    assert (cfg.resume, cfg.load_from) == (True, chosen)
    cfg = prepare_training(load_config(trained[0], trained[1], {'load_from': chosen}), resume=True)
    assert (cfg.resume, cfg.load_from) == (True, str(trained[1] / 'iter_4.pth')), 'the run itself was interrupted later'
    for content in ({'a': torch.ones(2)}, dict(meta=dict(epoch=1), state_dict={'a': torch.ones(2)})):
        torch.save(content, tmp_path / 'weights.pth')
        cfg = load_config(trained[0], tmp_path, {'load_from': str(tmp_path / 'weights.pth')})
        assert not prepare_training(cfg, resume=True).resume and cfg.load_from == str(tmp_path / 'weights.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint at none.pth'):
        prepare_training(load_config(trained[0], tmp_path, {'load_from': 'none.pth'}))
    for resume in (False, True):
        cfg = load_config(trained[0], tmp_path, {'load_from': 'bisenet_plugins://nope'})
        with pytest.raises(InputError, match='load_from: expected a file or one of .*://bisenetv2-camvid.*://nope'):
            prepare_training(cfg, resume)
    cfg = load_config(trained[0], tmp_path, {'load_from': 'bisenet_plugins://bisenetv2-camvid'})
    assert prepare_training(cfg).load_from == 'bisenet_plugins://bisenetv2-camvid'


def test_a_run_is_not_resumed_with_another_network(trained, tmp_path):
    options = {'model.decode_head.channels': 16, 'load_from': str(trained[1] / 'iter_4.pth')}
    with pytest.raises(CheckpointError, match="expected the weights of the config's network, got others, the first is "
                                              'decode_head'):
        run_training(prepare_training(load_config(trained[0], tmp_path, options), resume=True))
    torch.save({'a': torch.ones(2)}, tmp_path / 'other.pth')
    options['load_from'] = str(tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='got others'):
        run_training(prepare_training(load_config(trained[0], tmp_path, options)))


def test_a_training_does_not_start_from_what_are_no_tensors(cfg, trained, tmp_path):
    start = torch.load(trained[1] / 'iter_4.pth', weights_only=False)['state_dict']
    torch.save({name: value.numpy() for name, value in start.items()}, tmp_path / 'arrays.pth')
    cfg.load_from = str(tmp_path / 'arrays.pth')
    with pytest.raises(CheckpointError, match=r'arrays\.pth: expected the weights of the config.s network, got others'):
        run_training(prepare_training(cfg))


def test_a_shared_classifier_makes_no_start(cfg, trained, tmp_path):
    state = torch.load(trained[1] / 'iter_4.pth', map_location='cpu', weights_only=False)['state_dict']
    torch.save({name.replace('backbone.', 'backbone.other_'): value for name, value in state.items()},
               tmp_path / 'foreign.pth')
    cfg.load_from = str(tmp_path / 'foreign.pth')
    with pytest.raises(CheckpointError, match='got others, the first is backbone.*; "bisenet convert" renames those'):
        run_training(prepare_training(cfg))


def test_the_backbone_alone_makes_a_start(cfg, trained, tmp_path):
    state = torch.load(trained[1] / 'iter_4.pth', map_location='cpu', weights_only=False)['state_dict']
    torch.save({name: value for name, value in state.items() if name.startswith('backbone.')}, tmp_path / 'half.pth')
    cfg.load_from = str(tmp_path / 'half.pth')
    launch._check_start(launch.build_runner(cfg), cfg)


def test_processes_on_the_cpu(cfg, monkeypatch):
    cfg.launcher = 'pytorch'
    monkeypatch.delenv('RANK', raising=False)
    for launcher, starter in (('pytorch', 'torchrun'), ('slurm', 'srun'), ('mpi', 'mpirun')):
        cfg.launcher = launcher
        with pytest.raises(ConfigError, match=f'--launcher {launcher}: expected processes started by .*{starter}'):
            launch.build_runner(cfg)
    monkeypatch.setattr(launch.torch_dist, 'is_initialized', lambda: True)
    launch._prepare_cpu_processes(cfg)
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model.backbone.norm_cfg.type == cfg.model.decode_head.norm_cfg.type == 'BN'


def test_a_missing_checkpoint_is_named(cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*none.pth'):
        prepare_test(cfg, tmp_path / 'none.pth')


@pytest.mark.parametrize('tta', [False, True])
def test_a_test_writes_what_is_asked_for(trained, tmp_path, tta):
    cfg = load_config(trained[0], tmp_path / 'work')
    out, show = tmp_path / 'out', tmp_path / 'show'
    cfg = prepare_test(cfg, trained[1] / 'iter_4.pth', str(out), str(show), tta=tta)
    assert (cfg.model.type == 'BilateralTTAModel') == tta
    metrics = run_test(cfg)
    assert 0 <= metrics['mIoU'] <= 100
    names = [f'street_scene_{number:06d}.png' for number in range(4)]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in show.iterdir()) == names


def test_every_joined_dataset_is_tested_in_its_variants(trained, tmp_path):
    cfg = load_config(trained[0], tmp_path / 'work')
    inner = dict(cfg.test_dataloader.dataset, length=1)
    inner.pop('pipeline')
    wanted = [inner, dict(type='RepeatDataset', times=2, dataset=dict(inner, seed=3))]
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=wanted)
    cfg.test_dataloader.batch_size = 1
    metrics = run_test(prepare_test(cfg, trained[1] / 'iter_4.pth', str(tmp_path / 'out'), tta=True))
    assert 0 <= metrics['mIoU'] <= 100
    joined = cfg.test_dataloader.dataset.datasets
    assert joined[0].pipeline == joined[1].dataset.pipeline == cfg.tta_pipeline


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize(('change', 'message'), [
    (lambda state: {}, 'expected the weights of the config.s network, got .* missing'),
    (lambda state: {name: value for name, value in state.items() if 'conv_seg' not in name},
     'got 2 missing and 0 of another shape'),
    (lambda state: {name: value * float('nan') if 'conv_seg.w' in name else value for name, value in state.items()},
     'expected finite weights and variances above 0, got others in decode_head.conv_seg.weight')])
def test_a_test_refuses_weights_of_another_network(trained, tmp_path, tta, change, message):
    """mmengine's runner would score a network that got none of them."""
    state = torch.load(trained[1] / 'iter_4.pth', map_location='cpu', weights_only=False)['state_dict']
    torch.save(dict(state_dict=change(dict(state))), tmp_path / 'other.pth')
    cfg = prepare_test(load_config(trained[0], tmp_path / 'test'), tmp_path / 'other.pth', tta=tta)
    with pytest.raises(CheckpointError, match=message):
        run_test(cfg)


def damage(folder, how):
    for path in (folder / ('images' if 'image' in how else 'labels')).iterdir():
        if how.startswith('truncated'):
            path.write_bytes(path.read_bytes()[:60])
        elif how == 'missing label':
            path.unlink()
        else:
            cv2.imwrite(str(path), np.zeros((24, 64) if how == 'size' else (48, 64, 3), np.uint8))


@pytest.mark.parametrize(('split', 'workers'), [('train', 1), ('val', 0), ('test', 0)])
@pytest.mark.parametrize(('how', 'sentence'), [
    ('truncated label', r'labels/\w.png: expected a readable label, got image file is truncated'),
    ('truncated image', r'images/\w.png: expected a readable image, got bytes that are none'),
    ('missing label', r'labels/\w.png: expected a readable label, got no such file'),
    ('size', r"labels/\w.png: expected a label of \(48, 64\), its image's height and width, got \(24, 64\)"),
    ('colors', r"labels/\w.png: expected a label of \(48, 64\), .* got \(48, 64, 3\)")])
def test_a_file_that_is_no_sample_is_named(trained, files, tmp_path, split, workers, how, sentence):
    folder, options = files
    damaged = folder if split == 'test' else folder / 'damaged'
    if split != 'test':
        shutil.copytree(folder, damaged, ignore=shutil.ignore_patterns('damaged'))
    damage(damaged, how)
    options[f'{split}_dataloader.dataset']['data_root'] = str(damaged)
    cfg = load_config(trained[0], tmp_path / 'work', {**options, f'{split}_dataloader.num_workers': workers,
                                                      'train_cfg.max_iters': 1, 'train_cfg.val_interval': 1})
    if split == 'test':
        torch.save(launch.build_runner(cfg).model.state_dict(), tmp_path / 'net.pth')
    with pytest.raises(InputError, match=f'^[^:]*{sentence}'):
        run_test(prepare_test(cfg, tmp_path / 'net.pth')) if split == 'test' else run_training(prepare_training(cfg))


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'val_dataloader.dataset.img_suffix': '.jpg'}, '^val_dataloader.dataset: BaseSegDataset: expected samples'),
    ({'val_dataloader.dataset.ann_file': 'list.txt'},
     "^val_dataloader.dataset: BaseSegDataset: .*list.txt: expected UTF-8, got 'utf-8' codec can't decode byte 0xff"),
    ({'val_evaluator.iou_metrics': ['mIuo']}, '^val_evaluator: IoUMetric: ')])
def test_what_fails_is_named_where_it_runs(trained, files, tmp_path, options, sentence):
    folder, given = files
    (folder / 'list.txt').write_bytes(b'\xff')
    with pytest.raises(ConfigError, match=sentence):
        run_training(prepare_training(load_config(trained[0], tmp_path / 'work', {**given, **options})))


KEPT = """
import os, torch
from bisenet_plugins.engine.launch import keep_freed_memory
def resident():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
told, before = keep_freed_memory(), resident()
maps = [torch.ones(2**22) for _ in range(8)]
del maps
print(told, resident() - before > 100e6)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux') or get_device() != 'cpu', reason='glibc, on a CPU')
@pytest.mark.parametrize('environment, told', [({}, 'True True'), (dict(MALLOC_ARENA_MAX='2'), 'False False')])
def test_freed_memory_is_kept_unless_the_environment_has_words_of_its_own(environment, told):
    plain = {name: value for name, value in os.environ.items()
             if not name.startswith(('MALLOC_', 'LD_PRELOAD', 'GLIBC_TUNABLES'))}
    found = subprocess.run([sys.executable, '-c', KEPT], env={**plain, **environment}, capture_output=True, text=True,
                           check=True)
    assert found.stdout.strip() == told
