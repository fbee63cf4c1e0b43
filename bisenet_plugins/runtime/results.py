"""Segment whole lists of sources and write what comes out, without stopping at a bad one."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2

from ..errors import BisenetError, InputError, expect, told_by
from ..files import discard, partial_path, sweep, write_atomically
from .overlap import overlapped
from .segmentation import SUFFIXES, Segmentation
from .sources import Frame, Source, open_source

__all__ = ['Listener', 'Summary', 'predict_sources']


@dataclass
class Summary:
    """What a run did.

    Args:
        done: Sources segmented.
        skipped: Sources whose results were there already.
        failed: What could not be read or written, each as a sentence.
        frames: Images segmented, frames of videos included.
        seconds: Time from the end of the first image to that of the last: what comes before is loading.
        begin: When the first image was done.
        workers: Images segmented at the same time; so many are done when the time begins.
    """

    done: int = 0
    skipped: int = 0
    frames: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    begin: float = field(default=0.0, repr=False)
    workers: int = field(default=1, repr=False)

    @property
    def speed(self) -> str:
        """How fast it was, for more images than the first."""
        count = self.frames - self.workers
        return f'{count / self.seconds:.1f} images/s' if count > 0 and self.seconds else ''


class Listener:
    """Follow a run's progress; this one does nothing."""

    def started(self, source: Source) -> None:
        """A source is opened."""

    def advanced(self, source: Source, number: int, length: int | None) -> None:
        """An image is done; ``number`` counts from 0, ``length`` is None where it is not known."""

    def ended(self, source: Source, failure: str | None) -> None:
        """A source is done, skipped, or failed for the reason given."""


def predict_sources(segment: Callable[..., list[Segmentation]], sources: Sequence[Source],
                    out_dir: str | os.PathLike[str], save: Sequence[str] = ('overlay',), opacity: float = 0.5,
                    batch_size: int = 1, skip_existing: bool = False, max_frames: int | None = None,
                    listener: Listener | None = None, workers: int = 1) -> Summary:
    """Segment all sources and write the results to ``out_dir/KIND/NAME``.

    Args:
        segment: ``Predictor.segment``.
        sources: As from :func:`bisenet_plugins.runtime.sources.find_sources`.
        out_dir: Folder for results; an image's overlay is a JPEG, a video's an MP4.
        save: Any of :data:`~bisenet_plugins.runtime.segmentation.SUFFIXES`.
        opacity: Weight of the class colours in an overlay.
        batch_size: Frames of a video or camera segmented together.
        skip_existing: Leave out sources whose results are all there, so that an interrupted run resumes.
        max_frames: Frames taken from each video or camera; None takes all.
        listener: Told of the run's progress, for a progress bar.
        workers: Images, or batches, segmented at the same time, as ``Predictor.share_cores`` returns it.

    Returns:
        Counts, and a sentence for each source that failed; the others are segmented all the same.

    Raises:
        InputError: If ``save`` names something else, ``batch_size`` is below one or ``opacity`` not within 0 and 1.

    Note:
        A file appears only when it is whole; a video that cannot be read to its end has no results. No result replaces
        one of the sources. Ctrl-C ends a camera's recording in good order, and goes through otherwise. Images come
        first, then videos and cameras; each is read, segmented and written at the same time, in threads that end with
        the run.
    """
    expect(bool(save) and not set(save) - set(SUFFIXES), 'save', f'some of {list(SUFFIXES)}', list(save))
    expect(batch_size >= 1, 'batch_size', 'at least 1', batch_size)
    expect(0.0 <= opacity <= 1.0, 'opacity', 'a number from 0 to 1', opacity)
    run = _Run(partial(_segmented, partial(segment, scores='probabilities' in save)), Path(out_dir), sources,
               tuple(dict.fromkeys(save)), opacity, batch_size, skip_existing, max_frames, listener or Listener(),
               workers)
    run.images([source for source in sources if source.kind not in ('video', 'camera')])
    for source in (source for source in sources if source.kind in ('video', 'camera')):
        run.moving(source)
    return run.summary


