"""mIoU of networks on images as they are and changed: ``python -m benchmarks.robustness NAME... --out F.json``.

The changes are larger than those of the training: light, color, sharpness, noise and resolution. They say how much of a
score hangs on one camera and one kind of light; another street is a larger change than any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.harness import Report, options, parse, save, spread_out
from bisenet_plugins.datasets.samples import read_samples
from bisenet_plugins.metrics import confusion_matrix, score
from bisenet_plugins.runtime import Predictor
from bisenet_plugins.weights.store import pretrained_names

__all__ = ['CHANGES', 'main', 'score_changed']


def _scaled(image: np.ndarray, factor: float | Sequence[float], offset: float = 0) -> np.ndarray:
    return np.clip(image * np.asarray(factor) + offset, 0, 255).astype(np.uint8)


def _shrunk(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1])


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'as they are': lambda image: image,
    'values x 0.45': lambda image: _scaled(image, 0.45),
    'values x 1.5 + 20': lambda image: _scaled(image, 1.5, 20),
    'Gaussian blur, sigma 1.5': lambda image: cv2.GaussianBlur(image, (0, 0), 1.5),
    'Gaussian noise, sigma 14': lambda image: _scaled(
        image, 1, np.random.default_rng(0).normal(0, 14, image.shape)),  # type: ignore[arg-type]
    'blue x 0.75, red x 1.25': lambda image: _scaled(image, (0.75, 1, 1.25)),
    'grey': lambda image: np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2),
    'shrunk to 0.6 and enlarged again': _shrunk,
}
"""What happens to a BGR image."""


def score_changed(networks: Sequence[str], images: Sequence[Path], labels: str) -> Report:
    """Score networks of the package on changed images.

    Args:
        networks: Their names.
        images: Files.
        labels: Folder with a PNG of class ids for each image; CamVid's 11 classes.

    Returns:
        The report: a row for each change, with the mIoU of each network.
    """
    predictors = {name: Predictor(name) for name in networks}
    samples = list(read_samples(images, labels))
    report = Report('robustness', settings=dict(networks=list(networks), images=len(samples)))
    for change, make in CHANGES.items():
        matrices = {name: np.zeros((11, 11), np.int64) for name in networks}
        for sample in samples:
            image, label = make(sample.image), np.where(sample.label < 11, sample.label, 255)
            for name, predictor in predictors.items():
                matrices[name] += confusion_matrix(predictor(image), label, 11)
        report.rows.append(dict(name=change, **{name: round(score(one).miou, 2) for name, one in matrices.items()}))
    report.rows.append(dict(name='mean', **{
        name: round(float(np.mean([row[name] for row in report.rows])), 2) for name in networks}))
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(str(__doc__).splitlines()[0], 1)
    parser.add_argument('networks', nargs='*', metavar='NAME', help='networks in the package (default: all)')
    parser.add_argument('--images', default='data/camvid/train/0006R0*.png', help='pattern (default: %(default)s)')
    parser.add_argument('--labels', default='data/camvid/trainannot', help='folder (default: %(default)s)')
    parser.add_argument('--count', type=int, default=26, help='most images (default: %(default)s)')
    args = parse(parser, argv)
    pattern = Path(args.images)
    files = spread_out(sorted(pattern.parent.glob(pattern.name)), args.count)
    save(score_changed(args.networks or pretrained_names(), files, args.labels), args.out, argv)


if __name__ == '__main__':
    main()
