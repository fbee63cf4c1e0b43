"""Faults of the machine: full disks, folders that cannot be written, closed pipes, odd names, signals."""

import os

import cv2
import numpy as np
import pytest

from .judge import ROOT, Case, cases, judge

NET = ('--config', 'c.py', '--checkpoint', 'net.pth')
ONE = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
PNG = cv2.imencode('.png', ONE)[1].tobytes()


def into(folder):
    """Commands that write to a folder, each with what it writes there."""
    return dict(
        predict=('predict', 'images', *NET, '--out-dir', folder, '--save', 'overlay', 'palette', 'ids'),
        predict_video=('predict', 'film.avi', *NET, '--out-dir', folder),
        train=('train', 'c.py', '--work-dir', folder), test=('test', 'c.py', 'net.pth', '--work-dir', folder),
        test_out=('test', 'c.py', 'net.pth', '--work-dir', 'w', '--out', folder),
        test_show=('test', 'c.py', 'net.pth', '--work-dir', 'w', '--show-dir', folder),
        analyze=('analyze', 'images', *NET, '--out', f'{folder}/page.html'),
        convert=('convert', 'ours.pth', f'{folder}/new.pth'),
        export=('export', 'c.py', 'net.pth', '--out', f'{folder}/model', '--no-verify', '--no-dump-info'),
        demo=('demo', '--out-dir', folder))


FULL = [Case(f'disk-full-{key}', words, ('is the disk full?' if key == 'predict_video' else 'No space left on device',),
             more=dict(disk=4096), may=('disk/*', 'w/*'),
             change=lambda folder: cv2.imwrite(str(folder / 'images' / 'big.png'), ONE)) for key, words in
        into('disk').items()]
LATER = [Case(f'disk-full-later-{key}', words, ('No space left on device',), more=dict(disk=300_000),
              may=('disk/*', 'w/*')) for key, words in into('disk').items() if key in ('train', 'export')]
LIMITED = [Case(f'file-too-large-{key}', words, ('File too large',), more=dict(file_size=2000), may=('out', 'out/*'))
           for key, words in into('out').items() if key in ('train', 'analyze', 'convert', 'predict')]
CAMVID = str(ROOT / 'tools' / 'dataset_converters' / 'camvid.py')


def camvid(folder):
    """A source for the converter, larger than a disk of 4096 bytes."""
    for split in ('train', 'val'):
        for name, picture in ((split, ONE), (f'{split}annot', ONE[..., 0] % 11)):
            (folder / 'raw' / name).mkdir(parents=True)
            for number in range(2):
                assert cv2.imwrite(str(folder / 'raw' / name / f'{number}.png'), picture)


CONVERTED = [
    Case('disk-full-camvid', (CAMVID, 'raw', '--out', 'disk/made'), ('No space left on device',), change=camvid,
         more=dict(disk=4096), may=('disk/*',)),
    Case('disk-full-later-camvid', (CAMVID, 'raw', '--out', 'disk/made'), ('No space left on device',), change=camvid,
         more=dict(disk=300_000), may=('disk/*',)),
    Case('read-only-camvid', (CAMVID, 'raw', '--out', 'disk/made'), ('Read-only file system',), change=camvid,
         more=dict(readonly='disk')),
    Case('camvid-onto-a-file', (CAMVID, 'raw', '--out', 'c.py'), ('c.py',), change=camvid),
    Case('camvid-from-a-file', (CAMVID, 'c.py', '--out', 'disk/made'), ('c.py',)),
    Case('camvid-from-images', (CAMVID, 'images', '--out', 'disk/made'), ('trainannot', 'images')),
    Case('camvid-label-cut', (CAMVID, 'raw', '--out', 'out'), ('0.png: label: expected a file that can be decoded',),
         change=lambda folder: (camvid(folder), (folder / 'raw/trainannot/0.png').write_bytes(PNG[:200])),
         may=('out/*',)),
]
READ_ONLY = [Case(f'read-only-{key}', words, ('Read-only file system',), more=dict(readonly='disk'))
             for key, words in into('disk').items()]
PIPES = [Case(f'closed-pipe-{words[0]}', words, status=(141, 0, 1), more=dict(stdout='closed'), may=('outputs*',
    '*.html'))
         for words in (('doctor',), ('complexity', 'c.py'), ('check-data', 'c.py'), ('list',),
                       ('predict', 'images', *NET), ('convert', 'ours.pth', 'new.pth', '--dry-run'))]
FULL_OUTPUT = [Case(f'output-to-a-full-device-{words[0]}', words, ('No space left on device',),
                    more=dict(stdout='/dev/full')) for words in (('complexity', 'c.py'), ('check-data', 'c.py'))]

NAMES = dict(space=b'a b.png', newline=b'a\nb.png', escape=b'a\x1b[2J\x1b]0;b\x07.png', bytes_=b'a\xff\xfe.png',
             quotes=b'a"\'$(b).png', dash=b'-a.png', percent=b'a%d%s.png', brackets=b'a[0-9].png', star=b'a*.png',
             unicode='ä漢\u202e.png'.encode(), long_=b'a' * 251 + b'.png', dots=b'..a..png', backslash=b'a\\b.png',
             braces=b'{a}.png', hidden=b'.a.png', hash_=b'#a.png')


def named(name, content):
    def change(folder):
        with open(os.path.join(os.fsencode(folder / 'images'), name), 'wb') as file:
            file.write(content)
    return change


