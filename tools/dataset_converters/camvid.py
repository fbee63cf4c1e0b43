"""Convert CamVid, in either form in which it is passed on, to the layout that the configs read."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bisenet_plugins.cli.main import run_module  # noqa: E402
from bisenet_plugins.datasets.camvid import CamVidDataset  # noqa: E402
from bisenet_plugins.errors import expect, printable  # noqa: E402
from bisenet_plugins.files import write_atomically  # noqa: E402

RESUME = 'run the same command to resume'
IGNORED = 255
SPLITS = ('train', 'val', 'test')
RAW_IMAGES, RAW_LABELS = '701_StillsRaw_full', 'LabeledApproved_full'

# The 32 colours of the original labels: name, RGB, and the class of the 11 that it joins (None: not labelled).
COLOURS: tuple[tuple[str, tuple[int, int, int], str | None], ...] = (
    ('Animal', (64, 128, 64), 'Pedestrian'),
    ('Archway', (192, 0, 128), 'Building'),
    ('Bicyclist', (0, 128, 192), 'Bicyclist'),
    ('Bridge', (0, 128, 64), 'Building'),
    ('Building', (128, 0, 0), 'Building'),
    ('Car', (64, 0, 128), 'Car'),
    ('CartLuggagePram', (64, 0, 192), 'Pedestrian'),
    ('Child', (192, 128, 64), 'Pedestrian'),
    ('Column_Pole', (192, 192, 128), 'Pole'),
    ('Fence', (64, 64, 128), 'Fence'),
    ('LaneMkgsDriv', (128, 0, 192), 'Road'),
    ('LaneMkgsNonDriv', (192, 0, 64), 'Road'),
    ('Misc_Text', (128, 128, 64), 'SignSymbol'),
    ('MotorcycleScooter', (192, 0, 192), 'Bicyclist'),
    ('OtherMoving', (128, 64, 64), 'Car'),
    ('ParkingBlock', (64, 192, 128), 'Pavement'),
    ('Pedestrian', (64, 64, 0), 'Pedestrian'),
    ('Road', (128, 64, 128), 'Road'),
    ('RoadShoulder', (128, 128, 192), 'Pavement'),
    ('Sidewalk', (0, 0, 192), 'Pavement'),
    ('SignSymbol', (192, 128, 128), 'SignSymbol'),
    ('Sky', (128, 128, 128), 'Sky'),
    ('SUVPickupTruck', (64, 128, 192), 'Car'),
    ('TrafficCone', (0, 0, 64), 'Pole'),
    ('TrafficLight', (0, 64, 64), 'SignSymbol'),
    ('Train', (192, 64, 128), 'Car'),
    ('Tree', (128, 128, 0), 'Tree'),
    ('Truck_Bus', (192, 128, 192), 'Car'),
    ('Tunnel', (64, 0, 64), 'Building'),
    ('VegetationMisc', (192, 192, 0), 'Tree'),
    ('Void', (0, 0, 0), None),
    ('Wall', (64, 192, 0), 'Building'),
)


class BadFile(Exception):
    """A file that cannot be used; its message is the reason."""


@dataclass
class PrepareReport:
    """What a preparation did.

    Args:
        written: Pairs of image and label written, for each split.
        present: Pairs that were there already, for each split.
        problems: One sentence for each file that was left out.
    """

    written: Counter[str] = field(default_factory=Counter)
    present: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        """Return a line for each split, then the count of the problems."""
        lines = [f'{split}: {self.written[split]} written, {self.present[split]} there already'
                 for split in SPLITS if self.written[split] or self.present[split]]
        return '\n'.join([*lines, f'{len(self.problems)} file(s) left out'])


def split_of(stem: str) -> str:
    """Return the split of a frame of the 701 by the rule of its sequence.

    ``0006R0`` trains; ``0016E5`` trains, but for the frames 7959 to 8159 (labelled at 15 Hz), which validate;
    ``0001TP`` trains up to frame 8520 and tests from there on; ``Seq05VD`` tests: 367, 101 and 233 frames.

    Args:
        stem: Name of the image without its suffix.

    Raises:
        InputError: If the name is of none of the four sequences.

    Example:
        >>> split_of('0016E5_07961'), split_of('Seq05VD_f00030')
        ('val', 'test')
    """
    match = re.fullmatch(r'(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)', stem)
    expect(match is not None, 'stem', 'a frame of 0001TP, 0006R0, 0016E5 or Seq05VD', stem)
    sequence, frame = match[1], int(match[2])
    if sequence == '0001TP':
        return 'train' if frame <= 8520 else 'test'
    if sequence == '0016E5':
        return 'val' if 7959 <= frame <= 8159 else 'train'
    return 'train' if sequence == '0006R0' else 'test'


@lru_cache(maxsize=1)
def _colour_table() -> np.ndarray:
    """Return the id for each of the 2^24 colours; 254 marks the unknown ones."""
    table = np.full(1 << 24, 254, np.uint8)
    classes = CamVidDataset.METAINFO['classes']
    for _, (red, green, blue), name in COLOURS:
        table[red << 16 | green << 8 | blue] = IGNORED if name is None else classes.index(name)
    return table


def ids_from_colours(label: np.ndarray, unknown_as_void: bool = False) -> np.ndarray:
    """Turn a colour-coded label of the original CamVid into ids.

    Args:
        label: Colours, RGB.
        unknown_as_void: Whether a colour that is none of the 32 becomes 255 instead of an error.

    Shape:
        - Input: ``(H, W, 3)`` uint8.
        - Output: ``(H, W)`` uint8, 0 to 10 and 255.

    Raises:
        BadFile: If a colour is none of the 32.

    Source:
        The grouping of 32 classes into 11 of the SegNet work, as in most of the literature.

    Example:
        >>> ids_from_colours(np.array([[[128, 0, 192], [64, 0, 128], [0, 0, 0]]], np.uint8)).tolist()
        [[3, 8, 255]]
    """
    wide = label.astype(np.int32)
    codes = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    ids = _colour_table()[codes]
    unknown = ids == 254
    if unknown.any():
        if not unknown_as_void:
            seen = [f'({c >> 16}, {c >> 8 & 255}, {c & 255})' for c in np.unique(codes[unknown])[:3].tolist()]
            count = int(unknown.sum())
            raise BadFile(f'label: expected the 32 colours, got others in {count} pixels, such as {", ".join(seen)}')
        ids[unknown] = IGNORED
    return ids


def ids_from_ids(label: np.ndarray) -> np.ndarray:
    """Turn a label of the SegNet layout into ids with 255 for what is not labelled.

    Args:
        label: Ids, 11 or 255 for what is not labelled.

    Shape:
        - Input and output: ``(H, W)`` uint8.

    Raises:
        BadFile: If the label has several channels, or an id is none of 0 to 11 and 255.
    """
    if label.ndim != 2:
        raise BadFile(f'label: expected one id per pixel, got {label.shape[-1]} channels')
    wrong = np.setdiff1d(label, [*range(12), IGNORED])
    if len(wrong):
        raise BadFile(f'label: expected ids 0 to 11 or 255, got {wrong[:5].tolist()}')
    return np.where(label == CamVidDataset.UNLABELLED, IGNORED, label).astype(np.uint8)


def _prepare_pair(image: Path, label: Path, out: Path, split: str, coloured: bool, unknown_as_void: bool) -> bool:
    """Check one image and its label and write both; return False where both are there already."""
    image_out, label_out = out / split / f'{image.stem}.png', out / f'{split}annot' / f'{image.stem}.png'
    if image_out.exists() and label_out.exists():
        return False
    if not label.exists():
        raise BadFile('label: expected one of the same name, got none')
    content = image.read_bytes()
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if pixels is None:
        raise BadFile('image: expected a file that can be decoded, got a damaged or empty one')
    try:
        with Image.open(label) as opened:
            raw = np.array(opened.convert('RGB') if coloured else opened)
    except (OSError, SyntaxError) as error:
        raise BadFile('label: expected a file that can be decoded, got a damaged or empty one') from error
    if raw.shape[:2] != pixels.shape[:2]:
        raise BadFile(f'label: expected the size of the image {pixels.shape[:2]}, got {raw.shape[:2]}')
    ids = ids_from_colours(raw, unknown_as_void) if coloured else ids_from_ids(raw)
    write_atomically(label_out, cv2.imencode('.png', ids)[1].tobytes())  # first, so that no image stands alone
    if image.suffix.lower() != '.png':
        content = cv2.imencode('.png', pixels)[1].tobytes()
    write_atomically(image_out, content)
    return True


def read_splits(folder: Path) -> dict[str, str]:
    """Read ``train.txt``, ``val.txt`` and ``test.txt`` of a folder: a frame's name or path starts each line.

    Args:
        folder: Folder with some of the three files.

    Returns:
        The split of each frame's name; empty where there is no such file.

    Raises:
        InputError: If a frame stands in two splits.
    """
    splits: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f'{split}.txt'
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            if line.strip():
                stem = Path(line.split()[0]).stem.removesuffix('_L')
                expect(splits.setdefault(stem, split) == split, f'frame {stem}', f'one split, {splits[stem]}', split)
    return splits


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in ('.png', '.jpg', '.jpeg') and not path.name.startswith('.'))


def _original_pairs(source: Path, splits: Path | None, report: PrepareReport) -> list[tuple[Path, Path, str]]:
    """Pair the 701 images with their labels and splits; note what has no partner or no split."""
    raw, annotated = source / RAW_IMAGES, source / RAW_LABELS
    images = {path.stem: path for path in _images(raw)}
    listed = read_splits(splits or source)
    expect(splits is None or bool(listed), 'splits', 'a folder with train.txt, val.txt or test.txt', str(splits))
    for stem in sorted(set(listed) - set(images)):
        report.problems.append(f'{stem}: is listed in {listed[stem]}.txt but {RAW_IMAGES} has no such image')
    for path in _images(annotated):
        if path.stem.removesuffix('_L') not in images:
            report.problems.append(f'{path}: image: expected one of the same name, got none')
    pairs = []
    for stem, image in images.items():
        if listed and stem not in listed:
            continue
        try:
            pairs.append((image, annotated / f'{stem}_L.png', listed.get(stem) or split_of(stem)))
        except ValueError as error:
            report.problems.append(f'{image}: {error}')
    return pairs


def _segnet_pairs(source: Path, report: PrepareReport) -> list[tuple[Path, Path, str]]:
    """Pair the images of each split with the labels of the same name; note labels that have no image."""
    pairs = []
    for split in SPLITS:
        folder, annotated = source / split, source / f'{split}annot'
        if not folder.is_dir():
            continue
        images = _images(folder)
        stems = {path.stem for path in images}
        pairs += [(path, annotated / f'{path.stem}.png', split) for path in images]
        for path in _images(annotated) if annotated.is_dir() else ():
            if path.stem not in stems:
                report.problems.append(f'{path}: image: expected one of the same name, got none')
    return pairs


def prepare_camvid(
    source: str | Path, out: str | Path, splits: str | Path | None = None, unknown_as_void: bool = False
) -> PrepareReport:
    """Write CamVid as ``train/``, ``trainannot/``, ``val/``, ``valannot/`` (and test), ids 0 to 10, 255 not labelled.

    Files that are there already are kept, so that an interrupted run can be resumed. A bad file is left out and named.

    Args:
        source: The SegNet layout (``train``, ``trainannot``, ``val``, ``valannot``), or the folder that has the
            original ``701_StillsRaw_full`` and ``LabeledApproved_full``.
        out: Folder to write to.
        splits: Folder with ``train.txt``, ``val.txt``, ``test.txt`` for the originals; by default those in
            ``source``, or, without such files, the rule of :func:`split_of`.
        unknown_as_void: Whether colours that are none of the 32 are not labelled, instead of a bad file.

    Returns:
        The counts and the problems.

    Raises:
        InputError: If ``source`` has neither layout, ``out`` is ``source``, or ``splits`` has no lists.
    """
    source, out = Path(source), Path(out)
    expect(source.resolve() != out.resolve(), 'out', 'a folder other than source', str(out))
    report = PrepareReport()
    coloured = (source / RAW_IMAGES).is_dir() and (source / RAW_LABELS).is_dir()
    if coloured:
        pairs = _original_pairs(source, Path(splits) if splits else None, report)
    else:
        expect((source / 'train').is_dir() and (source / 'trainannot').is_dir(), 'source',
               f'a folder with train and trainannot, or with {RAW_IMAGES} and {RAW_LABELS}', str(source))
        pairs = _segnet_pairs(source, report)
    for image, label, split in pairs:
        try:
            wrote = _prepare_pair(image, label, out, split, coloured, unknown_as_void)
            (report.written if wrote else report.present)[split] += 1
        except BadFile as error:
            report.problems.append(f'{image}: {error}')
    return report


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('source', help='folder with train/, trainannot/, ... or with 701_StillsRaw_full/ and '
                        'LabeledApproved_full/')
    parser.add_argument('--out', default='data/camvid', help='folder for the result (default: %(default)s)')
    parser.add_argument('--splits', help='folder with train.txt, val.txt, test.txt for the original 701 images '
                        '(default: those in SOURCE, otherwise the rule of the sequences)')
    parser.add_argument('--unknown-as-void', action='store_true',
                        help='treat colours outside the 32 classes as not labelled instead of leaving the file out')


def run(args: Namespace) -> int:
    """Convert and print the report, with a line on stderr for each file that was left out."""
    report = prepare_camvid(args.source, args.out, args.splits, args.unknown_as_void)
    for problem in report.problems:
        print(f'failed: {printable(problem)}', file=sys.stderr)
    print(report.to_text())
    return 1 if report.problems else 0


if __name__ == '__main__':
    sys.exit(run_module(sys.modules[__name__]))
