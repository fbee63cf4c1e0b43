"""What a deployment writes, a folder or one ONNX file, and what it says about itself."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import check_arguments
from ..errors import DeployError, InputError, expect, raised_as
from ..version import __version__
from .backends import Backend, open_backend
from .onnx_metadata import read_metadata
from .preprocess import Prepared, Preprocess

__all__ = ['Artifact', 'META_FILE', 'META_KEY']

META_FILE = 'artifact.json'
META_KEY = 'bisenet_plugins'
"""Under this key an ONNX file's metadata holds what ``artifact.json`` says, for the file alone."""
CHOICES = dict(precision=('fp32', 'fp16', 'int8'), output=('mask', 'logits', 'logits_s8'),
               channel_order=(None, 'bgr', 'rgb'))


@dataclass
class Artifact:
    """What a deployment says about itself; it is kept in ``artifact.json``, and in the metadata of every ONNX file.

    Args:
        backend: Backend that runs it.
        precision: ``fp32``, ``fp16`` or ``int8``.
        file: The file that the backend loads, relative to the folder.
        graph: The ONNX file it was made from, relative to the folder.
        num_classes: Classes of the model.
        output: ``mask``, ``logits`` or ``logits_s8``.
        shape: Height and width of the input, None for dynamic.
        batch: Images at a time of a static artifact.
        channel_order: ``bgr`` or ``rgb`` of a self-contained graph.
        network_size: Height and width at which the network runs of a self-contained graph.
        align_corners: How scores are resized.
        threshold: Probability above which a network with one output channel sees its class.
        preprocess: From an image to the network's input.
        classes: Names of the classes.
        palette: Colours of the classes.
        config: Name of the model's config.
        opset: ONNX opset.
        versions: Versions of what made it.
        quantization: mIoU before and after INT8, and the layers kept in higher precision.
        checks: How it compared with the PyTorch model.
        sha256: Checksums of the files that the backend loads, by name.
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
    threshold: float = 0.5
    preprocess: Preprocess = field(default_factory=Preprocess)
    classes: list[str] = field(default_factory=list)
    palette: list[list[int]] = field(default_factory=list)
    config: str = ''
    opset: int = 17
    versions: dict[str, str] = field(default_factory=dict)
    quantization: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    folder: str = ''

    @classmethod
    def load(cls, source: str) -> Artifact:
        """Read an artifact.

        Args:
            source: Folder that a deployment wrote, or an ONNX file out of one.

        Raises:
            DeployError: If it is neither, or a file is missing or damaged.
        """
        bare = os.path.isfile(source) and os.path.basename(source) != META_FILE
        folder = os.path.dirname(source) if bare else source
        path = source if bare else os.path.join(folder, META_FILE)
        if not os.path.isfile(path):
            raise DeployError(f'{folder or "an empty name"} holds no {META_FILE}; give the folder, or ONNX file, that '
                              '"export" wrote')
        try:
            values = json.loads(read_metadata(path)[META_KEY] if bare else Path(path).read_text(encoding='utf-8'))
            pre = values.pop('preprocess')
            for mapping, key in ((pre, 'size'), (pre, 'scale'), (values, 'shape'), (values, 'network_size')):
                mapping[key] = tuple(mapping[key]) if mapping.get(key) else None
            if bare:
                values['file'] = os.path.basename(path)
                if b'QuantizeLinear' in Path(path).read_bytes():
                    values['precision'] = 'int8'
            check_arguments(cls, values)
            check_arguments(Preprocess, pre)
            artifact = cls(**values, preprocess=Preprocess(**pre), folder=folder)
            k, names, colours, made = artifact.num_classes, artifact.classes, artifact.palette, artifact.preprocess
            for key, holds, expected, got in (
                    *((key, getattr(artifact, key) in known, f'one of {known}', getattr(artifact, key))
                      for key, known in CHOICES.items()),
                    *((key, Path(name).name == name, 'the name of a file in the folder', name)
                      for key, name in (('file', artifact.file), ('graph', artifact.graph))),
                    ('sha256', bare or bool(artifact.sha256.get(artifact.file)), 'that of the file', artifact.sha256),
                    ('classes', bool(names) and max(2, len(names)) == k, f'{k} names, as num_classes says', names),
                    ('palette', len(colours) <= k and all(len(one) == 3 and 0 <= min(one) and max(one) <= 255
                                                              for one in colours),
                     f'at most {k} colours of three values from 0 to 255', colours),
                    ('preprocess.divisor', made.divisor >= 1, 'at least 1', made.divisor),
                    ('preprocess.scale_factor', made.scale_factor > 0, 'a number above 0', made.scale_factor)):
                expect(holds, key, expected, got)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DeployError(f'{path}: expected what "export" wrote, got something else ({error})') from error
        if not os.path.isfile(artifact.path):
            raise DeployError(f'{folder} has lost its file {artifact.file}')
        artifact.check()
        return artifact

    def check(self) -> None:
        """Refuse files that are not those whose checksums the artifact holds; an ONNX file alone has none.

        Raises:
            DeployError: If one was changed, or is missing.
        """
        for name, digest in (self.digests() if self.sha256 else {}).items():
            if digest is None or self.sha256.get(name) != digest:
                raise DeployError(f'{os.path.join(self.folder, name)}: expected the bytes that "export" wrote, whose '
                                  f'checksum {META_FILE} holds, got {"others" if digest else "none"}; export again')

    def digests(self) -> dict[str, str | None]:
        """Return the SHA-256 of every file that the backend loads, None of one that is not there."""
        path = Path(self.path)
        paths = (path, path.with_suffix('.bin')) if self.backend in ('openvino', 'ncnn') else (path,)
        return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() if one.is_file() else None for one in paths}

    def to_json(self, indent: int | None = None) -> str:
        """Return what :meth:`load` reads.

        Args:
            indent: Blanks to indent by; None for one line.
        """
        return json.dumps({key: value for key, value in asdict(self).items() if key != 'folder'}, indent=indent)

    def save(self) -> None:
        """Write ``artifact.json`` into the artifact's folder, with checksums."""
        self.sha256 = {name: digest for name, digest in self.digests().items() if digest}
        Path(self.folder, META_FILE).write_text(self.to_json(2) + '\n', encoding='utf-8')

    def metadata(self, name: str) -> dict[str, str]:
        """Return the metadata of one of the artifact's ONNX files: the whole artifact, and the rest in plain words.

        Args:
            name: The file, relative to the folder; it is described as an artifact for ONNX Runtime.
        """
        own: Any = {} if name == self.graph else dict(precision='fp32', checks={}, quantization={})  # those of another
        alone = replace(self, backend='onnxruntime', file=name, graph=name, sha256={}, **own)
        pre, miou = self.preprocess, alone.checks.get('miou_artifact')
        plain = dict(classes=self.classes, palette=self.palette, mean=pre.mean, std=pre.std)
        order = self.channel_order or ('rgb' if pre.to_rgb else 'bgr')
        return {META_KEY: alone.to_json(), **{key: json.dumps(value) for key, value in plain.items()},
                **({} if miou is None else {'mIoU': f'{miou:.2f}'}), 'task': 'semantic-segmentation',
                'layout': 'NHWC' if self.channel_order else 'NCHW', 'channel_order': order, 'version': __version__}

    @property
    def path(self) -> str:
        """Path of the file that the backend loads."""
        return os.path.join(self.folder, self.file)

    def open(self, threads: int = 0, backend: str | None = None, at_once: int = 1) -> Backend:
        """Load the artifact's file, if it is still the one that the artifact describes.

        Args:
            threads: Threads on the CPU; 0 leaves it to the runtime.
            backend: What runs it; None is the artifact's own.
            at_once: As for :func:`~bisenet_plugins.runtime.backends.open_backend`.
        """
        self.check()
        return open_backend(backend or self.backend, self.path, threads, at_once)

    def prepare(self, image: np.ndarray) -> Prepared:
        """Return the input that the artifact's file takes.

        Args:
            image: Image as OpenCV reads it.

        Shape:
            - image: ``(H, W, 3)`` BGR uint8.
            - Output: :class:`~bisenet_plugins.runtime.preprocess.Prepared` with ``(1, H, W, 3)`` uint8 for a
              self-contained graph, otherwise ``(1, 3, h, w)`` float32.
        """
        if self.channel_order is None:
            return self.preprocess(image)
        inputs, window = self.preprocess.fit(image)
        turned = inputs[..., ::-1] if self.channel_order == 'rgb' else inputs
        return Prepared(np.ascontiguousarray(turned)[None], image.shape[:2], window)

    def batch_of(self, image: np.ndarray, name: str) -> tuple[np.ndarray, Prepared]:
        """Return the batch that the artifact's file takes, the image repeated to fill it, and the prepared image.

        Args:
            image: Image as OpenCV reads it.
            name: Its name, for error messages.
        """
        with raised_as(InputError, name, InputError):
            prepared = self.prepare(image)
        return np.repeat(prepared.inputs, self.batch, 0), prepared
