"""Mistakes in a config, in its file or laid over it, in every command that reads one."""

from .judge import Case, cases, judge

TRAIN = ('train', 'c.py', '--work-dir', 'w')


def option(name, *options, says, command=TRAIN, **more):
    return Case(name, (*command, '--cfg-options', *options), says if isinstance(says, tuple) else (says,), **more)


def added(name, text, says, command=TRAIN, **more):
    """A config with lines at its end."""
    def change(folder):
        with (folder / 'c.py').open('a') as file:
            file.write(text + '\n')
    return Case(name, command, says if isinstance(says, tuple) else (says,), change=change, **more)


def whole(name, content, says, command=TRAIN, **more):
    """A config of its own."""
    def change(folder):
        (folder / 'c.py').write_bytes(content if isinstance(content, bytes) else content.encode())
    return Case(name, command, says if isinstance(says, tuple) else (says,), change=change, **more)


COMMANDS = dict(
    train=TRAIN, test=('test', 'c.py', 'net.pth', '--work-dir', 'w'), complexity=('complexity', 'c.py'),
    check_data=('check-data', 'c.py'), predict=('predict', 'images', '--config', 'c.py', '--checkpoint', 'net.pth'),
    analyze=('analyze', 'images', '--config', 'c.py', '--checkpoint', 'net.pth'),
    convert=('convert', 'ours.pth', 'new.pth', '--config', 'c.py'),
    export=('export', 'c.py', 'net.pth', '--out', 'out'))
FILES = [
    ('syntax', 'model = (', 'c.py: expected an mmengine config, got SyntaxError'),
    ('indent', 'a = 1\n  b = 2', 'c.py: expected an mmengine config, got IndentationError'),
    ('empty', '', 'expected'),
    ('no-model', 'a = 1', 'expected'),
    ('of-itself', "_base_ = './c.py'", 'leads back to itself'),
    ('base-missing', "_base_ = './none.py'", 'none.py'),
    ('raises', 'a = 1 / 0', 'c.py: expected an mmengine config, got ZeroDivisionError'),
    ('import', 'import no_such_module', 'expected'),
    ('custom-import', "custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)",
        'no_such_module'),
    ('bytes', b'\xff\xfe\x00model', 'c.py: expected an mmengine config'),
    ('null', b'model = 1\x00', 'c.py: expected an mmengine config'),
    ('json', '{"a": 1}', 'expected'),
    ('model-text', "model = 'a'", 'model: expected a dict, got \'a\''),
    ('model-empty', 'model = dict()', 'model'),
    ('model-type', "model = dict(type='EncodrDecoder')", "did you mean 'EncoderDecoder'?"),
]
BROKEN = [whole(f'{key}-{name}', content, says, command) for name, content, says in FILES
          for key, command in COMMANDS.items()
          if not (key == 'check_data' and name.startswith('model') and name != 'model-text')]
MISSING = [Case(f'{key}-missing', tuple('none.py' if word == 'c.py' else word for word in command), ('none.py',))
           for key, command in COMMANDS.items()]
FOLDER = [Case(f'{key}-folder', tuple('images' if word == 'c.py' else word for word in command), ('images',))
          for key, command in COMMANDS.items() if key not in ('predict', 'analyze')]

KEYS = [added(f'key-{wrong}', f'{wrong} = dict(a=1)', f"{wrong}: expected a key that something reads, got "
              f"an unknown one; did you mean '{right}'?") for wrong, right in dict(
    optim_wraper='optim_wrapper', optimwrapper='optim_wrapper', train_dataloder='train_dataloader', modle='model',
    models='model', custom_hook='custom_hooks', default_hook='default_hooks', param_schedulers='param_scheduler',
    val_evaluators='val_evaluator', randomnes='randomness', visualiser='visualizer', load_form='load_from',
    log_procesor='log_processor').items()]
OLD = [added(f'old-{key}', f'{key} = dict(a=1)', f'{key}: expected a config of mmseg 1.0 or later')
       for key in ('data', 'evaluation', 'runner', 'lr_config', 'optimizer_config', 'log_config', 'checkpoint_config')]

