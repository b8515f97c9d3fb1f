"""What a nucleus looks like: shape, stain and texture, measured block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import NucleiError
from napari_prts.jobs import Job, Progress
from napari_prts.nuclei.drawing import to_window
from napari_prts.nuclei.geometry import bounds_of
from napari_prts.nuclei.ragged import counted, take_rows
from napari_prts.nuclei.shapes import SHAPE_NAMES, measure_shapes
from napari_prts.nuclei.spans import Spans, dilated, filled
from napari_prts.nuclei.stains import (
    MARGIN,
    OD_STEPS,
    RING_STATISTICS,
    STATISTICS,
    statistic_images,
)
from napari_prts.nuclei.table import Nuclei

if TYPE_CHECKING:
    from napari_prts.slide import Slide

RING_UM = 3.0
BLOCK = 1024

PIXEL_NAMES = (
    "haematoxylin_mean",
    "haematoxylin_std",
    "eosin_mean",
    "eosin_std",
    "ring_haematoxylin_mean",
    "ring_haematoxylin_std",
    "ring_eosin_mean",
    "ring_eosin_std",
    "red_mean",
    "green_mean",
    "blue_mean",
    "grey_std",
    "gradient",
    "laplacian",
    "local_contrast",
)


@dataclass(frozen=True, eq=False)
class Measurements:
    """Values measured on nuclei.

    Attributes
    ----------
    names : tuple of str
        What is measured: ``area_um2``, ``perimeter_um``, ``major_axis_um``,
        ``minor_axis_um``, ``eccentricity``, ``solidity``, ``roundness``; mean and
        standard deviation of the haematoxylin and eosin optical density in the nucleus
        and, as ``ring_...``, in the 3 um around it; mean red, green and blue (0..255);
        ``grey_std``; root mean square of the grey ``gradient`` and ``laplacian`` per
        pixel; ``local_contrast``, the root mean variance of grey in 5 x 5 pixels.
    values : ndarray of float32, shape (n, k)
        Finite.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]


def measure_nuclei(
    slide: Slide,
    nuclei: Nuclei,
    mpp: float = 0.5,
    positions: ArrayLike | None = None,
    *,
    block: int = BLOCK,
) -> Job[Measurements]:
    """Measure shape, stain and texture.

    A nucleus's values depend on its own polygon and the slide's pixels only: not on
    other nuclei, nor on which are measured together, nor on the blocks. The ring is
    the nucleus grown by 3 um less the nucleus itself; other nuclei in it count.

    Parameters
    ----------
    slide : Slide
        Where the pixels are read.
    nuclei : Nuclei
        The nuclei.
    mpp : float
        Microns per pixel at which stain and texture are measured.
    positions : array-like of int, optional
        Which nuclei; all by default.
    block : int
        Side of the squares that are read, in pixels at ``mpp``.

    Yields
    ------
    Progress
        Unit ``"blocks"``, without partial results.

    Returns
    -------
    Measurements
        One row for each position.

    Raises
    ------
    MissingPixelSizeError
        If the slide's pixel size is unknown.
    NucleiError
        If ``mpp`` is too coarse to see the ring.
    """
    if not 0.05 <= mpp <= 2:
        raise NucleiError(f"Nuclei are measured at 0.05 to 2 um per pixel, not at {mpp:g}.")
    slide_mpp = slide.require_mpp()
    chosen = nuclei if positions is None else nuclei.take(positions)
    sums = _Sums(len(chosen))
    blocks = list(_blocks(chosen, slide_mpp / mpp, RING_UM / mpp + 1, block))
    for done, (row, column, members) in enumerate(blocks):
        yield Progress(done, len(blocks), "blocks")
        pixels = slide.read(
            (row - MARGIN) * mpp / slide_mpp,
            (column - MARGIN) * mpp / slide_mpp,
            block + 2 * MARGIN,
            block + 2 * MARGIN,
            mpp=mpp,
        )
        vertices, offsets = take_rows([(chosen.vertices, chosen.offsets)], members)
        inside = filled(to_window(vertices, (0, 0), slide_mpp / mpp), offsets)
        grown = dilated(inside, RING_UM / mpp)
        window = (row, column, block, block)
        sums.add(pixels, members, inside.clipped(*window), grown.clipped(*window))
    yield Progress(len(blocks), len(blocks), "blocks")
    values = np.column_stack([measure_shapes(chosen, slide_mpp), sums.values()])
    return Measurements(SHAPE_NAMES + PIXEL_NAMES, values.astype(np.float32))


