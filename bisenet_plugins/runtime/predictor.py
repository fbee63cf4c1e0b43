"""A trained network as a function from an image to its mask.

Read in this order: ``preprocess.py`` (image to input), ``artifact.py`` (an exported graph) or ``network.py`` (a network
in PyTorch), ``backends/`` (input to logits), ``postprocess.py`` (logits to mask); this file joins them, and imports
neither PyTorch nor MMSegmentation: a graph needs neither.

Letters: N batch, C channels, K classes, H and W the sides of an image in pixels.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeployError, InputError, MissingPackageError, expect, require
from ..timing import cores
from ..visualize import as_palette
from ..weights.store import pretrained_names, shipped_graph
from .artifact import Artifact
from .backends import BACKENDS, GRAPH_BACKENDS, Backend, installed
from .postprocess import to_mask
from .preprocess import Prepared
from .segmentation import segment

if TYPE_CHECKING:
    from .network import Network

__all__ = ['PRECISIONS', 'Predictor', 'load_pretrained']

PRECISIONS = ('fp32', 'int8')
TOGETHER = 2 ** 24
"""Values of the inputs that go through a network together, ten images of 512 x 1024; more would take memory only."""


class Predictor:
    """Segment images with a trained network.

    Args:
        network: Name of a network that comes with the package; folder that "bisenet export" wrote, or an ONNX file out
            of one; or config, as a file or as mmengine's object.
        weights: Checkpoint for a config, as a file, read with ``weights_only=True``, or as the dictionary that one
            holds; None leaves the random weights of a fresh network.
        backend: What computes the network: ``'torch'``, ``'openvino'`` or ``'onnxruntime'``; ``'auto'`` is the fastest
            that is installed, and PyTorch where that one cannot convert the network. A folder has its own.
        device: Where PyTorch computes, such as ``cpu`` or ``cuda:0``.
        threads: Threads of the other backends for one image; 0 takes as many as PyTorch has, or as there are cores for
            a graph.
        precision: ``'fp32'``, or ``'int8'`` for the INT8 graph of a network that comes with the package.

    Shape:
        - Input: ``(H, W, C)`` uint8, BGR where C is 3; grey ``(H, W)``; a file; a PIL image; or a list of such.
        - Output: ``(H, W)`` uint8 mask of the image's own size; or a list of them.

    Raises:
        InputError: If ``network`` names nothing, ``backend`` is unknown or does not go with the other arguments, or an
            image is not an ``(H, W, C)`` uint8 array.
        ConfigError: If the config cannot be read, or its network has more than 256 classes.
        CheckpointError: If the checkpoint cannot be read safely, or its weights are not those of the config's network.
        DeployError: If a folder or file is not what an export wrote, or a backend that was asked for by name is not
            installed or cannot convert the network.

    Note:
        Safe to share between threads, and to pickle. A process that was forked after the first image must not use it:
        start workers by ``spawn``.
        The backends differ in nothing but speed: their masks are equal except where classes tie up to rounding.
        A network that comes with the package runs from its exported graph where a backend for it is installed, without
        loading PyTorch. ``model`` and ``cfg`` are the network in PyTorch, loaded when they are first asked for (None
        for a folder); the backend is made at the first image, and changes to ``model`` after that change no prediction.
    """

    def __init__(self, network: Any, weights: str | os.PathLike[str] | dict[str, Any] | None = None, *,
                 backend: str = 'auto', device: Any = 'cpu', threads: int = 0, precision: str = 'fp32') -> None:
        expect(backend in (*BACKENDS, 'auto'), 'backend', f"one of {(*BACKENDS, 'auto')}", backend)
        expect(precision in PRECISIONS, 'precision', f'one of {PRECISIONS}', precision)
        self.device = str(device)
        expect(bool(re.fullmatch(r'cpu(:0)?|(?!cpu)[a-z]+(:\d+)?', self.device)), 'device',
               "'cpu', or an accelerator such as 'cuda:0'", self.device)
        on_cpu = self.device.startswith('cpu')
        expect(on_cpu or backend in ('torch', 'auto'), 'device', f"'cpu' with backend={backend!r}", self.device)
        expect(isinstance(threads, int) and threads >= 0, 'threads', 'a whole number of at least 0', threads)
        self.backend, self._asked, self.threads, self.precision, self.at_once = backend, backend, threads, precision, 1
        self._lock = threading.Lock()
        self._compute: Backend | None = None
        self._pid: int | None = None
        self._network: Network | None = None
        self.artifact: Artifact | None = None
        self.name = network if isinstance(network, str) and network in pretrained_names() else None
        source: Artifact | Network
        expect(self.name is None or weights is None, 'weights',
               'None with the name of a network that comes with the package', weights)
        if self.name is not None and (graph := shipped_graph(self.name, precision)) and self._runs_graphs(on_cpu):
            source = self.artifact = Artifact.load(str(graph))
        elif self.name is None and isinstance(network, str | os.PathLike) and (
                Path(network).is_dir() or Path(network).suffix.lower() == '.onnx'):
            source = self.artifact = self._exported(network, weights)
        else:
            expect(precision == 'fp32', 'precision', "'fp32' for a network without an INT8 graph and a backend for it",
                   precision)
            require('torch', 'mmseg')
            from .network import Network
            source = self._network = Network(network, weights, self.device)
        self.num_classes = source.num_classes
        self.classes = tuple(source.classes)
        self.palette = as_palette(source.palette or None, self.num_classes)
        self.align_corners, self.threshold = source.align_corners, source.threshold
        self._prepare = source.prepare

    @classmethod
    def from_bytes(cls, content: bytes, origin: str, **settings: Any) -> Predictor:
        """Build a network from the bytes of a file that holds weights and config.

        Args:
            content: The bytes.
            origin: Where they come from, for error messages.
            settings: Keywords of the class.
        """
        from mmengine.config import Config

        from ..weights.store import parse_network

        config, tensors = parse_network(content, origin)
        return cls(Config(config), dict(state_dict=tensors), **settings)

    def _runs_graphs(self, on_cpu: bool) -> bool:
        """Return whether what is asked for can run a graph; PyTorch cannot."""
        return on_cpu and (self.backend in GRAPH_BACKENDS or self.backend == 'auto' and bool(installed(GRAPH_BACKENDS)))

    def _exported(self, source: Any, weights: Any) -> Artifact:
        folder = Path(source).is_dir()
        if weights is not None or self.backend not in (('auto',) if folder else ('auto', *GRAPH_BACKENDS)):
            raise InputError(f'network is {source}, which has its own weights and backend: expected weights=None and '
                             f"backend='auto', got {weights!r} and {self.backend!r}")
        self._source = os.path.abspath(source)  # it is opened at the first image
        artifact = Artifact.load(self._source)
        expect(self.device.startswith('cpu') or artifact.backend not in GRAPH_BACKENDS, 'device',
               f"'cpu' for a graph of {artifact.backend}", self.device)
        expect(self.precision in ('fp32', artifact.precision), 'precision', f'that of {source}, {artifact.precision}',
               self.precision)
        self.precision, self.backend = artifact.precision, artifact.backend if folder else self.backend
        return artifact

    @property
    def network(self) -> Any:
        """The network in PyTorch, loaded where it is not yet; None for what an export wrote."""
        if self._network is None and self.name is not None:
            from .network import Network
            self._network = Network(self.name, device=self.device)
        return self._network

    @property
    def model(self) -> Any:
        """The segmentor, None for what an export wrote."""
        return self.network and self.network.model

    @property
    def cfg(self) -> Any:
        """The config, None for what an export wrote."""
        return self.network and self.network.cfg

    def __call__(self, images: Any, color: str = 'bgr') -> Any:
        """Return the mask of one image, or the masks of a list of them; see :meth:`segment`."""
        found = self.segment(images, color=color)
        return [one.mask for one in found] if isinstance(found, list) else found.mask

    def segment(self, images: Any, scores: bool = False, color: str = 'bgr') -> Any:
        """Segment one image or several; several of equal input size go through the network together.

        Args:
            images: A file, a PIL image or an array, as :func:`~bisenet_plugins.runtime.segmentation.as_image` takes
                them; or a list of such.
            scores: Whether to return the probability of each class too.
            color: ``'bgr'`` or ``'rgb'``, the order of arrays with three channels.

        Returns:
            A :class:`~bisenet_plugins.runtime.segmentation.Segmentation`, or a list of them.
        """
        return segment(self, images, scores, color)

    def share_cores(self) -> int:
        """Before the first image: leave an image half of the cores, where two can be segmented at the same time.

        Returns:
            How many can, each in a thread of the caller's: more images in the same time, of which one takes longer.
        """
        if self._compute is not None or self.backend not in ('auto', *GRAPH_BACKENDS) or self.device[:3] != 'cpu':
            return 1
        self.threads = self.threads or max(1, cores() // 2)
        self.at_once = min(2, max(1, cores() // self.threads))
        return self.at_once

    def groups(self, prepared: Sequence[Prepared]) -> Iterator[list[int]]:
        """Yield the numbers of images that have inputs of one shape, as many as go through the network together."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for number, one in enumerate(prepared):
            groups.setdefault(one.inputs.shape, []).append(number)
        # a static graph takes so many and no more
        most = self.artifact.batch if self.artifact is not None and self.artifact.shape is not None else 0
        for numbers in groups.values():
            size = most or max(1, TOGETHER // prepared[numbers[0]].inputs.size)
            yield from (numbers[first:first + size] for first in range(0, len(numbers), size))

    def preprocess(self, image: np.ndarray) -> Prepared:
        """Return the network's input of an image.

        Args:
            image: ``(H, W, C)`` uint8, BGR where C is 3.
        """
        return self._prepare(image)

    def logits(self, prepared: Prepared | Sequence[Prepared]) -> Any:
        """Run the network.

        Args:
            prepared: One image or several of equal input size, as :meth:`preprocess` returns them.

        Returns:
            ``(N, K, h, w)`` float32 logits, an array or a tensor; ``(N, 1, H, W)`` or ``(N, H, W)`` classes where a
            deployed graph ends in its own argmax.

        Raises:
            InputError: If it has other classes than it says.
        """
        compute = self._compute if self._compute is not None and self._pid == os.getpid() else self._open()
        several = [prepared] if isinstance(prepared, Prepared) else list(prepared)
        inputs = several[0].inputs if len(several) == 1 else np.concatenate([one.inputs for one in several])
        spare = self.artifact.batch - len(inputs) if self.artifact is not None else 0
        filled = np.concatenate([inputs, np.repeat(inputs[-1:], spare, 0)]) if spare > 0 else inputs
        output = compute(filled)[:len(inputs)]
        ids = isinstance(output, np.ndarray) and output.dtype.kind != 'f'
        least, found = (self.num_classes, int(output.max()) + 1) if ids else (2, output.shape[1])
        expect(max(least, found) == self.num_classes, "the network's output", f'{self.num_classes} classes', found)
        return output

    def mask(self, logits: Any, prepared: Prepared) -> np.ndarray:
        """Return the mask of an image.

        Args:
            logits: What :meth:`logits` returned for the image, with its batch axis.
            prepared: What :meth:`preprocess` returned for it.
        """
        return to_mask(logits, prepared, self.align_corners, self.threshold)

    def _open(self) -> Backend:
        """Make the backend, once, also where several threads ask at the same time."""
        with self._lock:
            if self._pid not in (None, os.getpid()):
                raise RuntimeError(f'Predictor: expected to be used in the process {self._pid}, which has segmented '
                                   f"with it, got its fork {os.getpid()}; start worker processes by 'spawn', or fork "
                                   'before the first image')
            self._compute = self._compute or self._made()
            self._pid = os.getpid()
            return self._compute

    def _made(self) -> Backend:
        """Open the backend that was asked for, or for ``'auto'`` the first that works."""
        names = [self.backend]
        if self.backend == 'auto' and self.artifact is not None:
            # OpenVINO, the first, refuses an INT8 graph
            names = installed(GRAPH_BACKENDS[self.artifact.precision == 'int8':]) or ['onnxruntime']
        elif self.backend == 'auto':
            names = [*installed(GRAPH_BACKENDS), 'torch'] if self.device.startswith('cpu') else ['torch']
        for name in names:
            try:
                source: Any = self.artifact or self._network
                compute: Backend = source.open(backend=name, threads=self.threads, at_once=self.at_once)
                self.backend = name
                break
            except (DeployError, MissingPackageError) as error:
                if name == names[-1]:
                    raise
                logging.getLogger(__name__).warning('%s; %s computes it', error, names[names.index(name) + 1])
        return compute

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made of and the settings; the backend is rebuilt where it is unpickled."""
        settings: Any = dict(backend=self._asked, device=self.device, threads=self.threads, precision=self.precision)
        if self.name is not None:
            return partial(type(self), **settings), (self.name,)
        if self.artifact is not None:
            return partial(type(self), **settings | dict(precision='fp32')), (self._source,)
        assert self._network is not None
        return partial(type(self), **settings), (self._network.cfg, self._network.checkpoint())


def load_pretrained(name: str, **settings: Any) -> Predictor:
    """Load a trained network that comes with the package: no config, no download.

    Args:
        name: One of :func:`~bisenet_plugins.pretrained_names`, such as ``bisenetv2-camvid``.
        settings: ``backend``, ``device``, ``threads`` and ``precision`` of :class:`Predictor`.

    Raises:
        InputError: If there is no network of that name.
        DamagedCheckpointError: If the file is not the one that was shipped.

    Note:
        The file holds weights in half precision; the network runs in single precision.

    Example:
        >>> from bisenet_plugins import pretrained_names
        >>> predictor = load_pretrained(pretrained_names()[0], backend='torch')
    """
    expect(name in pretrained_names(), 'name', f"one of {', '.join(pretrained_names())}", name)
    return Predictor(name, **settings)