HEAD, DATA, OPTIMIZER = 'model.decode_head', 'train_dataloader', 'optim_wrapper.optimizer'
TYPES = [option(f'type-{key}-{wrong}', f'{key}.type={wrong}', says=(f'{key}.type: expected a type registered in',
                                                            f"did you mean '{right}'?")) for key, wrong, right in (
    ('model', 'EncoderDecodr', 'EncoderDecoder'), ('model.backbone', 'MobileNetV22', 'MobileNetV2'),
    (HEAD, 'FCNHed', 'FCNHead'), (f'{HEAD}.loss_decode', 'CrossEntropyLos', 'CrossEntropyLoss'),
    (f'{HEAD}.norm_cfg', 'SyncBn', 'SyncBN'), ('model.data_preprocessor', 'SegDataPreProcesor', 'SegDataPreProcessor'),
    ('optim_wrapper', 'OptimWraper', 'OptimWrapper'), (OPTIMIZER, 'SDG', 'SGD'), (OPTIMIZER, 'AdmW', 'AdamW'),
    ('param_scheduler.0', 'PolyLr', 'PolyLR'), (f'{DATA}.sampler', 'ResumabelSampler', 'ResumableSampler'),
    (f'{DATA}.dataset', 'StreetScenesDataset', 'StreetSceneDataset'),
    (f'{DATA}.dataset.pipeline.1', 'RandomFlop', 'RandomFlip'), ('default_hooks.curves', 'CurveHook', 'CurvesHook'),
    ('default_hooks.timer', 'IterTimer', 'IterTimerHook'), ('train_cfg', 'IterBasedTrainLop', 'IterBasedTrainLoop'),
    ('val_cfg', 'ValLop', 'ValLoop'), ('val_evaluator', 'IouMetric', 'IoUMetric'),
    ('visualizer', 'SegLocalVisualiser', 'SegLocalVisualizer'))]
NUMBERS = [option(f'{key}={value}', f'{key}={value}', says=(f'{key}: expected ', f'got {told}')) for key, value,
    told in (
    ('train_cfg.max_iters', -1, '-1'), ('train_cfg.max_iters', 0, '0'), ('train_cfg.max_iters', 'many', "'many'"),
    ('train_cfg.max_iters', 1.5, '1.5'), ('train_cfg.val_interval', 0, '0'), ('train_cfg.val_interval', -3, '-3'),
    ('train_cfg.val_begin', -1, '-1'), (f'{DATA}.batch_size', 0, '0'), (f'{DATA}.batch_size', -2, '-2'),
    (f'{DATA}.batch_size', 'two', "'two'"), (f'{DATA}.batch_size', 2.5, '2.5'), (f'{DATA}.num_workers', -1, '-1'),
    (f'{DATA}.num_workers', 'all', "'all'"), (f'{OPTIMIZER}.lr', -1, '-1'), (f'{OPTIMIZER}.lr', 'nan', 'nan'),
    (f'{OPTIMIZER}.lr', 'inf', 'inf'), (f'{OPTIMIZER}.lr', 'fast', "'fast'"), (f'{OPTIMIZER}.momentum', 2, '2'),
    (f'{OPTIMIZER}.momentum', -0.1, '-0.1'), (f'{OPTIMIZER}.weight_decay', -1, '-1'),
    (f'{OPTIMIZER}.weight_decay', 'nan', 'nan'), (f'{HEAD}.num_classes', 0, '0'), (f'{HEAD}.num_classes', -11, '-11'),
    (f'{HEAD}.num_classes', 'all', "'all'"), (f'{HEAD}.channels', 0, '0'), (f'{HEAD}.channels', -8, '-8'),
    (f'{HEAD}.in_channels', 0, '0'),
    (f'{DATA}.dataset.pipeline.1.prob', 3, '3'), (f'{DATA}.dataset.pipeline.1.prob', -1, '-1'),
    ('optim_wrapper.accumulative_counts', 0, '0'), ('optim_wrapper.accumulative_counts', -2, '-2'),
    ('randomness.seed', 'abc', "'abc'"), ('randomness.seed', -1, '-1'))]
