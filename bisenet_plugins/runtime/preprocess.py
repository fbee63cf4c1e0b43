"""From an image to the network's input: the one function for prediction, deployment, explanation and benchmarks.

Letters: H and W the sides of an image, h and w those of the network's input, in pixels; C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ..errors import InputError, expect, told_by

__all__ = ['PipelinePreprocess', 'Prepared', 'Preprocess', 'preprocess_of', 'resize_nearest']

READERS = ('LoadImageFromFile', 'LoadImageFromNDArray', 'LoadAnnotations', 'LoadDecoded', 'SeedSample')
"""Steps of a test pipeline that an image in memory does not need."""


@dataclass
class Prepared:
    """An image, ready for the network.

    Args:
        inputs: What the network takes.
        size: Sides (H, W) of the image.
        window: Rows and columns (top, bottom, left, right) of the input that are no padding.

    Shape:
        - inputs: ``(1, C, h, w)`` float32; ``(1, H, W, 3)`` uint8 for a graph that normalises by itself.
    """

    inputs: np.ndarray
    size: tuple[int, int]
    window: tuple[int, int, int, int]

    @property
    def network_size(self) -> tuple[int, int]:
        """Sides of the input, padding included."""
        sides = self.inputs.shape[1:3] if self.inputs.dtype == np.uint8 else self.inputs.shape[2:]
        return int(sides[0]), int(sides[1])


@dataclass
class Preprocess:
    """Resize, normalise and pad, in numpy and OpenCV alone; what it is made of can be kept as JSON.

    Args:
        mean: Mean of each channel, in the network's order; empty where nothing is normalised.
        std: Deviation of each channel.
        to_rgb: Whether the network takes RGB.
        size: Height and width of a static input, into which an image is resized and mirrored at its lower and right
            border; where it has room, the factor is the geometric mean of the test pipeline's and the largest that
            fits. None leaves it to ``scale``.
        stretch: Whether an image is resized to ``size`` without keeping its ratio instead.
        scale: Width and height that the image is resized into.
        scale_factor: Factor on both sides, where there is no ``scale``.
        keep_ratio: Whether ``scale`` keeps the image's ratio.
        divisor: Sides are padded to a multiple of this, below and on the right.
        pad_value: What is padded, after normalisation.

    Shape:
        - Input: ``(H, W, C)`` uint8, BGR where C is 3.
        - Output: :class:`Prepared` with ``(1, C, h, w)`` float32 in channels-last memory.

    Note:
        Normalisation is looked up in a table of 256 entries a channel, equal to ``(x - mean) / std`` in float32 in
        every bit.

    Example:
        >>> prepared = Preprocess(scale=(64, 32), divisor=32)(np.zeros((30, 40, 3), np.uint8))
        >>> prepared.inputs.shape, prepared.window
        ((1, 3, 32, 64), (0, 32, 0, 43))
    """

    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    to_rgb: bool = True
    size: tuple[int, int] | None = None
    stretch: bool = False
    scale: tuple[int, int] | None = None
    scale_factor: float = 1.0
    keep_ratio: bool = True
    divisor: int = 1
    pad_value: float = 0.0

    def __post_init__(self) -> None:
        counts = (len(self.mean), len(self.std))
        expect(counts[0] == counts[1], 'mean and std', 'as many entries in both', counts)
        values = np.arange(256, dtype=np.float32)[:, None]
        table = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32) if self.mean else values
        self._table: Any = np.ascontiguousarray(table[:, None])  # (256, 1, C), as OpenCV takes it

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width at which the network sees an image, before padding.

        Args:
            height: The image's height.
            width: The image's width.

        Example:
            >>> Preprocess(scale=(2048, 1024)).target_size(512, 1024)
            (1024, 2048)
        """
        if self.size is not None and self.stretch:
            return self.size
        if self.scale is None:
            factor = (self.scale_factor, self.scale_factor)
        elif self.keep_ratio:
            factor = (min(max(self.scale) / max(height, width), min(self.scale) / min(height, width)),) * 2
        else:
            factor = (self.scale[1] / height, self.scale[0] / width)
        if self.size is not None:
            largest = min(self.size[0] / height, self.size[1] / width)
            factor = (min(largest, (largest * min(factor)) ** 0.5),) * 2
        return int(height * factor[0] + 0.5), int(width * factor[1] + 0.5)

    def fit(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
        """Bring an image to the size at which the network takes it, as bytes.

        Args:
            image: ``(H, W, C)`` uint8.

        Returns:
            The image, and its rows and columns (top, bottom, left, right) that are no mirrored border.
        """
        image = as_channels(image, len(self.mean) or None)
        height, width = self.target_size(*image.shape[:2])
        expect(min(height, width) > 0, 'image', f'sides that stay at least one pixel and not {height} x {width} in the '
               'test pipeline', image.shape[:2])
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if self.size is not None and self.size != (height, width):
            image = cv2.copyMakeBorder(image, 0, self.size[0] - height, 0, self.size[1] - width, cv2.BORDER_REFLECT)
        return image.reshape(*image.shape[:2], -1), (0, height, 0, width)  # OpenCV drops a single channel

    def __call__(self, image: np.ndarray) -> Prepared:
        """Prepare one image."""
        resized, window = self.fit(image)
        if self.to_rgb and resized.shape[2] == 3:
            resized = cv2.cvtColor(resized, cv2.COLOR_BGR2RGB)
        height, width = resized.shape[:2]
        values: Any = cv2.LUT(resized, self._table).reshape(height, width, -1)  # (h, w, C)
        below, right = -height % self.divisor, -width % self.divisor
        if below or right:
            values = np.pad(values, ((0, below), (0, right), (0, 0)), constant_values=self.pad_value)
        return Prepared(values.transpose(2, 0, 1)[None], image.shape[:2], window)


class PipelinePreprocess:
    """Any test pipeline and data preprocessor of mmseg, where :class:`Preprocess` does not have their steps.

    Args:
        steps: Config dicts of the test pipeline.
        preprocessor: The segmentor's data preprocessor.
        channels: Channels of files that are read as they are.

    Shape:
        - Input: ``(H, W, C)`` uint8.
        - Output: :class:`Prepared` with ``(1, C, h, w)`` float32.

    Raises:
        InputError: If a step needs more than the image: when predicting, no label is there.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]], preprocessor: Any, channels: int) -> None:
        from mmcv.transforms import Compose

        self.pipeline = Compose([step for step in steps if step_name(step) not in READERS])
        self.preprocessor = preprocessor
        color = next((step['color_type'] for step in steps if 'color_type' in step), '')
        self.channels = dict(grayscale=1, unchanged=channels).get(color)

    def __call__(self, image: np.ndarray) -> Prepared:
        """Prepare one image."""
        image = as_channels(image, self.channels)
        packed: Any = dict(img=image, img_path=None, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        for step in self.pipeline.transforms:
            try:
                packed = step(packed)
            except (AttributeError, KeyError, TypeError) as error:  # what it needs is not there
                found = f'{type(step).__name__}, which fails with {type(error).__name__}: {told_by(error)}'
                raise InputError('test pipeline: expected steps that take an image without a label (they are those of '
                                 f'test_dataloader.dataset, else test_pipeline), got {found}') from error
        data = self.preprocessor(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]), False)
        inputs, meta = data['inputs'], data['data_samples'][0].metainfo
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
        height, width = inputs.shape[2:]
        window = (int(top), int(height - bottom), int(left), int(width - right))
        return Prepared(inputs.cpu().numpy(), meta['ori_shape'][:2], window)


def as_channels(image: Any, channels: int | None = None) -> np.ndarray:
    """Return an image as a network takes it, and refuse what is none.

    Args:
        image: What came.
        channels: How many channels it must have; a colour image becomes grey where it is one, None takes any number.

    Raises:
        InputError: If it is no ``(H, W, C)`` uint8 array with pixels.
    """
    if channels == 1 and getattr(image, 'shape', ())[2:] == (3,) and image.dtype == np.uint8:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None]
    right = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and 0 not in image.shape
    if not right or channels not in (None, image.shape[2]):
        got = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f'image: expected a uint8 array (H, W, {channels or "C"}), got {got}')
    return image


def preprocess_of(cfg: Any, preprocessor: Any = None, channels: int = 1) -> Preprocess | PipelinePreprocess:
    """Find what prepares images for the network of a config.

    Args:
        cfg: Config of mmseg with ``model.data_preprocessor`` and a test pipeline.
        preprocessor: The built data preprocessor, for pipelines that :class:`Preprocess` cannot stand for; None
            takes the nearest :class:`Preprocess`.
        channels: Channels of the network, all of which a single mean and deviation are for.

    Example:
        >>> from mmengine.config import Config
        >>> preprocess_of(Config(dict(model=dict(data_preprocessor=dict(mean=[1.0] * 3, std=[2.0] * 3))))).std
        [2.0, 2.0, 2.0]
    """
    pre = cfg.model.get('data_preprocessor') or {}
    steps = test_pipeline(cfg)
    names = [step_name(step) for step in steps if step_name(step) not in (*READERS, 'PackSegInputs')]
    test_cfg = pre.get('test_cfg') or {}
    resize: Mapping[str, Any] = next((step for step in steps if step_name(step) == 'Resize'), {})
    factor = resize.get('scale_factor') or 1.0
    mean, std = ([float(value) for value in pre.get(key) or [without]] for key, without in (('mean', 0), ('std', 1)))
    expect(max(mean) <= 255, 'data_preprocessor.mean', 'that of images of 8 bits, as which they are read here', mean)
    usual = step_name({'type': 'SegDataPreProcessor', **pre}) == 'SegDataPreProcessor' and names in ([], ['Resize'])
    usual = usual and set(resize) <= {'type', 'scale', 'scale_factor', 'keep_ratio'} and isinstance(factor, int | float)
    usual = usual and test_cfg.get('size') is None and isinstance(pre.get('pad_val', 0), int | float)
    if not usual and preprocessor is not None:
        return PipelinePreprocess(steps, preprocessor, channels)
    expect('Normalize' not in names, 'test pipeline', 'normalization in data_preprocessor, where an export finds it',
           'a step Normalize')
    scale = (scale, scale) if isinstance(scale := resize.get('scale'), int) else scale
    return Preprocess(
        mean=mean * channels if len(mean) == 1 else mean, std=std * channels if len(std) == 1 else std,
        to_rgb=bool(pre.get('bgr_to_rgb', False) or pre.get('rgb_to_bgr', False)),
        scale=(scale[0], scale[1]) if scale else None, keep_ratio=bool(resize.get('keep_ratio', False)),
        scale_factor=float(factor) if isinstance(factor, int | float) else 1.0,
        divisor=int(test_cfg.get('size_divisor') or 1), pad_value=float(pre.get('pad_val', 0)) if usual else 0.0)


def test_pipeline(cfg: Any) -> list[Any]:
    """Return the steps of a config's test pipeline, found through datasets that wrap or join others.

    Args:
        cfg: Config of mmseg.

    Raises:
        InputError: If datasets that are joined have different ones.
    """
    found = _pipelines((cfg.get('test_dataloader') or {}).get('dataset') or {})
    expect(found == found[:1] * len(found), 'test_dataloader.dataset', 'datasets with one pipeline', 'different ones')
    return list(found[0] or cfg.get('test_pipeline') or [dict(type='PackSegInputs')])


def _pipelines(dataset: Mapping[str, Any]) -> list[Any]:
    """Return the pipelines of a dataset, or of those in it."""
    inner = [one for one in (*(dataset.get('datasets') or ()), dataset.get('dataset')) if isinstance(one, Mapping)]
    return [dataset.get('pipeline')] if dataset.get('pipeline') or not inner else sum(map(_pipelines, inner), [])


def resize_nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask without mixing classes.

    Args:
        mask: Class ids.
        size: Height and width.

    Shape:
        - Input: ``(h, w)`` of any integer type.
        - Output: ``(H, W)`` of the same type.

    Example:
        >>> resize_nearest(np.array([[0, 1]]), (2, 4)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    # at the centres of the pixels, as the image was resized
    rows, columns = ((2 * np.arange(out) + 1) * side // (2 * out) for side, out in zip(mask.shape, size))
    return mask[rows][:, columns]


def step_name(step: Mapping[str, Any]) -> str:
    """Return the name of a pipeline's step, which is named or a class."""
    kind = step['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
