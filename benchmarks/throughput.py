"""Time folders and videos from the disk to the disk, against the network alone: ``python -m benchmarks.throughput``.

Scenario offline: all images are there at the start, and the rate is what counts. Reading, decoding, drawing, encoding
and writing are included; the network alone runs on inputs that are prepared.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from benchmarks.candidates import HELP, open_candidate, parse_candidate
from benchmarks.harness import Report, load_images, options, parse, save
from bisenet_plugins.runtime.results import predict_sources
from bisenet_plugins.runtime.sources import find_sources
from bisenet_plugins.timing import interleave, spread
from bisenet_plugins.weights.store import pretrained_names

__all__ = ['main', 'time_throughput']


def time_throughput(
    spec: dict[str, Any], images: Sequence[np.ndarray], count: int, rounds: int, batch: int = 1, least: float = 0.0
) -> Report:
    """Time a folder of JPEGs, one of PNGs and a video of so many frames, and the network on as many inputs.

    Args:
        spec: Arguments of :func:`~benchmarks.candidates.open_candidate`.
        images: ``(H, W, 3)`` uint8 BGR of one size, repeated in turn.
        count: Images in a folder, and frames of the video.
        rounds: Rounds that count.
        batch: Frames segmented together.
        least: Seconds that the rounds take at least.
    """
    predictor, shared = (cast('Any', open_candidate(**spec).whole) for _ in range(2))
    workers = shared.share_cores()
    frames = [images[number % len(images)] for number in range(count)]
    prepared = [predictor.preprocess(image) for image in images]
    report = Report('throughput', settings=dict(
        scenario='offline', image=list(images[0].shape[:2]), images=len(images), count=count, batch=batch,
        at_once=workers, rounds=rounds, least_seconds=least))

    def network() -> None:
        for start in range(0, count, batch):
            predictor.logits([prepared[number % len(prepared)] for number in range(start, min(start + batch, count))])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for suffix in ('jpg', 'png'):
            (folder / suffix).mkdir()
            for number, image in enumerate(frames):
                cv2.imwrite(str(folder / suffix / f'{number:05d}.{suffix}'), image)
        height, width = frames[0].shape[:2]
        video = cv2.VideoWriter(str(folder / 'video.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 25.0, (width, height))
        for image in frames:
            video.write(image)
        video.release()

        def whole(source: str, save_kind: str) -> Callable[[], None]:
            def run() -> None:
                shutil.rmtree(folder / 'out', ignore_errors=True)
                done = predict_sources(shared.segment, find_sources([str(folder / source)]), folder / 'out',
                                       (save_kind,), batch_size=batch, workers=workers)
                if done.failed or done.frames != count:
                    raise RuntimeError(f'{source}: expected {count} images, got {done}')
            return run

        calls = {'network alone': network, 'JPEG files to masks': whole('jpg', 'ids'),
                 'PNG files to masks': whole('png', 'ids'), 'JPEG files to overlays': whole('jpg', 'overlay'),
                 'video to video': whole('video.mp4', 'overlay')}
        seconds = interleave(calls, rounds, 1, least)
    for name, series in seconds.items():
        ms = spread([value / count for value in series])
        report.rows.append(dict(name=name, ms=ms, share_of_the_network=round(
            report.rows[0]['ms']['median'] / ms['median'], 3) if report.rows else 1.0))
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time folders and videos from the disk to the disk, against the network alone.', 3, image=True)
    parser.set_defaults(image_size=(360, 480))
    parser.add_argument('candidate', nargs='?', metavar='CANDIDATE', default=next(iter(pretrained_names()), None),
                        help=HELP + ' (default: the first network in the package)')
    parser.add_argument('--count', type=int, default=64, help='images in a folder, frames (default: %(default)s)')
    parser.add_argument('--batch', type=int, default=1, help='frames segmented together (default: %(default)s)')
    args = parse(parser, argv)
    images = load_images(args.images, tuple(args.image_size))
    save(time_throughput(parse_candidate(args.candidate), images, args.count, args.rounds, args.batch, args.seconds),
         args.out, argv)


if __name__ == '__main__':
    main()
