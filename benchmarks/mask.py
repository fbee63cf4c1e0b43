"""Time the mask from small logits, exact and fast against resizing: ``python -m benchmarks.mask --out mask.json``.

Letters: K classes, H and W sides of the mask, h and w sides of the logits, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Report, load_images, options, parse, save, synchronised
from bisenet_plugins.fast_mask import upsample_argmax
from bisenet_plugins.timing import interleave, spread

__all__ = ['image_logits', 'main', 'time_masks']


def image_logits(image: np.ndarray, classes: int = 19, size: tuple[int, int] = (64, 128)) -> Tensor:
    """Make logits whose regions follow an image's, for where no trained network is at hand.

    Args:
        image: ``(H, W, 3)`` uint8.
        classes: Number of classes.
        size: Height and width of the logits.

    Shape:
        - Output: ``(1, K, h, w)`` float32.

    Example:
        >>> image_logits(np.zeros((32, 64, 3), np.uint8), 5, (4, 8)).shape
        torch.Size([1, 5, 4, 8])
    """
    small = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(small, (0, 0), 1.5)
    rows, columns = np.mgrid[-1:1:complex(size[0]), -1:1:complex(size[1])].astype(np.float32)
    features = torch.from_numpy(np.dstack([smooth, smooth**2, rows, columns])).float()  # (h, w, 8)
    weights = torch.randn(features.shape[2], classes, generator=torch.Generator().manual_seed(0))
    return (4 * (features - features.mean((0, 1))) @ weights).permute(2, 0, 1)[None].contiguous()


def time_masks(logits: Tensor, network_size: tuple[int, int], size: tuple[int, int], rounds: int) -> Report:
    """Time the exact fast mask against two bilinear resizes and an argmax, which is what mmseg does.

    Args:
        logits: Logits.
        network_size: Height and width of the network's input, to which mmseg resizes first.
        size: Height and width of the image.
        rounds: Rounds that count.

    Shape:
        - Input: ``(1, K, h, w)``.
    """
    def once() -> Tensor:
        return F.interpolate(logits, size, mode='bilinear', align_corners=False)

    def twice() -> Tensor:
        large = F.interpolate(logits, network_size, mode='bilinear', align_corners=False)
        return F.interpolate(large, size, mode='bilinear', align_corners=False).argmax(1)

    calls = {
        'two resizes + argmax (mmseg)': twice, 'one resize + argmax': lambda: once().argmax(1),
        'upsample_argmax, int64': lambda: upsample_argmax(logits, size),
        'upsample_argmax, uint8': lambda: upsample_argmax(logits, size, dtype=torch.uint8)}
    with torch.inference_mode():
        seconds = interleave({name: synchronised(call, str(logits.device)) for name, call in calls.items()}, rounds, 3)
        mask, full = upsample_argmax(logits, size), once()
        differs = full.argmax(1) != mask
        top = full.topk(2, 1).values
        tie = (top[:, 0] - top[:, 1]) <= 1e-5 * top.abs().amax(1).clamp(min=1)
        agreement = (twice() == mask).float().mean()
    report = Report('mask', settings=dict(
        logits=list(logits.shape), network_size=list(network_size), image=list(size), rounds=rounds))
    report.rows = [dict(name=name, ms=spread(series)) for name, series in seconds.items()]
    report.compare(seconds, 'two resizes + argmax (mmseg)')
    report.checks = dict(
        pixels_that_differ_from_one_resize=int(differs.sum()), of_these_no_ties=int((differs & ~tie).sum()),
        agreement_with_two_resizes=round(float(agreement), 6), classes_in_the_mask=int(mask.unique().numel()),
        share_of_border_pixels=round(float((mask[:, :, 1:] != mask[:, :, :-1]).float().mean()), 5))
    return report


def main(argv: Sequence[str] | None = None) -> None:
    parser = options('Time the mask from small logits; the network sees half the image\'s sides.', 20, image=True)
    parser.add_argument('--classes', type=int, default=19, help='number of classes (default: %(default)s)')
    args = parse(parser, argv)
    height, width = args.image_size
    logits = image_logits(load_images(args.images, (height, width))[0], args.classes, (height // 16, width // 16))
    report = time_masks(logits.to(args.device), (height // 2, width // 2), (height, width), args.rounds)
    save(report, args.out, argv)


if __name__ == '__main__':
    main()
