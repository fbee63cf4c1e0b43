"""Segment large collections on a Ray cluster: every actor holds the network, sources are handed out as actors get free.

Ray is an extra of its own (``pip install "bisenet-plugins[ray]"``) and is imported only when a run starts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .results import KINDS, Listener, Summary, predict_sources
from .sources import Source

__all__ = ['RayActor', 'predict_on_ray']

Load = Callable[[], tuple[Callable[[Any], Any], np.ndarray]]
"""Makes a predictor and the ``(256, 3)`` palette of its classes; called once in every actor."""


class RayActor:
    """Hold a network and segment the sources that come, one batch of rows after the other.

    Args:
        load: Makes the predictor and the palette.
        out_dir: Folder for results.
        settings: Further arguments of :func:`bisenet_plugins.runtime.results.predict_sources`.

    Example:
        >>> actor = RayActor(lambda: (lambda images: images, np.zeros((256, 3), np.uint8)), 'outputs', {})
        >>> rows = actor(dict(number=[0], kind=['missing'], name=['a'], path=['a.png']))
        >>> rows['done'].tolist(), rows['failure'].tolist()
        ([0], ['a.png: nothing there that can be read'])
    """

    def __init__(self, load: Load, out_dir: str, settings: dict[str, Any]) -> None:
        cv2.setNumThreads(1)  # there is an actor for every core
        self.predictor, self.palette = load()
        self.out_dir = out_dir
        self.settings = settings

    def __call__(self, rows: dict[str, Any]) -> dict[str, np.ndarray]:
        """Segment some sources; a row says which one, and what became of it."""
        out: dict[str, list[Any]] = dict(number=[], done=[], skipped=[], frames=[], failure=[])
        for number, kind, name, path in zip(rows['number'], rows['kind'], rows['name'], rows['path']):
            source = Source(str(kind), str(name), Path(str(path)))
            summary = predict_sources(
                self.predictor, [source], self.out_dir, self.palette, skip_existing=True, **self.settings
            )
            out['number'].append(int(number))
            for key in ('done', 'skipped', 'frames'):
                out[key].append(getattr(summary, key))
            out['failure'].append(summary.failed[0] if summary.failed else '')
        return {key: np.array(values) for key, values in out.items()}


def predict_on_ray(
    load: Load,
    sources: Sequence[Source],
    out_dir: str | os.PathLike[str],
    save: Sequence[str] = ('overlay',),
    opacity: float = 0.5,
    batch_size: int = 1,
    max_frames: int | None = None,
    workers: int | None = None,
    on_gpu: bool = False,
    listener: Listener | None = None,
) -> Summary:
    """Segment all sources on a Ray cluster and write what :func:`predict_sources` would write.

    Args:
        load: Makes a predictor and the palette, once in every actor; what it closes over travels there.
        sources: As from :func:`bisenet_plugins.runtime.sources.find_sources`; no cameras.
        out_dir: Folder for results, to be reached under this name from every machine of the cluster.
        save: Any of ``overlay``, ``palette`` and ``ids``.
        opacity: Weight of the class colours in an overlay.
        batch_size: Frames of a video segmented together.
        max_frames: Frames taken from each video; None takes all.
        workers: Number of actors; None takes one for each GPU or each CPU of the cluster.
        on_gpu: Give every actor a GPU, or its share of one where there are fewer than actors.
        listener: Told what has ended, in the order of ending.

    Returns:
        Counts, and a sentence for each source that failed.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If a setting is out of its range, a source is a camera, an input lies in ``out_dir`` or the cluster
            has no GPU for ``on_gpu``.

    Note:
        What has its results already is always left out, so the same command goes on after a stop. The cluster is the
        one that ``RAY_ADDRESS`` names or that runs on this machine, else one is started here and ended with the run.
        Pictures are read by the actors: only names and counts travel.
    """
    if workers is not None and workers < 1:
        raise ValueError(f'workers is {workers}, one or more is wanted')
    if not save or set(save) - set(KINDS):
        raise ValueError(f'save is {list(save)}, some of {list(KINDS)} are wanted')
    if batch_size < 1:
        raise ValueError(f'batch_size is {batch_size}, one or more is wanted')
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f'opacity is {opacity}, a number from 0 to 1 is wanted')
    target = Path(out_dir).resolve()
    for source in sources:
        if source.kind == 'camera':
            raise ValueError(f'{source} is among the inputs, a cluster takes files only')
        if target in source.path.resolve().parents:
            raise ValueError(f'the input {source} lies in the folder for results, another --out-dir is wanted')
    if not sources:
        return Summary()
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f'the ray engine needs pip install "bisenet-plugins[ray]" ({error})') from error

    settings = dict(save=tuple(save), opacity=opacity, batch_size=batch_size, max_frames=max_frames)
    items = [
        dict(number=number, kind=source.kind, name=source.name, path=str(source.path.absolute()))
        for number, source in enumerate(sources)
    ]
    own = not ray.is_initialized()
    if own:
        _start(ray)
    try:
        count, share = _shares(ray.cluster_resources(), workers, on_gpu)
        ray.data.DataContext.get_current().enable_progress_bars = False  # the listener shows how it goes
        logging.getLogger('ray.data').setLevel(logging.WARNING)
        rows = ray.data.from_items(items, override_num_blocks=_num_blocks(len(items), count)).map_batches(
            RayActor,
            fn_constructor_kwargs=dict(load=load, out_dir=str(target), settings=settings),
            batch_size=max(1, min(8, len(items) // (4 * count))),
            batch_format='numpy',
            compute=ray.data.ActorPoolStrategy(size=count),
            **share,
        )
        return _gather(rows.iter_rows(), sources, listener or Listener())
    finally:
        if own:
            ray.shutdown()


def _start(ray: Any) -> None:
    """Join the cluster there is, or start one here, with the modules of this process and without reports home."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    here = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join(part for part in (str(here), os.environ.get('PYTHONPATH', '')) if part)
    runtime_env = dict(env_vars=dict(PYTHONPATH=paths))
    ray.init(logging_level='warning', log_to_driver=False, runtime_env=runtime_env)


def _num_blocks(number: int, workers: int) -> int:
    """Cut the sources so that every actor gets several parts, none of more than a thousand."""
    return min(number, max(8 * workers, -(-number // 1000)))


def _shares(resources: dict[str, float], workers: int | None, on_gpu: bool) -> tuple[int, dict[str, float]]:
    """Tell how many actors run and what each asks of the cluster, so that all of them start."""
    cpus, gpus = resources.get('CPU', 1.0), resources.get('GPU', 0.0)
    if on_gpu and gpus <= 0:
        raise ValueError('the cluster has no GPU, a cluster with one or --device cpu is wanted')
    count = workers or max(1, int(gpus if on_gpu else cpus))
    share = dict(num_cpus=_part(cpus, count))
    if on_gpu:
        share['num_gpus'] = _part(gpus, count)
    return count, share


def _part(there: float, count: int) -> float:
    """Give each actor one, or a part of it, rounded down to what Ray counts in."""
    return 1.0 if there >= count else int(there / count * 1000) / 1000


def _gather(rows: Any, sources: Sequence[Source], listener: Listener) -> Summary:
    """Add up what comes back."""
    summary = Summary()
    for row in rows:
        failure = str(row['failure']) or None
        summary.done += int(row['done'])
        summary.skipped += int(row['skipped'])
        summary.frames += int(row['frames'])
        if failure:
            summary.failed.append(failure)
        listener.ended(sources[int(row['number'])], failure)
    return summary
