"""Images are read upright, and a file appears whole or not at all."""

import os
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from bisenet_plugins import files
from bisenet_plugins.errors import InputError
from bisenet_plugins.files import read_image, write_atomically


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, 'replace', stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / 'deep/x.png', b'content')
    assert list((tmp_path / 'deep').iterdir()) == []


def test_what_others_have_left_unfinished_stays(tmp_path):
    ours = tmp_path / f'.8244be22.{2**22 + 1}.01234567.partial'
    others = [tmp_path / name for name in ('.backup.2024.partial', f'.report.{2**22 + 1}.partial.tar', '.a.partial')]
    for path in (ours, *others):
        path.mkdir()
        os.utime(path, (0, 0))
    write_atomically(tmp_path / 'y', b'')
    assert not ours.exists() and all(path.is_dir() for path in others)


def test_writers_of_one_file_do_not_meet(tmp_path):
    """Threads, and containers, in which every process may have the same number."""
    contents = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / 'x', content), contents * 5))
    assert (tmp_path / 'x').read_bytes() in contents and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('age, left', [(0, 1), (2 * files.PATIENCE, 0)])
@pytest.mark.parametrize('owner', [os.getpid(), 2**22 + 1], ids=['its own', 'none'])
def test_what_is_young_may_be_written_in_another_container(tmp_path, owner, age, left):
    path = tmp_path / f'.8244be22.{owner}.01234567.partial.mp4'
    path.touch()
    os.utime(path, (files.BEGIN - age,) * 2)
    files.sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == left


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def stop(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'fsync', stop)
    with pytest.raises(OSError, match=r'No space left on device: .*x\.pth'):
        write_atomically(tmp_path / 'x.pth', b'content')


@pytest.mark.parametrize('mode', [0o600, 0o444, 0o664])
def test_a_file_keeps_its_permission_bits(tmp_path, mode):
    (tmp_path / 'x').touch()
    (tmp_path / 'x').chmod(mode)
    write_atomically(tmp_path / 'x', b'new')
    assert (tmp_path / 'x').read_bytes() == b'new' and (tmp_path / 'x').stat().st_mode & 0o7777 == mode


def test_a_link_is_replaced_and_its_file_left_alone(tmp_path):
    (tmp_path / 'x').write_bytes(b'old')
    (tmp_path / 'link').symlink_to('x')
    (tmp_path / 'broken').symlink_to('nowhere')
    for name in ('link', 'broken'):
        write_atomically(tmp_path / name, b'new')
        assert (tmp_path / name).read_bytes() == b'new' and not (tmp_path / name).is_symlink()
    assert (tmp_path / 'x').read_bytes() == b'old'


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='needs pipes with a name')
@pytest.mark.parametrize('name', ['pipe', 'link'])
def test_what_is_no_file_is_written_to_as_it_stands(tmp_path, name):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'link').symlink_to('pipe')
    reader = os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / name, b'content')
    assert os.read(reader, 99) == b'content' and (tmp_path / 'pipe').is_fifo() and (tmp_path / 'link').is_symlink()
    os.close(reader)
    with pytest.raises(IsADirectoryError, match=re.escape(f"'{tmp_path}'")):
        write_atomically(tmp_path, b'content')


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs a folder that takes no files')
def test_a_folder_that_takes_no_file_names_the_file():
    with pytest.raises(OSError, match=r"No such file or directory: '/proc/self/x\.html'"):
        write_atomically('/proc/self/x.html', b'content')


def test_an_image_is_read_as_bgr_and_anything_else_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((2, 3), 7, np.uint8))
    assert read_image(tmp_path / 'a.png').tolist() == [[[7] * 3] * 3] * 2
    for name, content in (('empty.png', b''), ('text.png', b'text'), ('none.png', None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match='none.png: No such file or directory$'):
        read_image(tmp_path / 'none.png')


def test_an_image_too_large_is_named(tmp_path):
    header = b'\x89PNG\r\n\x1a\n' + b'\0\0\0\rIHDR' + (100000).to_bytes(4, 'big') * 2 + b'\x08\x02\0\0\0'
    checksum = zlib.crc32(header[12:]).to_bytes(4, 'big')
    (tmp_path / 'bomb.png').write_bytes(header + checksum + b'\0\0\0\0IDAT' + b'\0' * 99)
    with pytest.raises(InputError, match=r'bomb\.png: .*') as told:
        read_image(tmp_path / 'bomb.png')
    assert '\n' not in str(told.value) and 'loadsave.cpp' not in str(told.value)


@pytest.mark.parametrize('kind', [b'P2', b'P3', b'P5', b'P6'])
def test_a_pgm_or_ppm_of_another_maximum_is_named(tmp_path, kind):
    for most in (15, 255, 1023, 4095, 65535):
        values, sides = [most] * 18, (b' 3\t2\n' if kind in (b'P3', b'P6') else b'# made by\n 9 # wide\n 2\n')
        plain, size = ' '.join(map(str, values)).encode(), '>u2' if most > 255 else 'u1'
        content = plain if kind in (b'P2', b'P3') else np.array(values, size).tobytes()
        (tmp_path / 'a.ppm').write_bytes(kind + b'\n' + sides + b'%d\n' % most + content + b'\n')
        if most in (255, 65535):
            assert (read_image(tmp_path / 'a.ppm') == 255).all()
        else:
            with pytest.raises(InputError, match=f'a.ppm: expected a PGM or PPM of maximum 255 or 65535, got {most}$'):
                read_image(tmp_path / 'a.ppm')