KEYS_OF_PARTS = [option(f'argument-{key}', f'{key}=1', says=(key.rpartition('.')[2], f"did you mean '{right}'?"))
                 for key, right in (
    (f'{HEAD}.chanels', 'channels'), (f'{HEAD}.num_class', 'num_classes'), ('model.backbone.widen_facto',
        'widen_factor'),
    ('train_cfg.max_iter', 'max_iters'), (f'{DATA}.batchsize', 'batch_size'), (f'{DATA}.numworkers', 'num_workers'),
    (f'{DATA}.dataset.lenght', 'length'), (f'{OPTIMIZER}.learning_rate', ''), (f'{OPTIMIZER}.momentun', 'momentum'),
    ('default_hooks.curves.file_name', 'filename'), ('default_hooks.pictures.num_picture', 'num_pictures'),
    ('model.auxilary_head', 'auxiliary_head')) if right]
OTHERS = [
    option('load-from-missing', 'load_from=none.pth', says='none.pth'),
    option('load-from-folder', 'load_from=images', says='images'),
    option('load-from-text', 'load_from=c.py', says='c.py: expected a checkpoint, got a truncated or foreign file'),
    option('cfg-options-index', f'{DATA}.dataset.pipeline.9.type=A', says='--cfg-options: expected'),
    option('cfg-options-no-value', 'a', says="--cfg-options: expected KEY=VALUE, got 'a'"),
    option('cfg-options-no-key', '=1', says="--cfg-options: expected KEY=VALUE, got '=1'"),
    option('cfg-options-below-number', 'train_cfg.max_iters.a=1', says='--cfg-options: expected'),
    option('top-key-by-option', 'optim_wraper.optimizer.lr=1', says="did you mean 'optim_wrapper'?"),
    option('in-channels', f'{HEAD}.in_channels=7', says=('channels', '7')),
    option('in-index', f'{HEAD}.in_index=5', says='FCNHead'),
    option('fewer-classes', f'{HEAD}.num_classes=3', says=(f'{HEAD}.num_classes: expected 11, the number of',
           'got 3')),
    option('metric', 'val_evaluator.iou_metrics=mIuo', says='IoUMetric'),
    option('scheduler-end', 'param_scheduler.0.end=-4', says=('PolyLR', 'end')),
    option('logger-interval', 'default_hooks.logger.interval=0', says=('LoggerHook', 'interval')),
    option('start-method', 'env_cfg.mp_cfg.mp_start_method=forkk', says='forkk'),
    option('dataset-size', f'{DATA}.dataset.size=5', says='StreetSceneDataset.size: expected 2 values'),
    option('dataset-length', f'{DATA}.dataset.length=-1', says='StreetSceneDataset.length: expected'),
    option('pictures', 'default_hooks.pictures.num_pictures=0', says='PicturesHook.num_pictures: expected'),
    option('no-optimizer', 'optim_wrapper=None', says='optim_wrapper'),
    option('no-data', 'train_dataloader=None', says='train_dataloader'),
    option('no-validation-data', 'val_dataloader=None', says='val_dataloader'),
    option('data-text', 'train_dataloader=a', says="train_dataloader: expected a dict, got 'a'"),
    option('hooks-number', 'default_hooks=3', says='default_hooks: expected a dict, got 3'),
    option('out-indices', 'model.backbone.out_indices=9', says='MobileNetV2'),
    Case('amp', (*TRAIN, '--amp'), ('--amp: expected an accelerator, got a CPU',)),
    Case('auto-scale-lr', (*TRAIN, '--auto-scale-lr'), ('auto_scale_lr: expected dict(base_batch_size=...)',)),
    Case('tta-without-pipeline', ('test', 'c.py', 'net.pth', '--tta', '--work-dir', 'w', '--cfg-options',
                                  'tta_pipeline=None'), ('tta_pipeline',)),
    *(Case(f'launcher-{name}', (*TRAIN, '--launcher', name), (f'--launcher {name}: expected processes started by',
        variable))
      for name, variable in (('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK'))),
]