def _blocks(
    nuclei: Nuclei, scale: float, reach: float, block: int
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Squares that nuclei reach into: their top left pixel, and those nuclei's positions."""
    if not len(nuclei):
        return
    bounds = bounds_of(to_window(nuclei.vertices, (0, 0), scale), nuclei.offsets)
    first = np.floor((bounds[:, :2] - reach) / block).astype(np.int64)
    size = np.floor((bounds[:, 2:] + reach) / block).astype(np.int64) - first + 1
    position, within = counted(size.prod(axis=1))
    row = first[position, 0] + within // size[position, 1]
    column = first[position, 1] + within % size[position, 1]
    order = np.lexsort((position, column, row))
    row, column, position = row[order], column[order], position[order]
    borders = np.flatnonzero((np.diff(row) != 0) | (np.diff(column) != 0)) + 1
    starts = np.append(0, borders)
    for start, members in zip(starts.tolist(), np.split(position, borders), strict=True):
        yield int(row[start]) * block, int(column[start]) * block, members


class _Sums:
    """Whole-number sums over each nucleus and over it with its ring."""

    def __init__(self, count: int) -> None:
        self._inside = np.zeros((count, len(STATISTICS) + 1), np.int64)
        self._grown = np.zeros((count, len(RING_STATISTICS) + 1), np.int64)

    def add(
        self, pixels: NDArray[np.uint8], members: NDArray[np.int64], inside: Spans, grown: Spans
    ) -> None:
        """Add the part of the nuclei that lies in one block."""
        for table, spans in ((self._inside, inside), (self._grown, grown)):
            _add_to(table[:, -1], members, spans, spans.stop - spans.start)
        running = np.zeros((pixels.shape[0] - 2 * MARGIN, pixels.shape[1] - 2 * MARGIN + 1), "i8")
        for index, (_, image) in enumerate(statistic_images(pixels)):
            np.cumsum(image, axis=1, out=running[:, 1:])
            for table, spans in ((self._inside, inside), (self._grown, grown)):
                if index < table.shape[1] - 1:
                    part = running[spans.row, spans.stop] - running[spans.row, spans.start]
                    _add_to(table[:, index], members, spans, part)

    def values(self) -> NDArray[np.float64]:
        """Turn the sums into values, shape (n, 15), as :data:`PIXEL_NAMES`."""
        inside = dict(zip(STATISTICS, self._inside[:, :-1].T, strict=True))
        ring_sums = self._grown - self._inside[:, [*range(len(RING_STATISTICS)), -1]]
        ring = dict(zip(RING_STATISTICS, ring_sums[:, :-1].T, strict=True))
        count, ring_count = self._inside[:, -1], ring_sums[:, -1]
        columns = []
        for sums, pixels in ((inside, count), (ring, ring_count)):
            for stain in ("haematoxylin", "eosin"):
                mean, std = _mean_and_std(sums[stain], sums[f"{stain}²"], pixels)
                columns += [mean / OD_STEPS, std / OD_STEPS]
        columns += [inside[name] / count for name in ("red", "green", "blue")]
        columns.append(_mean_and_std(inside["grey"], inside["grey²"], count)[1])
        columns.append(np.sqrt(inside["gradient²"] / (4 * count)))
        columns.append(np.sqrt(inside["laplacian²"] / count))
        columns.append(np.sqrt(inside["variance"] / (625 * count)))
        return np.column_stack(columns)


def _add_to(
    column: NDArray[np.int64], members: NDArray[np.int64], spans: Spans, part: NDArray[np.int64]
) -> None:
    """Add what each run contributes to its owner's sum; runs are sorted by owner."""
    if not len(part):
        return
    begins = np.flatnonzero(np.diff(spans.owner, prepend=-1) != 0)
    column[members[spans.owner[begins]]] += np.add.reduceat(part, begins)


def _mean_and_std(
    total: NDArray[np.int64], squares: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean * mean, 0))