ODD = [Case(f'name-{key}', ('predict', 'images', *NET), ('3 done', '0 failed'), status=0, change=named(name, PNG),
            may=('outputs*',)) for key, name in NAMES.items()]
ODD_BAD = [Case(f'bad-name-{key}', ('predict', 'images', *NET), ('2 done', '1 failed'), change=named(name, b'text'),
                may=('outputs*',)) for key, name in NAMES.items()]
ODD_MISSING = [Case(f'missing-name-{key}', ('test', 'c.py', name + b'.pth'), ()) for key, name in NAMES.items()
               if key not in ('dash',)]
LEGAL = [
    Case('warnings-are-errors', ('predict', 'images', *NET), ('2 done',), status=0, may=('outputs*',),
         more=dict(environment=dict(PYTHONWARNINGS='error'))),
    Case('language-c', ('predict', 'images', *NET), ('2 done',), status=0, may=('outputs*',),
         more=dict(environment=dict(LANG='C', LC_ALL='C', PYTHONUTF8='0'))),
    Case('no-display', ('test', 'c.py', 'net.pth', '--work-dir', 'w'), ('mIoU',), status=0,
         more=dict(environment=dict(DISPLAY='', WAYLAND_DISPLAY=''))),
    *(Case(f'no-number-{name}', ('train', 'c.py', '--work-dir', 'w'), (name, "'x'"), may=('w/*',),
           more=dict(environment={name: 'x'})) for name in ('LOCAL_RANK', 'RANK', 'WORLD_SIZE')),
    Case('no-home', ('complexity', 'c.py'), (), status=0, more=dict(environment=dict(HOME='/nonexistent'))),
    Case('video', ('predict', 'film.avi', *NET), ('1 done',), status=0, may=('outputs*',)),
    Case('link-to-an-image', ('predict', 'in', *NET), ('1 done',), status=0, may=('outputs*',), change=lambda folder: (
        (folder / 'in').mkdir(), os.symlink('../images/0.png', folder / 'in' / 'a.png'))),
    Case('link-to-its-folder', ('predict', 'images', *NET, '--recursive'), ('2 done',), status=0, may=('outputs*',),
         change=lambda folder: os.symlink('.', folder / 'images' / 'again')),
]
LONG = ('train_cfg.max_iters=100000', 'train_cfg.val_interval=100000', 'default_hooks.checkpoint.interval=100000')
INTERRUPTED = [
    *(Case(f'interrupted-train-{key}', ('train', 'c.py', '--work-dir', 'w', '--cfg-options', *LONG, *more),
           ('interrupted; run the same command with --resume',), status=130, more=dict(interrupt=after,
               signal='SIGINT'))
      for key, after, more in (
          ('early', 0.3, ()), ('late', 6, ()), ('workers', 6, ('train_dataloader.num_workers=2',)))),
    Case('interrupted-test', ('test', 'c.py', 'net.pth', '--work-dir', 'w', '--cfg-options',
                              'test_dataloader.dataset.length=100000'), ('interrupted',), status=130,
         more=dict(interrupt=4, signal='SIGINT')),
    Case('interrupted-demo', ('demo', '--out-dir', 'out'), ('interrupted',), status=130, may=('out/*',),
         more=dict(interrupt=8, signal='SIGINT')),
    Case('terminated-train', ('train', 'c.py', '--work-dir', 'w', '--cfg-options', *LONG),
         ('terminated after iteration *, saved as *.pth',), status=143, more=dict(interrupt=8, signal='SIGTERM')),
    Case('terminated-train-workers', ('train', 'c.py', '--work-dir', 'w', '--cfg-options', *LONG,
                                      'train_dataloader.num_workers=2'),
         ('terminated after iteration *, saved as *.pth',), status=143,
         more=dict(interrupt=8, signal='SIGTERM', group=True)),
    Case('worker-killed', ('train', 'c.py', '--work-dir', 'w', '--cfg-options', *LONG,
                           'train_dataloader.num_workers=2', 'train_dataloader.dataset.pipeline.1.type=Killer'),
         ('DataLoader worker',), change=lambda folder: (folder / 'c.py').write_text(
             (folder / 'c.py').read_text() + KILLER)),
]
KILLER = '''
__import__('mmseg.registry').registry.TRANSFORMS.register_module(
    'Killer', module=lambda prob: lambda sample: __import__('os').kill(__import__('os').getpid(), 9))
'''


ALL = [*FULL, *LATER, *CONVERTED, *LIMITED, *READ_ONLY, *PIPES, *FULL_OUTPUT, *ODD, *ODD_BAD, *ODD_MISSING, *LEGAL,
       *INTERRUPTED]


@cases(*ALL)
def test_a_fault_is_one_sentence(case, runner, material, tmp_path):
    judge(case, runner, material, tmp_path / 'case')
    if case.name.startswith('interrupted'):
        allowed = 2 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))  # seconds on a machine that does nothing else
        assert runner.seconds - case.more['interrupt'] < allowed


@pytest.mark.always
def test_there_are_many_cases():
    from . import test_configs, test_files, test_options
    listed = [value for module in (test_configs, test_files, test_options) for value in vars(module).values()]
    listed.append(ALL)
    assert sum(len(value) for value in listed if isinstance(value, list) and isinstance(value[0], Case)) >= 400
