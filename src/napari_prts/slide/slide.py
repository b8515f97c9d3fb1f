"""Slide: the pixels of one H&E section, lazily, at any resolution."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import MissingPixelSizeError, SlideError
from napari_prts.slide import fingerprint as fingerprints
from napari_prts.slide.formats.slide_file import check_dtype, check_samples
from napari_prts.slide.glass import WHITE
from napari_prts.slide.levels import Level, as_dask, lower_levels, stack
from napari_prts.slide.pixel_size import UNKNOWN, USER, check_mpp
from napari_prts.slide.pixels import ArrayPixels, RgbImage
from napari_prts.slide.regions import Rectangle, bands, read_exact, sample

if TYPE_CHECKING:
    import dask.array as da

    from napari_prts.slide.damage import BrokenTile, Damage
    from napari_prts.slide.growing import Growth
    from napari_prts.slide.tissue import Survey


class _Once:
    """A value that is made when first asked for, by one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: Any = None

    def get(self, make: Callable[[], Any]) -> Any:
        with self._lock:
            if self._value is None:
                self._value = make()
            return self._value


@dataclass(frozen=True, eq=False)
class Slide:
    """A slide, open for reading; safe to read from several threads.

    Made by :func:`napari_prts.slide.open_slide` or :meth:`from_array`.

    Parameters
    ----------
    path : Path or None
        File or OME-Zarr folder; None for an array.
    format : str
        For example ``"aperio-svs"``, ``"tiff"``, ``"ome-zarr"``, ``"dicom"``, ``"jpeg"``
        or ``"array"``.
    stack : tuple of Level
        The pyramid, full resolution first.
    mpp : float or None
        um per level-0 pixel, None if unknown.
    mpp_source : str
        For example ``"file (Aperio MPP)"``, ``"file (TIFF resolution)"``, ``"user"`` (and
        what is added to it) or ``"unknown"``.
    fingerprint : str
        By content: the same for a moved file and for any ``mpp``.
    name : str
        File name, or the name given to an array.
    associated : mapping of str to callable
        Pictures that come with it, by name: ``"macro"``, ``"thumbnail"``, ``"label"``
        (it may carry a patient's name: show it only when asked). Each is read when
        called, as (row, column, 3) uint8.
    remarks : tuple of str
        Sentences for the user about what is not as it should be in the file.
    stated_mpp : float or None
        um per level-0 pixel by the file's own word, whatever :attr:`mpp` is.
    stated_source : str
        Where the file states it.
    growth : Growth or None
        What builds its missing levels, if it was opened without waiting for them.
    damage : Damage or None
        The tiles found broken so far; None for an array.
    """

    path: Path | None
    format: str
    stack: tuple[Level, ...]
    mpp: float | None
    mpp_source: str
    fingerprint: str
    name: str
    associated: Mapping[str, Callable[[], RgbImage]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    stated_mpp: float | None = None
    stated_source: str = UNKNOWN
    growth: Growth | None = None
    damage: Damage | None = None
    _survey: _Once = field(default_factory=_Once, repr=False)

    @classmethod
    def from_array(
        cls, pixels: NDArray[np.uint8], mpp: float | None = None, name: str = "array"
    ) -> Slide:
        """Make a slide of an image in memory.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (row, column, 3)
            The image. It is not copied: do not change it afterwards.
        mpp : float, optional
            um per pixel.
        name : str
            A name for messages and titles.

        Raises
        ------
        SlideError
            If it is no RGB image, or ``mpp`` is impossible.
        """
        check_dtype(Path(name), pixels.dtype)
        if pixels.ndim != 3 or 0 in pixels.shape:
            raise SlideError(
                f"{name}: an array of shape {pixels.shape} is no image; "
                "give one of shape (row, column, 3)."
            )
        check_samples(Path(name), pixels.shape[2])
        if pixels.shape[2] != 3:
            raise SlideError(f"{name}: the array has four channels; drop the opacity first.")
        full = ArrayPixels(pixels, name)
        size, source = (None, UNKNOWN) if mpp is None else (check_mpp(mpp), USER)
        levels = stack([full, *lower_levels(full)], name)
        return cls(None, "array", levels, size, source, fingerprints.of_array(pixels), name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of level 0."""
        return self.stack[0].pixels.shape

    @property
    def downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        return tuple(level.downsample for level in self.stack)

    @cached_property
    def levels(self) -> tuple[da.Array, ...]:
        """Lazy arrays, (row, column, 3) uint8, full resolution first."""
        return tuple(
            as_dask(level.pixels, f"slide-{self.fingerprint}-{index}")
            for index, level in enumerate(self.stack)
        )

    @property
    def background(self) -> tuple[int, int, int]:
        """Colour of bare glass, red, green, blue; white if none is in the picture.

        Measured when first asked for, then remembered.
        """
        return self.survey().background

    @property
    def broken(self) -> tuple[BrokenTile, ...]:
        """Tiles found broken so far; they read as white, like bare glass."""
        return () if self.damage is None else self.damage.tiles

    def require_mpp(self) -> float:
        """Return um per level-0 pixel.

        Raises
        ------
        MissingPixelSizeError
            If it is unknown.
        """
        if self.mpp is None:
            raise MissingPixelSizeError(
                f"{self.path or self.name} does not say how large a pixel is: give its microns per "
                "pixel (--mpp, or the field in the Slide widget). A 40x scan has about 0.25, "
                "a 20x scan about 0.5; the scanner's own software shows the exact number."
            )
        return self.mpp

    def with_mpp(self, mpp: float, source: str = USER) -> Slide:
        """Return the same slide with another pixel size.

        Parameters
        ----------
        mpp : float
            um per level-0 pixel, 0.05 to 20.
        source : str
            Where it comes from; begins with ``"user"``.

        Raises
        ------
        SlideError
            If the number is impossible.
        """
        # What was found with the old size, such as the tissue, does not hold for the new one.
        return replace(self, mpp=check_mpp(mpp), mpp_source=source, _survey=_Once())

    def as_stated(self) -> Slide:
        """Return the same slide with the pixel size that its file states."""
        stated = self.stated_mpp
        return replace(self, mpp=stated, mpp_source=self.stated_source, _survey=_Once())

    def read(
        self, row: float, column: float, height: int, width: int, *, mpp: float | None = None
    ) -> RgbImage:
        """Read a rectangle.

        At full resolution and whole positions these are the pixels themselves.
        Otherwise the picture is averaged over each output pixel, or
        interpolated linearly if output pixels are smaller than level-0 pixels.

        Parameters
        ----------
        row, column : float
            Top-left corner in level-0 pixels; may lie anywhere, outside too.
        height, width : int
            Output pixels.
        mpp : float, optional
            um per output pixel; that of level 0 by default.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
            Red, green, blue; :attr:`background` outside the slide, white where a
            tile is broken (see :attr:`broken`).

        Raises
        ------
        MissingPixelSizeError
            If ``mpp`` is given and that of the slide is unknown.
        SlideError
            If the pixels are not there yet (see :attr:`growth`), or the rectangle is none.
        """
        if not (height > 0 and width > 0 and math.isfinite(row) and math.isfinite(column)):
            raise SlideError(
                f"{self.name}: {height} x {width} px at row {row}, column {column} "
                "is no region: give finite corners and a size above 0."
            )
        if mpp is not None and not (mpp > 0 and math.isfinite(mpp)):
            raise SlideError(f"{self.name} cannot be read at {mpp} um per pixel: give one above 0.")
        step = 1.0 if mpp is None else mpp / self.require_mpp()
        whole = Rectangle(float(row), float(column), int(height), int(width), step)
        exact = read_exact(self.stack, whole)
        if exact is not None:
            return exact
        return np.concatenate([self._read_band(band) for band in bands(whole)])

    def _read_band(self, band: Rectangle) -> RgbImage:
        sampled = sample(self.stack, band)
        # The glass colour takes a look at the whole slide: only where it shows.
        return sampled.on(WHITE if sampled.whole else self.background)

    def survey(self) -> Survey:
        """Return what a look at the whole slide at low resolution found; remembered."""
        from napari_prts.slide.tissue import look_at

        found: Survey = self._survey.get(lambda: look_at(self))
        return found
