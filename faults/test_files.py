"""Damaged and foreign files: images, videos, weights, labels."""

import io
import os
import pickle
import shutil
import zipfile

import cv2
import numpy as np
import torch
from PIL import Image

from .judge import Case, cases, judge

NET = ('--config', 'c.py', '--checkpoint', 'net.pth')
PREDICT = ('predict', 'in', *NET)


class Evil:
    """Rebuilding it would make a file."""

    def __reduce__(self):
        return os.mkdir, ('ran',)


def write(name, content):
    def change(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    return change


def edited(name, edit):
    """Change the bytes of a file that is there."""
    def change(folder):
        (folder / name).write_bytes(edit((folder / name).read_bytes()))
    return change


def encoded(shape, suffix, kind=np.uint8):
    return cv2.imencode(suffix, np.zeros(shape, kind))[1].tobytes()


PNG, JPG = encoded((48, 64, 3), '.png'), encoded((48, 64, 3), '.jpg')
BAD_IMAGES = dict(
    empty=('a.png', b''), text=('a.png', b'not an image'), half=('a.png', PNG[:len(PNG) // 2]), header=('a.png',
        PNG[:20]),
    zeros=('a.png', bytes(500)), pickle=('a.png', pickle.dumps([1])), html=('a.jpg', b'<html></html>'),
    jpeg_header=('a.jpg', JPG[:30]), webp=('a.webp', b'RIFF\0\0\0\0WEBPVP8 '), tiff=('a.tif', b'II*\0\xff\xff\xff\xff'),
    huge_header=('a.bmp', b'BM' + (54).to_bytes(12, 'little') + (40).to_bytes(4, 'little') + b'\xff\xff\xff\x7f' * 2 +
                 b'\1\0\x18\0' + bytes(24)))
IMAGES = [Case(f'image-{name}', PREDICT, (file, ), change=write(f'in/{file}', content),
               may=('outputs', 'outputs/*')) for name, (file, content) in BAD_IMAGES.items()]
ONE_OF_TWO = [Case(f'beside-a-good-one-{name}', PREDICT, ('1 done', '1 failed', file), may=('outputs', 'outputs/*'),
                   change=lambda folder, file=file, content=content: (write(f'in/{file}', content)(folder),
                                                                      write('in/good.png', PNG)(folder)))
              for name, (file, content) in BAD_IMAGES.items()]
GIVEN = [
    Case('image-missing', ('predict', 'none.png', *NET), ('none.png',)),
    Case('folder-empty', PREDICT, ('in',), change=lambda folder: (folder / 'in').mkdir()),
    Case('folder-of-texts', PREDICT, ('in',), change=write('in/a.txt', b'a')),
    Case('pattern-of-nothing', ('predict', 'images/*.jpg', *NET), ('images/*.jpg',)),
    Case('link-loop', PREDICT, ('in',), change=lambda folder: ((folder / 'in').mkdir(), os.symlink('b',
        folder / 'in/a.png'),
                                                               os.symlink('a.png', folder / 'in/b'))),
    Case('dangling-link', PREDICT, ('in',), change=lambda folder: ((folder / 'in').mkdir(),
                                                                   os.symlink('none', folder / 'in/a.png'))),
    Case('video-text', ('predict', 'a.mp4', *NET), ('a.mp4',), change=write('a.mp4', b'not a video')),
    Case('video-empty', ('predict', 'a.avi', *NET), ('a.avi',), change=write('a.avi', b'')),
    Case('video-half', ('predict', 'film.avi', *NET), ('film.avi', 'truncated'), may=('outputs', 'outputs/*'),
         change=edited('film.avi', lambda content: content[:len(content) * 2 // 3])),
    Case('analyze-text', ('analyze', 'a.png', *NET), ('a.png',), change=write('a.png', b'text')),
    Case('analyze-video', ('analyze', 'film.avi', *NET), ('film.avi',)),
]


def saved(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    return file.getvalue()


def flipped(content):
    """Change a byte of a weight, not of the zip's lists."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        start = largest.header_offset + 30 + len(largest.filename) + 64
    return content[:start + 40] + bytes([content[start + 40] ^ 0xff]) + content[start + 41:]


def with_state(edit):
    def change(folder):
        loaded = torch.load(folder / 'net.pth', weights_only=False)
        loaded['state_dict'] = edit(loaded['state_dict'])
        torch.save(loaded, folder / 'net.pth')
        (folder / 'run' / 'iter_2.pth').write_bytes((folder / 'net.pth').read_bytes())
    return change


WEIGHTS = dict(
    empty=(write('net.pth', b''), ('net.pth',)), text=(write('net.pth', b'weights'), ('net.pth',)),
    half=(edited('net.pth', lambda content: content[:len(content) // 2]), ('net.pth',)),
    flipped=(edited('net.pth', flipped), ('net.pth',)),
    evil=(write('net.pth', pickle.dumps(Evil())), ('net.pth',)),
    evil_zip=(write('net.pth', saved(dict(state_dict=Evil()))), ('net.pth', 'any code')),
    a_list=(write('net.pth', saved([1, 2])), ('net.pth',)), nothing=(write('net.pth', saved({})), ('net.pth',)),
    number=(write('net.pth', saved(dict(state_dict=3))), ('net.pth',)),
    other=(write('net.pth', saved(dict(state_dict=dict(a=torch.ones(2))))), ('net.pth',)),
    nan=(with_state(lambda state: {name: value * float('nan') if 'conv_seg.w' in name else value
                                   for name, value in state.items()}), ('conv_seg.weight',)),
    lacking=(with_state(lambda state: {name: value for name, value in state.items() if 'conv_seg' not in name}),
             ('conv_seg',)),
    classes=(with_state(lambda state: {name: value[:5] if 'conv_seg' in name else value for name,
        value in state.items()}),
             ('conv_seg',)),
    folder=(lambda folder: ((folder / 'net.pth').unlink(), (folder / 'net.pth').mkdir()), ('net.pth',)),
    arrays=(with_state(lambda state: {name: value.numpy() for name, value in state.items()}), ('net.pth',)),
    texts=(with_state(lambda state: dict.fromkeys(state, 'text')), ('net.pth',)),
    sparse=(with_state(lambda state: {name: value.to_sparse() for name, value in state.items()}),
            ('net.pth',)),
    meta=(with_state(lambda state: {name: value.to('meta') for name, value in state.items()}), ('net.pth',)),
    numbers=(with_state(lambda state: dict(enumerate(state.values()))), ('net.pth',)),
    image=(write('net.pth', PNG), ('net.pth',)))
WEIGHTS.update(
    integers=(with_state(lambda state: {name: value.to(torch.int32) for name, value in state.items()}), ('net.pth',)),
    complex_=(with_state(lambda state: {name: value.to(torch.complex64) if 'conv_seg.w' in name else value
                                        for name, value in state.items()}), ('conv_seg.weight',)),
    variance=(with_state(lambda state: {name: -1 - value if name.endswith('running_var') else value
                                        for name, value in state.items()}), ('running_var',)),
    infinite=(with_state(lambda state: {name: value / 0 if name.endswith('conv_seg.weight') else value
                                        for name, value in state.items()}), ('conv_seg.weight',)))
USES = dict(test=('test', 'c.py', 'net.pth', '--work-dir', 'w'), predict=('predict', 'images', *NET),
            analyze=('analyze', 'images', *NET), export=('export', 'c.py', 'net.pth', '--out', 'out'),
            convert=('convert', 'net.pth', 'new.pth', '--config', 'c.py'),
            train=('train', 'c.py', '--work-dir', 'w', '--cfg-options', 'load_from=net.pth'))
FINE = {('train', name) for name in ('lacking', 'classes', 'nan', *list(WEIGHTS)[-4:])}  # it starts from what fits
CHECKPOINTS = [Case(f'{use}-weights-{name}', words, says, change=change) for name, (change, says) in WEIGHTS.items()
               for use, words in USES.items() if (use, name) not in FINE and not (use == 'convert' and name in (
                   'nan', 'other', 'lacking', 'classes', *list(WEIGHTS)[-4:]))]


def resume(edit):
    return edited('run/iter_2.pth', edit)


RESUME = ('train', 'c.py', '--work-dir', 'run', '--resume')
RESUMED = [
    Case('resume-half', RESUME, ('iter_2.pth', 'damaged'), change=resume(lambda content: content[:500]),
        may=('run/*',)),
    Case('resume-flipped', RESUME, ('damaged',), change=resume(flipped), may=('run/*',)),
    Case('resume-other-network', (*RESUME, '--cfg-options', 'model.decode_head.channels=16'),
         ("expected the weights of the config's network",), may=('run/*',)),
    Case('resume-pointer-binary', (*RESUME, '--cfg-options', 'train_cfg.max_iters=3'), status=0,
         change=lambda folder: (folder / 'run' / 'last_checkpoint').unlink() or write(
             'run/last_checkpoint', b'\xff\x00\xfe')(folder), may=('run/*',)),
]


def label(array):
    def change(folder):
        assert cv2.imwrite(str(folder / 'labels' / '1.png'), array)
    return change


GOOD = np.zeros((48, 64), np.uint8)
LABELS = dict(
    outside=(label(GOOD + 12), ('1.png', '12')), far=(label(GOOD + 200), ('1.png', '200')),
    deep=(label(np.full((48, 64), 300, np.uint16)), ('1.png', '300')),
    very_deep=(label(np.full((48, 64), 65535, np.uint16)), ('1.png', '65535')),
    size=(label(GOOD[:20]), ('1.png',)), colour=(label(np.full((48, 64, 3), 90, np.uint8)), ('1.png',)),
    text=(write('labels/1.png', b'label'), ('1.png',)), empty=(write('labels/1.png', b''), ('1.png',)),
    missing=(lambda folder: (folder / 'labels' / '1.png').unlink(), ('1.png',)))
LABELS.update(
    float_=(lambda folder: Image.fromarray(np.full((48, 64), 0.5, np.float32)).save(
        folder / 'labels' / '1.png', format='TIFF'), ('1.png',)),
    negative=(lambda folder: Image.fromarray(np.full((48, 64), -1, np.int32)).save(
        folder / 'labels' / '1.png', format='TIFF'), ('1.png',)),
    jpeg=(write('labels/1.png', cv2.imencode('.jpg', np.random.default_rng(0).integers(
        0, 99, (48, 64)).astype(np.uint8))[1].tobytes()), ('1.png',)),
    one=(label(GOOD[:1, :1]), ('1.png',)), row=(label(GOOD[:1]), ('1.png',)), alpha=(label(np.full(
        (48, 64, 4), 90, np.uint8)), ('1.png',)),
    none=(lambda folder: [path.unlink() for path in (folder / 'labels').iterdir()], ('.png',)),
    no_folder=(lambda folder: shutil.rmtree(folder / 'labels'), ('labels',)),
    no_images=(lambda folder: [path.unlink() for path in (folder / 'images').iterdir()], ('',)),
    swapped=(lambda folder: ((folder / 'images').rename(folder / 'x'), (folder / 'labels').rename(folder / 'images'),
                             (folder / 'x').rename(folder / 'labels')), ('.png',)))
READERS = dict(train=('train', 'files.py', '--work-dir', 'w'), test=('test', 'files.py', 'net.pth', '--work-dir', 'w'),
               analyze=('analyze', 'images', '--labels', 'labels', *NET), check_data=('check-data', 'files.py'))
WRONG_LABELS = [Case(f'{use}-label-{name}', words, says if use in ('analyze', 'check_data') or name in (
    'outside', 'far', 'deep', 'very_deep', 'missing') else (), change=change,
                     may=('analysis.html',) if use == 'analyze' else ()) for name, (change, says) in LABELS.items()
                for use, words in READERS.items()]


def gif(folder):
    frames = [Image.fromarray(np.full((48, 64, 3), value, np.uint8)) for value in (0, 100, 200)]
    frames[0].save(folder / 'images' / 'a.gif', save_all=True, append_images=frames[1:])
    frames[0].save(folder / 'images' / 'b.tif', save_all=True, append_images=frames[1:])


COLOUR = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
KINDS = dict(
    rgba=('a.png', np.dstack([COLOUR, COLOUR[..., 0]])), deep=('a.png', COLOUR.astype(np.uint16) * 256),
    grey=('a.png', COLOUR[..., 0]), one=('a.png', COLOUR[:1, :1]), row=('a.png', COLOUR[:1]),
    column=('a.png', COLOUR[:, :1]), upper=('A.PNG', COLOUR), long_=('a.png', np.zeros((1, 9000, 3), np.uint8)))
MODES = dict(CMYK='a.jpg', P='a.png', LA='a.png')
MODES['1'] = 'a.png'
ODD = [Case(f'odd-image-{name}', PREDICT, ('1 done',), status=0, may=('outputs', 'outputs/*'), change=write(
    f'in/{file}', cv2.imencode(file[1:].lower(), pixels)[1].tobytes())) for name, (file, pixels) in KINDS.items()]


def of_mode(mode, file):
    Image.fromarray(COLOUR).convert(mode).save(found := io.BytesIO(), format=dict(jpg='JPEG', png='PNG')[file[2:]])
    return found.getvalue()


ODD += [Case(f'odd-mode-{mode}', PREDICT, ('1 done',), status=0, may=('outputs', 'outputs/*'), change=write(
    f'in/{file}', of_mode(mode, file))) for mode, file in MODES.items()]
SAID = [Case('gif-and-pages', ('predict', 'images', *NET), ('b.tif: 3 pages, the first is used', '4 done (6 images)'),
             status=0,
             change=gif,
             may=('outputs', 'outputs/*'))]


@cases(*IMAGES, *ONE_OF_TWO, *GIVEN, *CHECKPOINTS, *RESUMED, *WRONG_LABELS, *ODD, *SAID)
def test_a_damaged_file_is_named(case, runner, material, tmp_path):
    judge(case, runner, material, tmp_path / 'case')
    assert not (tmp_path / 'case' / 'ran').exists(), 'code of a pickle ran'
