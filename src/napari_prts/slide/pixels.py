"""Random access to the pixels of one level, wherever they are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import SlideError
from napari_prts.slide.colours import Coding, to_rgb

RgbImage = NDArray[np.uint8]


class Pixels(Protocol):
    """One level of a slide; safe to read from several threads."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def chunk(self) -> tuple[int, int] | None:
        """Rows and columns that are decoded together; None if every rectangle is cheap."""
        ...

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle that lies inside the level.

        Returns
        -------
        ndarray of uint8, shape (bottom - top, right - left, 3)
            Red, green, blue. It may be a view: not to be written to.
        """
        ...


class LevelPixels(Pixels, Protocol):
    """One level of an open slide, as a window wants it too."""

    def show(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle for the screen; where nothing is there yet, the best that is."""
        ...

    def paste_remembered(self, image: RgbImage, top: int, left: int) -> bool:
        """Write what is at hand of a rectangle into an image; decode nothing.

        Parameters
        ----------
        image : ndarray of uint8, shape (row, column, 3)
            Written to.
        top, left : int
            Where its corner lies in the level.

        Returns
        -------
        bool
            Whether the whole image is written.
        """
        ...


class AllThere:
    """For levels of which everything is there from the beginning."""

    def show(self: Pixels, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`LevelPixels`."""
        return self.read(top, left, bottom, right)


class ArrayPixels(AllThere):
    """RGB view of an array: numpy, memory map or zarr.

    Parameters
    ----------
    array : array
        Anything with ``shape`` that gives a numpy array for a tuple of slices
        and integers; uint8.
    name : str
        Where the pixels come from, for messages.
    axes : str
        One letter an axis: ``Y`` rows, ``X`` columns, ``S`` or ``C`` colours,
        whichever is longer. Every other axis must have length 1.
    coding : Coding
        What the samples of a pixel mean.
    chunk : tuple of int, optional
        Rows and columns that are decoded together.
    owner : object, optional
        Kept alive as long as the pixels: what closes the file when it goes.
    """

    def __init__(
        self,
        array: Any,
        name: str,
        axes: str = "YXS",
        coding: Coding = Coding.RGB,
        chunk: tuple[int, int] | None = None,
        owner: object = None,
    ) -> None:
        self._owner = owner
        self._array = array
        self._name = name
        lengths = dict(zip(axes, array.shape, strict=True))
        colour = max((axis for axis in axes if axis in "SC"), key=lambda axis: lengths[axis])
        # Y, X and the colours stay; of any other axis the first and only plane is taken.
        self._axes = ["YX".find(axis) if axis != colour else 2 for axis in axes]
        self._order = [[kind for kind in self._axes if kind >= 0].index(axis) for axis in range(3)]
        self._coding = coding
        self.chunk = chunk
        self.shape = (int(array.shape[axes.index("Y")]), int(array.shape[axes.index("X")]))

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`.

        Raises
        ------
        SlideError
            If the pixels cannot be decoded.
        """
        parts = (slice(top, bottom), slice(left, right), slice(None))
        key = tuple(0 if kind < 0 else parts[kind] for kind in self._axes)
        try:
            found = np.asarray(self._array[key])
        except MemoryError:
            raise
        except Exception as error:  # Each codec has exceptions of its own.
            raise unreadable(self._name, (top, left, bottom, right), error) from error
        return to_rgb(found.transpose(self._order), self._coding)

    def paste_remembered(self, image: RgbImage, top: int, left: int) -> bool:
        """Read it if every rectangle is cheap; see :class:`LevelPixels`."""
        if self.chunk is not None:
            return False
        image[:] = self.read(top, left, top + image.shape[0], left + image.shape[1])
        return True


def unreadable(name: str, rectangle: tuple[int, int, int, int], error: Exception) -> SlideError:
    """Make the error for pixels that cannot be decoded.

    Parameters
    ----------
    name : str
        The file.
    rectangle : tuple of int
        Top, left, bottom, right.
    error : Exception
        What the decoder says.
    """
    top, left, bottom, right = rectangle
    return SlideError(
        f"{name}: rows {top} to {bottom}, columns {left} to {right} cannot be read "
        f"({type(error).__name__}: {error}). The file is damaged or has changed since it "
        "was opened: copy it again from where it came from and open it again."
    )


class KeptPixels(AllThere):
    """A level that is made when it is first read, and then stays in memory.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    make : callable
        Makes all pixels, (row, column, 3) uint8; called once.
    """

    chunk: tuple[int, int] | None = None

    def __init__(self, shape: tuple[int, int], make: Callable[[], RgbImage]) -> None:
        self.shape = shape
        self._make: Callable[[], RgbImage] | None = make
        self._image: RgbImage | None = None
        self._lock = threading.Lock()

    def read(self, top: int, left: int, bottom: int, right: int) -> RgbImage:
        """Read a rectangle; see :class:`Pixels`."""
        return self._whole()[top:bottom, left:right]

    def paste_remembered(self, image: RgbImage, top: int, left: int) -> bool:
        """Copy it if the pixels are made; see :class:`LevelPixels`."""
        if self._image is None:
            return False
        image[:] = self._image[top : top + image.shape[0], left : left + image.shape[1]]
        return True

    def _whole(self) -> RgbImage:
        with self._lock:
            if self._image is None:
                assert self._make is not None
                self._image = self._make()
                self._image.flags.writeable = False
                # What it was made from may be large: let it go.
                self._make = None
            return self._image
