"""A slide's levels as a window wants them: at once what is at hand, the rest when it comes."""

from __future__ import annotations

import operator
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from psygnal import Signal

from napari_prts.slide.levels import Level, spanned, within
from napari_prts.slide.pixels import RgbImage

if TYPE_CHECKING:
    from napari_prts.slide.damage import BrokenTile
    from napari_prts.slide.slide import Slide

# Most views of a quick format come within this; nobody notices so short a wait.
PATIENCE = 0.02
# Shown where nothing is known yet, not even from a coarser level.
_PENDING = 224
# Stripes over broken tiles: colours that no stain has, 12 px of the screen wide.
_STRIPES = np.array([[255, 140, 0], [40, 40, 40]], np.uint8)
_STRIPE = 12


@dataclass(frozen=True)
class _Request:
    """A rectangle of a level; ``index`` counts levels from the full resolution."""

    index: int
    top: int
    left: int
    bottom: int
    right: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        return self.top, self.left, self.bottom, self.right

    def empty(self) -> RgbImage:
        return np.empty((self.bottom - self.top, self.right - self.left, 3), np.uint8)


class Screen:
    """Reads a slide for a window without ever making it wait.

    On the main thread a rectangle comes at once: decoded blocks as they are,
    the others enlarged from a coarser level, while they are decoded in the
    background. On any other thread it comes whole.

    Parameters
    ----------
    slide : Slide
        What is shown.
    patience : float
        Seconds that the main thread waits for blocks before it goes on without them.

    Attributes
    ----------
    arrived : psygnal.Signal
        Emitted, in some thread, when the last view or the slide has more to show.
    levels : list of array
        For a multiscale image layer, full resolution first. The last one is a plain
        array, read at once and kept up to date, because napari reads that level only once.
    """

    arrived = Signal()

    def __init__(self, slide: Slide, patience: float = PATIENCE) -> None:
        self._slide = slide
        self._patience = patience
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="slide-screen")
        self._waiting: Future[RgbImage] | None = None
        self._latest: tuple[_Request, RgbImage] | None = None
        last = len(slide.stack) - 1
        self._lowest = self._whole(last)
        self.levels: list[Any] = [
            *(ScreenLevel(self, index) for index in range(last)),
            self._lowest,
        ]
        if slide.growth is not None:
            slide.growth.grown.connect(self._on_grown)
        if slide.damage is not None:
            slide.damage.found.connect(self._on_broken)

    @property
    def stack(self) -> tuple[Level, ...]:
        """The slide's levels, full resolution first."""
        return self._slide.stack

    def read(self, index: int, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle that lies inside level ``index``, in its pixels.

        Returns
        -------
        ndarray of uint8, shape (bottom - top, right - left, 3)
            Broken tiles are striped.
        """
        request = _Request(index, top, left, bottom, right)
        if threading.current_thread() is threading.main_thread():
            image = self._at_hand(request)
        else:
            image = self._stack_read(request)
        return self._with_stripes(image, request)

    def _at_hand(self, request: _Request) -> RgbImage:
        image = request.empty()
        if self.stack[request.index].pixels.paste_remembered(image, request.top, request.left):
            return image
        if self._latest is not None and self._latest[0] == request:
            return self._latest[1]
        if self._waiting is not None:
            # What was asked for before has left the screen; if it runs already, its blocks
            # are remembered.
            self._waiting.cancel()
        self._waiting = self._threads.submit(self._fetch, request)
        try:
            return self._waiting.result(self._patience)
        except TimeoutError:
            self._waiting.add_done_callback(self._on_done)
            return self._stand_in(request)

    def _fetch(self, request: _Request) -> RgbImage:
        image = self._stack_read(request)
        growth = self._slide.growth
        # While levels grow, the same rectangle will look otherwise a moment later.
        if growth is None or growth.whole:
            self._latest = request, image
        return image

    def _stack_read(self, request: _Request) -> RgbImage:
        return self.stack[request.index].pixels.show(*request.corners)

    def _on_done(self, done: Future[RgbImage]) -> None:
        if not done.cancelled() and done.exception() is None:
            self.arrived.emit()

    def _whole(self, index: int) -> RgbImage:
        request = _Request(index, 0, 0, *self.stack[index].pixels.shape)
        return self._with_stripes(self._stack_read(request).copy(), request)

    def _on_grown(self) -> None:
        self._latest = None
        self._lowest[:] = self._whole(len(self.stack) - 1)
        self.arrived.emit()

    def _on_broken(self, tile: BrokenTile) -> None:
        self._latest = None
        # Nothing is read here: this runs in a thread that decodes, for which others wait.
        last = len(self.stack) - 1
        self._stripe(self._lowest, tile, _Request(last, 0, 0, *self.stack[last].pixels.shape))
        self.arrived.emit()

    def _stand_in(self, request: _Request) -> RgbImage:
        """Show decoded blocks, and a coarser level where there are none."""
        image = self._enlarged(request)
        self.stack[request.index].pixels.paste_remembered(image, request.top, request.left)
        return image

    def _enlarged(self, request: _Request) -> RgbImage:
        image = request.empty()
        own = self.stack[request.index].downsample
        for level in self.stack[request.index + 1 :]:
            ratio = level.downsample / own
            rows, columns = level.pixels.shape
            top = min(int(request.top / ratio), rows - 1)
            left = min(int(request.left / ratio), columns - 1)
            bottom = min(int(np.ceil(request.bottom / ratio)) + 1, rows)
            right = min(int(np.ceil(request.right / ratio)) + 1, columns)
            if level is self.stack[-1]:
                coarse = self._lowest[top:bottom, left:right]
            else:
                coarse = np.empty((bottom - top, right - left, 3), np.uint8)
                if not level.pixels.paste_remembered(coarse, top, left):
                    continue
            shift_x = (request.left + 0.5) / ratio - 0.5 - left
            shift_y = (request.top + 0.5) / ratio - 0.5 - top
            cv2.warpAffine(
                coarse,
                np.array([[1 / ratio, 0, shift_x], [0, 1 / ratio, shift_y]]),
                (image.shape[1], image.shape[0]),
                image,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            return image
        image[:] = _PENDING
        return image

    def _with_stripes(self, image: RgbImage, request: _Request) -> RgbImage:
        for tile in self._slide.broken:
            image = self._stripe(image, tile, request)
        return image

    def _stripe(self, image: RgbImage, tile: BrokenTile, request: _Request) -> RgbImage:
        part = _part(tile, self.stack[request.index].downsample, request)
        if part is not None:
            image = image if image.flags.writeable else image.copy()
            rows, columns = (np.arange(s.start, s.stop) for s in part)
            across = (rows[:, None] + columns[None, :]) // _STRIPE % 2
            image[part] = _STRIPES[across]
        return image


def _part(tile: BrokenTile, downsample: float, request: _Request) -> tuple[slice, slice] | None:
    """Return the rows and columns of a request that a broken tile covers."""
    top = max(int(tile.row / downsample), request.top)
    left = max(int(tile.column / downsample), request.left)
    bottom = min(int(np.ceil((tile.row + tile.height) / downsample)), request.bottom)
    right = min(int(np.ceil((tile.column + tile.width) / downsample)), request.right)
    if top >= bottom or left >= right:
        return None
    return (
        slice(top - request.top, bottom - request.top),
        slice(left - request.left, right - request.left),
    )


class ScreenLevel:
    """One level as an array, (row, column, 3) uint8, for an image layer.

    Parameters
    ----------
    screen : Screen
        Which reads it.
    index : int
        Of the level, counted from the full resolution.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, screen: Screen, index: int) -> None:
        self._screen = screen
        self._index = index
        self.shape = (*screen.stack[index].pixels.shape, 3)

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the whole level, decoded."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        parts = _one_an_axis(key, self.shape)
        rows, columns = (spanned(parts[axis], self.shape[axis]) for axis in (0, 1))
        if rows and columns:
            corners = rows.start, columns.start, rows.stop, columns.stop
            image = self._screen.read(self._index, *corners)
        else:
            image = np.empty((len(rows), len(columns), 3), np.uint8)
        return image[within(parts[0]), within(parts[1]), parts[2]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self[:], dtype)


def _one_an_axis(key: Any, shape: tuple[int, ...]) -> list[slice | int]:
    """Write a numpy index out: one slice, or one integer from 0 on, for each axis."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if len(parts) > len(shape):
        raise IndexError(f"{len(parts)} indices are too many: a level has {len(shape)} axes")
    return [
        part if isinstance(part, slice) else _position(part, length)
        for part, length in zip(parts, shape, strict=True)
    ]


def _position(part: Any, length: int) -> int:
    position = operator.index(part)
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of bounds for an axis of {length}")
    return position % length
