"""Options that mean nothing, and words that no command knows."""

from .judge import Case, cases, judge

PREDICT = ('predict', 'images', '--config', 'c.py', '--checkpoint', 'net.pth')
EXPORT = ('export', 'c.py', 'net.pth', '--out', 'out')
OUTSIDE = [Case(f'{command[0]}{name}={value}', (*command, name, str(value)), (name, 'expected', str(value)), status=2)
           for command, name, values in (
    (PREDICT, '--max-frames', (0, -1, 'all', 1.5)), (PREDICT, '--batch-size', (0, -1, 'x')),
    (PREDICT, '--opacity', (-1, 2, 'nan', 'x')), (EXPORT, '--batch', (0, -1, 'x')), (EXPORT, '--threads', (-1, 'x')),
    (EXPORT, '--image-count', (0, -1)), (EXPORT, '--calibration-images', (0, -5)), (EXPORT, '--max-drop', (-1,
        'nan', 200)),
    (('check-data', 'c.py'), '--max', (0, -1, 'all')), 
    (('analyze', 'images'), '--show', (0, -1, 'x')), (('verify', 'out'), '--count', (0, -1)),
    (('verify', 'out'), '--latency', (-1, 'x')), (('verify', 'out'), '--threads', (-1,)),
    (('test', 'c.py', 'net.pth'), '--wait-time', (-1, 'nan', 'x'))) for value in values]
CHOICES = [Case(f'{command[0]}{name}={value}', (*command, name, value), (name, 'invalid choice'), status=2)
           for command, name, value in (
    (PREDICT, '--backend', 'cuda'), (PREDICT, '--save', 'video'), (EXPORT, '--format', 'caffe'),
    (EXPORT, '--precision', 'fp8'), (EXPORT, '--output', 'boxes'), (EXPORT, '--self-contained', 'grey'),
    (('check-data', 'c.py'), '--split', 'all'), (('convert', 'ours.pth', 'new.pth'), '--to', 'theirs'),
    (('train', 'c.py'), '--launcher', 'ssh'))]
WORDS = [
    Case('no-command', (), ('COMMAND',), status=2), Case('unknown-command', ('predit',), ('predit',), status=2),
    Case('unknown-option', ('train', 'c.py', '--epochs', '3'), ('--epochs',), status=2),
    *(Case(f'{name}-alone', (name,), ('required',), status=2)
      for name in ('predict', 'train', 'test', 'check-data', 'analyze', 'complexity', 'convert', 'export', 'verify')),
    Case('train-two-configs', ('train', 'c.py', 'files.py'), ('files.py',), status=2)]
OTHERS = [
    Case('config-without-checkpoint', ('predict', 'images', '--config', 'c.py'), ('--checkpoint',)),
    Case('checkpoint-without-config', ('predict', 'images', '--checkpoint', 'net.pth'), ('--config',)),
    Case('two-networks', (*PREDICT, '--model', 'out'), ('expected one of',)),
    Case('unknown-network', ('predict', 'images', '--pretrained', 'bisenet'), ('expected one of', "'bisenet'")),
    Case('model-missing', ('predict', 'images', '--model', 'none'), ('none',)),
    Case('model-not-exported', ('predict', 'images', '--model', 'labels'), ('labels',)),
    Case('backend-with-model', ('predict', 'images', '--model', 'labels', '--backend', 'torch'), ('--backend',)),
    Case('device', (*PREDICT, '--device', 'abacus'), ('abacus',)),
    *(Case(f'device-{name}', (*PREDICT, '--device', name), ('device: expected', repr(name)))
      for name in ('', 'cpu:9', 'cpu cuda', 'CUDA')),
    *(Case(f'input-{number}', ('predict', name, *PREDICT[2:]), ('input: expected', repr(name)))
      for number, name in enumerate(('', 'http://127.0.0.1:9/a.png', 'rtsp://127.0.0.1:9/x'))),
    Case('demo-without-photo', ('demo', '--out-dir', 'out', '--photo', 'none.png'), ('none.png',), may=('out/*',)),
    Case('demo-photo-of-text', ('demo', '--out-dir', 'out', '--photo', 'c.py'), ('c.py',), may=('out/*',)),
    Case('export-batch-dynamic', (*EXPORT, '--batch', '4'), ('batch: expected 1', '4')),
    Case('config-out-of-range', ('config', 'c.py', '--out', 'b.py', '--cfg-options', 'optim_wrapper.optimizer.lr=-1'),
         ('optim_wrapper.optimizer.lr', '-1')),
    Case('convert-onto-a-folder', ('convert', 'ours.pth', 'images'), ('error: images: Is a directory',)),
    Case('device-cuda', (*PREDICT, '--device', 'cuda'), ('cuda',)),
    Case('device-cuda-9', (*PREDICT, '--device', 'cuda:9'), ('cuda:9',)),
    Case('export-shape', (*EXPORT, '--shape', 'big'), ('big',)),
    Case('export-shape-0', (*EXPORT, '--shape', '0x0'), ('0',)),
    Case('export-shape-negative', (*EXPORT, '--shape=-4x8'), ('-4x8',)),
    Case('export-opset', (*EXPORT, '--opset', '3'), ('opset: expected 13 to 17',)),
    Case('export-images', (*EXPORT, '--images', 'nothing'), ('nothing',)),
    Case('verify-nothing', ('verify', 'labels', '--config', 'c.py', '--checkpoint', 'net.pth'), ('labels',)),
    Case('verify-missing', ('verify', 'none', '--config', 'c.py', '--checkpoint', 'net.pth'), ('none',)),
    Case('analyze-class', ('analyze', 'images', '--config', 'c.py', '--checkpoint', 'net.pth', '--classes', 'Boat'),
         ('classes: expected some of', 'Boat')),
    Case('analyze-stage', ('analyze', 'images', '--config', 'c.py', '--checkpoint', 'net.pth', '--stages', 'nothing'),
         ('nothing',)),
    Case('analyze-labels-missing', ('analyze', 'images', '--config', 'c.py', '--checkpoint', 'net.pth', '--labels',
                                    'none'), ('none',)),
    Case('test-show-without-display', ('test', 'c.py', 'net.pth', '--work-dir', 'w', '--show'), ('display',),
         more=dict(environment=dict(DISPLAY='', WAYLAND_DISPLAY='', QT_QPA_PLATFORM='xcb'))),
    Case('checkpoint-missing', ('test', 'c.py', 'none.pth'), ('none.pth',)),
    Case('convert-onto-itself', ('convert', 'ours.pth', 'ours.pth'), ('ours.pth',)),
    Case('out-below-a-file', (*PREDICT, '--out-dir', 'c.py/sub'), ('c.py',)),
    Case('export-below-a-file', ('export', 'c.py', 'net.pth', '--out', 'c.py/sub'), ('c.py',)),
    Case('analyze-below-a-file', ('analyze', 'images', '--config', 'c.py', '--checkpoint', 'net.pth', '--out',
                                  'c.py/sub.html'), ('c.py',)),
    Case('train-below-a-file', ('train', 'c.py', '--work-dir', 'net.pth/w'), ('net.pth',)),
    Case('export-onto-a-folder', ('export', 'c.py', 'net.pth', '--out', 'images'), ('images',))]


@cases(*OUTSIDE, *CHOICES, *WORDS, *OTHERS)
def test_an_option_that_means_nothing_is_one_sentence(case, runner, material, tmp_path):
    judge(case, runner, material, tmp_path / 'case')
