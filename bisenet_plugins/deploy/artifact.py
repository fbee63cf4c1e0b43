"""The folder that a deployment leaves: what it says about itself, and a predictor over it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
import torch

from ..errors import DeployError
from ..runtime.preprocess import Normaliser
from ..runtime.sessions import Session, open_session
from .metrics import resize_nearest

__all__ = ['Artifact', 'ArtifactPredictor', 'Preprocess']

META_FILE = 'artifact.json'


@dataclass
class Preprocess:
    """From an image to the network's normalised input.

    Args:
        mean: Mean of each channel, in the network's order.
        std: Deviation of each channel.
        to_rgb: Whether the network takes RGB.
        size: Height and width of the input; None leaves it to ``scale``.
        scale: Long and short side that the test pipeline resizes to; None keeps the image's own size.
        keep_ratio: Whether ``scale`` keeps the image's ratio.
        divisor: Sides are padded to a multiple of this, below and on the right.
        pad_value: What is padded, after normalisation.
    """

    mean: list[float] = field(default_factory=lambda: [0., 0., 0.])
    std: list[float] = field(default_factory=lambda: [1., 1., 1.])
    to_rgb: bool = True
    size: tuple[int, int] | None = None
    scale: tuple[int, int] | None = None
    keep_ratio: bool = True
    divisor: int = 1
    pad_value: float = 0.

    @classmethod
    def from_config(cls, model_cfg: Any, size: tuple[int, int] | None = None) -> Preprocess:
        """Read it from a model's config.

        Args:
            model_cfg: mmseg config with ``model.data_preprocessor`` and ``test_pipeline``.
            size: Height and width of a static artefact.
        """
        pre = model_cfg.model.get('data_preprocessor') or {}
        dataset = (model_cfg.get('test_dataloader') or {}).get('dataset') or {}
        steps = dataset.get('pipeline') or model_cfg.get('test_pipeline') or []
        resize: dict = next((step for step in steps if step['type'].endswith('Resize')), {})
        scale = resize.get('scale')
        test_cfg = pre.get('test_cfg') or {}
        return cls(mean=list(pre.get('mean') or [0., 0., 0.]), std=list(pre.get('std') or [1., 1., 1.]),
                   to_rgb=bool(pre.get('bgr_to_rgb', False)), size=(size[0], size[1]) if size else None,
                   scale=tuple(scale) if scale else None, keep_ratio=bool(resize.get('keep_ratio', False)),
                   divisor=1 if size else int(test_cfg.get('size_divisor') or 1),
                   pad_value=float(pre.get('pad_val', 0)))

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Give height and width at which the network sees an image.

        Args:
            height: The image's height.
            width: The image's width.

        Example:
            >>> Preprocess(scale=(2048, 1024)).target_size(512, 1024)
            (1024, 2048)
        """
        if self.size is not None:
            return self.size
        if self.scale is None:
            return height, width
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        factor = min(max(self.scale) / max(height, width), min(self.scale) / min(height, width))
        return int(height * factor + 0.5), int(width * factor + 0.5)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Resize, normalise and pad.

        Args:
            image: Image as OpenCV reads it.

        Shape:
            - image: ``(H, W, 3)`` BGR uint8.
            - Output: ``(1, 3, h, w)`` float32, and the part of ``(h, w)`` that is no padding.
        """
        height, width = self.target_size(*image.shape[:2])
        if (height, width) != image.shape[:2]:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        scaled = Normaliser(self.mean, self.std, self.to_rgb).planes(image)
        padding = [(0, 0), (0, -height % self.divisor), (0, -width % self.divisor)]
        if any(after for _, after in padding):
            scaled = np.pad(scaled, padding, constant_values=self.pad_value)
        return scaled[None], (height, width)


@dataclass
class Artifact:
    """What a deployment's folder says about itself; it is kept in ``artifact.json``.

    Args:
        backend: Backend that runs it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        file: The file that the backend loads, relative to the folder.
        graph: The ONNX file it was made from, relative to the folder.
        num_classes: Classes of the model.
        output: ``mask``, ``logits`` or ``logits_s8``.
        shape: Height and width of the input, None for dynamic.
        batch: Images at a time of a static artefact.
        channel_order: ``bgr`` or ``rgb`` in the self-contained form.
        network_size: Height and width at which the network runs in the self-contained form.
        align_corners: How scores are resized.
        preprocess: From an image to the network's input.
        classes: Names of the classes.
        palette: Colours of the classes.
        config: Name of the model's config.
        opset: ONNX opset.
        versions: Versions of what made it.
        quantization: mIoU before and after INT8, and the layers kept in higher precision.
        checks: How it compared with the PyTorch model.
        folder: Where it lies; not written.
    """

    backend: str
    precision: str
    file: str
    graph: str
    num_classes: int
    output: str = 'mask'
    shape: tuple[int, int] | None = None
    batch: int = 1
    channel_order: str | None = None
    network_size: tuple[int, int] | None = None
    align_corners: bool = False
    preprocess: Preprocess = field(default_factory=Preprocess)
    classes: list[str] = field(default_factory=list)
    palette: list[list[int]] = field(default_factory=list)
    config: str = ''
    opset: int = 17
    versions: dict[str, str] = field(default_factory=dict)
    quantization: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    folder: str = ''

    @classmethod
    def load(cls, folder: str) -> Artifact:
        """Read an artefact's folder.

        Args:
            folder: Folder that a deployment wrote.

        Raises:
            DeployError: If the folder is none, or a file of it is missing.
        """
        path = os.path.join(folder, META_FILE)
        if not os.path.isfile(path):
            raise DeployError(f'{folder} holds no {META_FILE}; give the folder that deploy.py wrote')
        with open(path) as file:
            values = json.load(file)
        pre = values.pop('preprocess')
        for mapping, keys in ((pre, ('size', 'scale')), (values, ('shape', 'network_size'))):
            for key in keys:
                mapping[key] = tuple(mapping[key]) if mapping[key] else None
        artifact = cls(**values, preprocess=Preprocess(**pre), folder=folder)
        if not os.path.isfile(artifact.path):
            raise DeployError(f'{folder} has lost its file {artifact.file}')
        return artifact

    def save(self) -> None:
        """Write ``artifact.json`` into the artefact's folder."""
        values = asdict(self)
        del values['folder']
        with open(os.path.join(self.folder, META_FILE), 'w') as file:
            json.dump(values, file, indent=2)
            file.write('\n')

    @property
    def path(self) -> str:
        """Path of the file that the backend loads."""
        return os.path.join(self.folder, self.file)

    def open(self, threads: int = 0) -> Session:
        """Load the artefact's file.

        Args:
            threads: Threads on the CPU; 0 leaves it to the runtime.
        """
        return open_session(self.backend, self.path, threads)

    def batch_of(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """Make the input that the artefact's file takes.

        Args:
            image: Image as OpenCV reads it.

        Shape:
            - image: ``(H, W, 3)`` BGR uint8.
            - Output: ``(B, H, W, 3)`` uint8 in the self-contained form, otherwise ``(B, 3, h, w)`` float32, the
              image repeated to fill the batch; and the part of it that is no padding.
        """
        if self.channel_order is None:
            batch, valid = self.preprocess(image)
            return np.repeat(batch, self.batch, 0), valid
        if self.shape is not None and image.shape[:2] != self.shape:
            image = cv2.resize(image, self.shape[::-1], interpolation=cv2.INTER_LINEAR)
        if self.channel_order == 'rgb':
            image = image[..., ::-1]
        return np.repeat(image[None], self.batch, 0), (image.shape[0], image.shape[1])

    def mask_of(self, output: np.ndarray, batch: np.ndarray, valid: tuple[int, int],
                size: tuple[int, int]) -> np.ndarray:
        """Make the class map of an image from the artefact's output.

        Args:
            output: What the file gave.
            batch: What it was given.
            valid: Part of the batch that is no padding.
            size: Height and width of the image.

        Shape:
            - Output: ``(H, W)`` uint8.
        """
        if output.dtype.kind != 'f':
            classes = output.reshape(output.shape[-2:])[:valid[0], :valid[1]]
            return resize_nearest(classes, size).astype(np.uint8)
        from bisenet_plugins.models.fast_mask import upsample_argmax
        scores = torch.from_numpy(output)
        padded = (batch.shape[2], batch.shape[3])
        if self.channel_order is not None or padded == tuple(valid):
            mask = upsample_argmax(scores, size, align_corners=self.align_corners)
        else:
            mask = upsample_argmax(scores, padded, align_corners=self.align_corners,
                                   window=(0, valid[0], 0, valid[1]), window_size=size)
        return mask[0].numpy().astype(np.uint8)


class ArtifactPredictor:
    """Predict with a deployed artefact, with the call of :class:`bisenet_plugins.runtime.Predictor`.

    Args:
        folder: Folder that a deployment wrote.
        threads: Threads on the CPU; 0 leaves it to the runtime.

    Shape:
        - Input: ``(H, W, 3)`` BGR uint8; or a list of such pictures, of any sizes.
        - Output: ``(H, W)`` uint8 class map of the picture's own size; or a list of them.

    Raises:
        DeployError: If the folder is no artefact.
        MissingBackendError: If its runtime is not installed.
        TypeError: If a picture is not an ``(H, W, 3)`` uint8 array.

    Note:
        Neither mmseg's config nor its checkpoint is needed, and mmdeploy is not.
    """

    def __init__(self, folder: str, threads: int = 0) -> None:
        self.artifact = Artifact.load(folder)
        self.session = self.artifact.open(threads)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.artifact.classes)

    @property
    def palette(self) -> np.ndarray:
        """Colours of the classes, ``(K, 3)`` uint8 RGB."""
        return np.array(self.artifact.palette, np.uint8)

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> Any:
        """Segment one picture or several.

        Args:
            images: Pictures as OpenCV reads them.
        """
        if isinstance(images, np.ndarray):
            return self._segment(images)
        return [self._segment(image) for image in images]

    def _segment(self, image: np.ndarray) -> np.ndarray:
        """Segment one picture; a static artefact of a larger batch gets it repeated."""
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            got = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(f'a picture is {got}, a uint8 array (H, W, 3) is wanted')
        batch, valid = self.artifact.batch_of(image)
        output = self.session(batch)[:1]
        return self.artifact.mask_of(output, batch[:1], valid, (image.shape[0], image.shape[1]))