def _segmented(segment: Callable[..., list[Segmentation]], images: list[Any]) -> list[Segmentation]:
    """Segment images; what a backend refuses of them, in a way of its own, is an error of theirs."""
    try:
        return segment(images)
    except BisenetError:
        raise
    except Exception as error:
        raise InputError(f'the network fails on it with {type(error).__name__}: {told_by(error)}') from error


class _Skipped(Exception):
    """The results of a source are there already."""


@dataclass
class _Run:
    """One run over all sources; see :func:`predict_sources`."""

    segment: Callable[[list[Any]], list[Segmentation]]
    out_dir: Path
    sources: Sequence[Source]
    save: tuple[str, ...]
    opacity: float
    batch_size: int
    skip_existing: bool
    max_frames: int | None
    listener: Listener
    workers: int
    summary: Summary = field(init=False)

    def __post_init__(self) -> None:
        self.summary = Summary(workers=self.workers * self.batch_size)
        files = [source.path.resolve() for source in self.sources if source.kind in ('image', 'video')]
        self.inputs = {path for file in files for path in (file, *file.parents)}

    def images(self, sources: Sequence[Source]) -> None:
        """Segment images; the next one is read and the last one written beside the network's work."""
        with closing(overlapped(map(self._read, sources), self._segment_image, self.workers)) as ahead:
            for source, frame, found in ahead:
                with self._counted(source):
                    if frame is None:
                        raise found
                    with self._writer(source) as writer:
                        self._finish(writer, 1, frame, found)

    def _read(self, source: Source) -> tuple[Source, Frame | None, Any]:
        """Read an image, or say why not."""
        try:
            self._writer(source)
            with open_source(source) as frames:
                return source, next(iter(frames)), None
        except (InputError, OSError, _Skipped) as error:
            return source, None, error

    def _segment_image(self, read: tuple[Source, Frame | None, Any]) -> tuple[Source, Frame | None, Any]:
        """Segment an image, or say why not."""
        source, frame, error = read
        try:
            return source, frame, self.segment([frame.image])[0] if frame is not None else error
        except InputError as refused:
            return source, None, refused

    def moving(self, source: Source) -> None:
        """Segment a video or a camera's stream; frames are read and written beside the network's work."""
        with self._counted(source):
            writer = self._writer(source)
            with open_source(source) as frames, writer:
                writer.fps = frames.fps
                lengths = [length for length in (frames.length, self.max_frames) if length]
                self._segment_frames(frames, partial(self._finish, writer, min(lengths, default=None)))

    def _segment_frames(self, frames: open_source, finish: Callable[[Frame, Segmentation], None]) -> None:
        """Segment the frames of a video or a camera."""
        several = islice(frames, self.max_frames)
        batches = iter(lambda: list(islice(several, self.batch_size)), [])
        written = False

        def segment(batch: list[Frame]) -> list[tuple[Frame, Segmentation]]:
            return list(zip(batch, self.segment([frame.image for frame in batch]), strict=True))

        with closing(overlapped(batches, segment, self.workers)) as ahead:
            try:
                for batch in ahead:
                    for frame, found in batch:
                        finish(frame, found)
                    written = True
            except KeyboardInterrupt:  # at a camera it is the end of the stream
                if frames.source.kind != 'camera' or not written:
                    raise

    def _finish(self, writer: _Writer, length: int | None, frame: Frame, found: Segmentation) -> None:
        """Write the results of an image, and count it."""
        writer.write(frame, found)
        now, summary = time.perf_counter(), self.summary
        summary.begin = summary.begin or now
        summary.seconds = now - summary.begin
        summary.frames += 1
        self.listener.advanced(writer.source, frame.number, length)

    def _writer(self, source: Source) -> _Writer:
        """Return what writes a source's results, unless they would replace an input or are there already."""
        writer = _Writer(self.out_dir, source, self.save, self.opacity)
        clash = next((target for target in writer.places.values() if target.resolve() in self.inputs), None)
        if clash is not None:
            raise InputError(f'{source}: its result {clash} is or holds one of the inputs, which is not overwritten')
        if self.skip_existing and all(target.exists() for target in writer.places.values()):
            raise _Skipped
        folders = [place for kind, place in writer.places.items() if writer.moving and kind != 'overlay']
        for path in (path for place in folders if place.is_dir() for path in place.iterdir()):
            if not re.fullmatch(r'\..*|\d{6,}\.(png|json|npz)', path.name):
                raise InputError(f'{source}: expected nothing but frames of an earlier run in {path.parent}, which its '
                                 f'results replace, got {path.name}')
        return writer

    @contextmanager
    def _counted(self, source: Source) -> Iterator[None]:
        """Count a source, and keep why it failed."""
        self.listener.started(source)
        failure = None
        try:
            yield
            self.summary.done += 1
        except _Skipped:
            self.summary.skipped += 1
        except (InputError, OSError) as error:
            known = isinstance(error, InputError) and str(source) in str(error)
            failure = str(error) if known else f'{source}: {error}'
            self.summary.failed.append(failure)
        self.listener.ended(source, failure)