LOADER, SET = "train_dataloader['dataset']", "model['decode_head']"
NESTED = [added(f'nested-{number:02}-{says.rpartition(".")[2]}', text, (says, 'expected')) for number, (text, says) in
          enumerate((
    (f'{SET} = [1, 2]', 'decode_head'), (f'{SET} = "FCNHead"', 'decode_head'), ("model['backbone'] = 3", 'backbone'),
    ("model['backbone'] = None", 'backbone'), (f'{LOADER} = []', 'train_dataloader.dataset'),
    (f"{LOADER}['pipeline'] = None", 'pipeline'), (f"{LOADER}['pipeline'] = ['PackSegInputs']", 'pipeline'),
    ("train_dataloader['sampler'] = 'Random'", 'train_dataloader.sampler'),
    ("optim_wrapper['optimizer'] = 'SGD'", 'optim_wrapper.optimizer'), ("optim_wrapper['clip_grad'] = 3", 'clip_grad'),
    ("optim_wrapper['clip_grad'] = dict(max_norm='a')", 'max_norm'),
    ("optim_wrapper['clip_grad'] = dict(max_norm=-1)", 'optim_wrapper.clip_grad.max_norm'),
    ("param_scheduler = 'PolyLR'", 'param_scheduler'), ('param_scheduler = [3]', 'param_scheduler'),
    ("param_scheduler[0]['power'] = 'a'", 'param_scheduler.0.power'), ("custom_hooks = ['EMAHook']", 'custom_hooks'),
    ("custom_hooks = [dict(type='EMAHook', priority='HIGHER')]", 'custom_hooks.0.priority'),
    ("default_hooks['checkpoint'] = 'yes'", 'default_hooks'),
    ("default_hooks['checkpoint']['interval'] = -5", 'interval'),
    ("default_hooks['checkpoint']['interval'] = 'a'", 'interval'),
    ("default_hooks['checkpoint']['max_keep_ckpts'] = 0", 'max_keep_ckpts'), ('train_cfg = []', 'train_cfg'),
    ("val_evaluator = dict(type='IoUMetric', ignore_index='a')", 'val_evaluator.ignore_index'),
    ("val_evaluator = dict(type='IoUMetric', iou_metric=['mIoU'])", "did you mean 'iou_metrics'?"),
    ("train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)", 'train_dataloader.sampler'),
    ("model['data_preprocessor']['std'] = [0, 0, 0]", 'model.data_preprocessor.std'),
    ("model['data_preprocessor']['std'] = [60., -60., 60.]", 'std'),
    ("model['data_preprocessor']['mean'] = 'a'", 'mean'),
    ("model['data_preprocessor']['size'] = (0, 0)", 'model.data_preprocessor.size'),
    ("model['test_cfg'] = dict(mode='slide', crop_size=(0, 0), stride=(8, 8))", 'model.test_cfg.crop_size'),
    ("model['test_cfg'] = dict(mode='slide', crop_size=(32, 32), stride=(0, 8))", 'model.test_cfg.stride'),
    (f"{SET}['loss_decode']['loss_weight'] = float('nan')", 'loss_decode.loss_weight'),
    (f"{SET}['ignore_index'] = 'a'", 'decode_head.ignore_index'),
    (f"{SET}['sampler'] = dict(type='OHEMPixelSampler', thresh=-1)", 'decode_head.sampler.thresh'),
    ("model['auxiliary_head'] = 3", 'auxiliary_head'), ('env_cfg = 3', 'env_cfg'), ('randomness = 3', 'randomness'),
    ("log_level = 'LOUD'", 'log_level'),
    ('log_level = 3.5', 'log_level'), ('visualizer = 3', 'visualizer'), ("resume = 'yes'", 'resume'),
    ('load_from = 3', 'load_from'), ("load_from = ['a']", 'load_from'), ('default_scope = 3', 'default_scope'),
    ('experiment_name = 3', 'experiment_name'), ("find_unused_parameters = 'a'", 'find_unused_parameters'),
    ('auto_scale_lr = dict(base_batch_size=0, enable=True)', 'auto_scale_lr.base_batch_size'),
    ("runner_type = 'Runer'", 'runner_type'), (f"{LOADER}['size'] = (48, 64, 3)", 'size'),
    (f"{LOADER}['pipeline'].insert(1, dict(type='RandomCrop', crop_size=(0, 0)))", 'crop_size')))]


@cases(*BROKEN, *MISSING, *FOLDER, *KEYS, *OLD, *TYPES, *NUMBERS, *KEYS_OF_PARTS, *OTHERS, *NESTED)
def test_a_mistake_in_a_config_is_one_sentence(case, runner, material, tmp_path):
    judge(case, runner, material, tmp_path / 'case')
