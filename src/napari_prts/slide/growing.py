"""A pyramid that is being built, and its levels, which can be looked at meanwhile."""

from __future__ import annotations

import math
import shutil
import threading
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from psygnal import Signal

from napari_prts.errors import SlideError
from napari_prts.files import cache_folder, written_aside
from napari_prts.jobs import Job, Progress
from napari_prts.slide.bands import bands_of, first_look
from napari_prts.slide.blocks import BlockCache, CachedPixels
from napari_prts.slide.damage import Damage
from napari_prts.slide.levels import halved_shape, is_small_enough
from napari_prts.slide.pixels import ArrayPixels, Pixels, RgbImage
from napari_prts.slide.pyramid import (
    CHUNK,
    PyramidWriter,
    StoredArray,
    StoredPyramid,
    create_pyramid,
    open_pyramid,
)
from napari_prts.slide.pyramid_cache import PyramidCache

# Shown where nothing is known yet: lighter than tissue, darker than glass.
_PENDING = 224


@dataclass(frozen=True)
class _Written:
    """What is written of a level: its pixels, how many of its rows, and the look at the rest.

    Readers take all at once: another thread may go on, or begin anew, between two looks.
    """

    pixels: CachedPixels
    rows: int
    preview: RgbImage | None


class GrowingPixels:
    """A level that is being written from its first row on.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    name : str
        The slide, for messages.
    cache : BlockCache
        Shared by the levels of a slide.
    moving : threading.RLock
        Held while the array is read, and while its files are moved.
    """

    chunk: tuple[int, int] = (CHUNK, CHUNK)

    def __init__(
        self, shape: tuple[int, int], name: str, cache: BlockCache, moving: threading.RLock
    ) -> None:
        self.shape = shape
        self._name = name
        self._cache = cache
        self._moving = moving
        self._stored, self._written = self._nothing(None)

    def _nothing(self, preview: RgbImage | None) -> tuple[_Movable, _Written]:
        # Blocks that are remembered of an earlier attempt are not found through the new one.
        stored = _Movable(self.shape, self._name, self._moving)
        return stored, _Written(CachedPixels(stored, self._cache), 0, preview)

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`~napari_prts.slide.pixels.Pixels`.

        Raises
        ------
        SlideError
            If its rows are not written yet.
        """
        written = self._written
        if bottom > written.rows:
            raise SlideError(
                f"{self._name} is still being prepared: {written.rows:,} of {self.shape[0]:,} "
                "rows are done. Wait until its pyramid is made; if that was cancelled, open the "
                "slide again."
            )
        return written.pixels.read(top, left, bottom, right)

    def show(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read what is written; below that show the first look."""
        written = self._written
        try:
            return self._show(written, top, left, bottom, right)
        except SlideError:
            if written.pixels is self._written.pixels:
                raise
            # It was given up meanwhile, and what was written is removed.
            return self._show(self._written, top, left, bottom, right)

    def _show(self, written: _Written, top: int, left: int, bottom: int, right: int) -> RgbImage:
        ready = min(written.rows, bottom)
        if ready == bottom:
            return written.pixels.read(top, left, bottom, right)
        image = np.empty((bottom - top, right - left, 3), np.uint8)
        if ready > top:
            image[: ready - top] = written.pixels.read(top, left, ready, right)
        self._paste(written.preview, image[max(ready - top, 0) :], max(ready, top), left)
        return image

    def paste_remembered(self, image: RgbImage, top: int, left: int) -> bool:
        """Write remembered blocks, and the first look where nothing is written yet."""
        written = self._written
        rows = min(max(written.rows - top, 0), len(image))
        whole = rows == 0 or written.pixels.paste_remembered(image[:rows], top, left)
        if rows < len(image):
            self._paste(written.preview, image[rows:], top + rows, left)
        return whole

    def _paste(self, preview: RgbImage | None, image: RgbImage, top: int, left: int) -> None:
        if preview is None:
            image[:] = _PENDING
            return
        down = preview.shape[0] / self.shape[0]
        across = preview.shape[1] / self.shape[1]
        # The middle of a pixel of the level, in pixels of the first look.
        place = np.array(
            [
                [across, 0, (left + 0.5) * across - 0.5],
                [0, down, (top + 0.5) * down - 0.5],
            ]
        )
        cv2.warpAffine(
            preview,
            place,
            (image.shape[1], image.shape[0]),
            image,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def look(self, preview: RgbImage | None) -> None:
        """Take a small picture of the whole level, to be shown until it is written."""
        self._written = replace(self._written, preview=preview)

    def begin(self, array: Any) -> None:
        """Take the array that will be written."""
        self._stored.pixels = _stored_pixels(array, self._name)

    def advance(self, rows: int) -> None:
        """Count rows that are written, from the top."""
        self._written = replace(self._written, rows=rows)

    def give_up(self) -> None:
        """Forget what was written, because it will be removed; the first look stays."""
        with self._moving:
            self._stored.pixels = None
            self._stored, self._written = self._nothing(self._written.preview)

    def move(self, array: Any) -> None:
        """Read from the whole array at the place where it stays."""
        self._stored.pixels = _stored_pixels(array, self._name)
        self._stored.settled = True
        self._written = replace(self._written, rows=self.shape[0], preview=None)


def _stored_pixels(array: Any, name: str) -> ArrayPixels:
    return ArrayPixels(StoredArray(array), name, chunk=(CHUNK, CHUNK))


class _Movable:
    """Pixels whose file may be moved between two reads."""

    chunk: tuple[int, int] = (CHUNK, CHUNK)

    def __init__(self, shape: tuple[int, int], name: str, moving: threading.RLock) -> None:
        self.shape = shape
        self.pixels: Pixels | None = None
        self.settled = False
        self._name = name
        self._moving = moving

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        # Once nothing is moved any more, several threads may read at a time.
        with nullcontext() if self.settled else self._moving:
            if self.pixels is None:
                raise SlideError(
                    f"{self._name}: the making of its pyramid was cancelled. Open the slide again."
                )
            return self.pixels.read(top, left, bottom, right)


class Growth:
    """Levels below (and, if need be, at) a level, while they are built.

    Parameters
    ----------
    source : Pixels
        The level to begin with.
    fingerprint, name : str
        Of its file; the name is for messages.
    keep_first : bool
        Whether to store that level too, because small regions of its file
        cannot be read quickly.
    cache : BlockCache
        Shared by the levels of the slide.
    damage : Damage
        Where broken tiles of the slide are recorded.

    Attributes
    ----------
    levels : tuple of GrowingPixels
        That level, if kept, and those below, full resolution first.
    grown : psygnal.Signal
        Emitted when more can be seen, in the thread that runs the job.
    """

    grown = Signal()

    def __init__(
        self,
        source: Pixels,
        fingerprint: str,
        name: str,
        keep_first: bool,
        cache: BlockCache,
        damage: Damage,
    ) -> None:
        self._source = source
        self._fingerprint = fingerprint
        self._name = name
        self._first = 0 if keep_first else 1
        self._damage = damage
        self._whole = False
        self._moving = threading.RLock()
        shapes = [source.shape]
        while not is_small_enough(shapes[-1]):
            shapes.append(halved_shape(shapes[-1]))
        self._shapes = shapes
        self.levels = tuple(
            GrowingPixels(shape, name, cache, self._moving) for shape in shapes[self._first :]
        )

    @property
    def whole(self) -> bool:
        """Whether all levels are built."""
        return self._whole

    def look(self) -> None:
        """Take a first look at the source, to be shown until the levels are built.

        It takes a fraction of a second; of a source for which it would take
        longer there is none.

        Raises
        ------
        SlideError
            If the source is damaged.
        """
        preview = first_look(self._source)
        for level in self.levels:
            level.look(preview)

    def job(self) -> Job[None]:
        """Build the levels, and store them in the cache.

        The source is read once, in bands of rows; nothing else is held in
        memory. Closed before its end, it can be begun again.

        Yields
        ------
        Progress
            In rows.

        Raises
        ------
        SlideError
            If the source is damaged or the cache cannot be written.
        """
        if self._whole:
            return
        cache = PyramidCache.of_user()
        # The same slide may have been opened twice, and built there.
        stored = cache.find(self._fingerprint, self._source.shape)
        if stored is None:
            yield from self._build(cache)
        else:
            self._take(stored, cache)
        self.grown.emit()

    def _build(self, cache: PyramidCache) -> Job[None]:
        target = cache.path(self._fingerprint)
        try:
            cache.make_room(math.prod(self._source.shape) * 4.0)
            with ExitStack() as stack:
                aside = stack.enter_context(written_aside(target))
                try:
                    yield from self._write(create_pyramid(aside, self._shapes, self._first))
                    with self._moving:
                        # Moves the folder into place; nobody reads it at that moment.
                        stack.close()
                        self._take(open_pyramid(target), cache)
                except BaseException:
                    # Before what was written is removed, so that nobody reads it any more.
                    for level in self.levels:
                        level.give_up()
                    raise
        except OSError as error:
            raise self._no_room(error, target.parent) from error

    def _write(self, pyramid: PyramidWriter) -> Job[None]:
        rows, text = self._source.shape[0], f"making the pyramid of {self._name}, once"
        yield Progress(0, rows, "rows", text)
        for index, level in enumerate(self.levels):
            level.begin(pyramid.arrays[index + self._first])
        done = 0
        for band in bands_of(self._source):
            written = pyramid.push(band)
            done += len(band)
            self._advance(written)
            yield Progress(done, rows, "rows", text)
        self._advance(pyramid.finish(self._damage.tiles))

    def _advance(self, written: list[int]) -> None:
        for level, rows in zip(self.levels, written[self._first :], strict=True):
            level.advance(rows)
        self.grown.emit()

    def _take(self, stored: StoredPyramid, cache: PyramidCache) -> None:
        for index, level in enumerate(self.levels):
            level.move(stored.arrays[index + self._first])
        for tile in stored.broken:
            self._damage.restore(tile)
        cache.hold(self._fingerprint, self.levels[0])
        self._whole = True

    def _no_room(self, error: OSError, folder: Path) -> SlideError:
        room = math.prod(self._source.shape) * 4 / 2**30
        free = shutil.disk_usage(cache_folder()).free / 2**30
        return SlideError(
            f"{self._name}: the pyramid cannot be written to {folder} "
            f"({error.strerror or error}); {free:.1f} GiB are free there, up to {room:.1f} are "
            "needed. Make room, or let the environment variable NAPARI_PRTS_CACHE name another "
            "folder."
        )