class _Writer:
    """Write the results of one source; a video's file gets its name when it is whole."""

    def __init__(self, out_dir: Path, source: Source, save: tuple[str, ...], opacity: float) -> None:
        self.source, self.opacity, self.fps, self.count = source, opacity, 25.0, 0
        self.moving = source.kind in ('video', 'camera')
        # maps of frames go to a folder; compressed video would change the ids
        suffixes = dict.fromkeys(SUFFIXES, '') | dict(overlay='.mp4') if self.moving else SUFFIXES
        self.places = {kind: out_dir / kind / f'{source.name}{suffixes[kind]}' for kind in save}
        self.video: cv2.VideoWriter | None = None
        self.unfinished = {kind: partial_path(place, suffixes[kind]) for kind, place in self.places.items()}

    def __enter__(self) -> _Writer:
        """Start, without what killed runs have left beside the results."""
        for place in self.places.values():
            sweep(place.parent)
        return self

    def write(self, frame: Frame, found: Segmentation) -> None:
        """Write the results of one image."""
        for kind, place in self.places.items():
            if kind == 'overlay' and self.moving:
                self._append(place, found.overlay(opacity=self.opacity, all_classes=True))
            else:
                target = self.unfinished[kind] / f'{frame.number:06d}{SUFFIXES[kind]}' if self.moving else place
                try:
                    write_atomically(target, found.encode(kind, opacity=self.opacity))
                except OSError as error:
                    if error.filename:  # of frames a folder that is gone afterwards
                        error.filename = str(place)
                    raise

    def _append(self, place: Path, painted: Any) -> None:
        """Append a frame to the video."""
        if self.video is None:
            place.parent.mkdir(parents=True, exist_ok=True)
            self.size = size = (painted.shape[1], painted.shape[0])
            fps = round(self.fps, 3 if self.fps < 65 else 1)  # MPEG-4 divides a second into at most 65,535 parts
            self.video = cv2.VideoWriter(str(self.unfinished['overlay']), cv2.VideoWriter.fourcc(*'mp4v'), fps, size)
            if not self.video.isOpened():
                raise OSError(f'a video cannot be written to {place}; OpenCV has no mp4v encoder here')
        if self.size != (size := (painted.shape[1], painted.shape[0])):  # OpenCV would leave it out
            raise InputError(f'{self.source}: expected frames of one size, {self.size} with the legend, got {size}')
        self.count += 1  # first: Ctrl-C comes through behind the call that it interrupts
        self.video.write(painted)

    def __exit__(self, kind: type | None, *error: object) -> None:
        """Rename finished files to their final names, or leave nothing behind."""
        if self.video is not None:
            self.video.release()
        try:
            if self.video is not None and kind is None:
                self._verify(self.unfinished['overlay'])
            for name, unfinished in self.unfinished.items() if kind is None else ():
                place, former = self.places[name], partial_path(self.places[name])
                if unfinished.is_dir() and place.exists():  # removed under its own name, half of it could stay
                    os.replace(place, former)
                if unfinished.exists():
                    os.replace(unfinished, place)
                discard(former)
        finally:
            for unfinished in self.unfinished.values():
                discard(unfinished)

    def _verify(self, path: Path) -> None:
        """Refuse a video that does not hold every frame: OpenCV's writer does not say when the disk is full."""
        video = cv2.VideoCapture(str(path))
        found = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        video.release()
        if found != self.count:
            raise OSError(f'the video {self.places["overlay"]} was not written whole: expected {self.count} frames, '
                          f'got {found}; is the disk full?')
