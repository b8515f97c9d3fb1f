"""Nuclei from label images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.formats.cleaning import clean
from napari_prts.nuclei.formats.found import Outlines
from napari_prts.nuclei.formats.label_files import LabelImage, open_labels
from napari_prts.nuclei.formats.label_scale import scale_of, scaled
from napari_prts.nuclei.formats.report import Problem
from napari_prts.nuclei.ragged import offsets_of
from napari_prts.nuclei.table import LARGEST_ID, Nuclei

# Rows and columns that are held in memory at once.
_BLOCK = 2048
# Above this, labels are numbered anew before their bounding boxes are looked up in a list.
_MANY = 5_000_000
# Share of an instance's area that its largest piece has, stray pixels apart.
_ONE_PIECE = 0.9

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Traced:
    """Outline of the largest piece of an instance."""

    points: NDArray[np.float64]
    share: float
    in_parts: bool
    has_holes: bool


def read_labels(
    labels: Path | str | NDArray[np.integer], slide_shape: tuple[int, int] | None = None
) -> Nuclei:
    """Outline the instances of a label image; what is changed or left out goes to the log.

    Outlines run half-way between the pixels of an instance and those around it.
    Filled again they cover the same pixels, save holes and, of an instance in several
    pieces, all but the largest.

    Parameters
    ----------
    labels : path, or ndarray of int, shape (rows, columns)
        See :func:`~napari_prts.nuclei.formats.label_files.open_labels`; 0 is background, each
        other value one nucleus, which becomes its id.
    slide_shape : tuple of int, optional
        Rows and columns of level 0. An image of another resolution is scaled to it, see
        :func:`~napari_prts.nuclei.formats.label_scale.scale_of`.

    Raises
    ------
    NucleiError
        If the image cannot be read, is no label image, is empty, or has another shape
        than the slide.
    """
    origin = "the label image" if isinstance(labels, np.ndarray) else str(labels)
    report = clean(label_outlines(labels, slide_shape), slide_shape, origin)
    for sentence in report.sentences():
        _log.warning("%s: %s", origin, sentence)
    return report.nuclei


def label_outlines(
    labels: Path | str | NDArray[np.integer], slide_shape: tuple[int, int] | None = None
) -> Outlines:
    """Outline the instances of a label image, block by block.

    Parameters
    ----------
    labels, slide_shape
        As for :func:`read_labels`.

    Raises
    ------
    NucleiError
        As for :func:`read_labels`.
    """
    origin = "the label image" if isinstance(labels, np.ndarray) else str(labels)
    image = LabelImage.of(labels) if isinstance(labels, np.ndarray) else open_labels(Path(labels))
    with closing(image):
        return _outlines_of(image, slide_shape, origin)


def _outlines_of(image: LabelImage, slide_shape: tuple[int, int] | None, origin: str) -> Outlines:
    _require_labels(image, origin)
    scale = scale_of(image.shape, slide_shape, origin)
    try:
        found = _traced(image)
    except MemoryError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise NucleiError(f"{origin} cannot be read as a label image: {reason}") from error
    if not found:
        raise NucleiError(f"{origin} holds no nuclei: all its pixels are 0.")
    if len(found) == 1 and next(iter(found.values())).share < _ONE_PIECE:
        raise NucleiError(
            f"{origin} holds a single label, {next(iter(found))}, in several pieces: it is a mask, "
            "not a label image. Give each nucleus its own number, for example by "
            "skimage.measure.label."
        )
    outlines = _laid_out(found, _shift(image))
    if scale.is_one:
        return outlines
    points = scaled(outlines.vertices, scale)
    return replace(outlines, vertices=points, notes=(*outlines.notes, scale.sentence()))


def _shift(image: LabelImage) -> int:
    """What our own files add to an id to make a label of it: 0 is background."""
    table = (image.said or {}).get("prts_table")
    shift = table.get("id_shift", 0) if isinstance(table, dict) else 0
    return int(shift) if isinstance(shift, int) else 0


def _laid_out(found: dict[int, _Traced], shift: int) -> Outlines:
    labels = sorted(found)
    traced = [found[label] for label in labels]
    ids = np.array(labels, np.int64) - shift
    unusable = (ids < 0) | (ids > LARGEST_ID)
    ids[unusable] = -1
    marks = {
        Problem.PARTS: [each.in_parts for each in traced],
        Problem.HOLES: [each.has_holes for each in traced],
        Problem.NO_WHOLE_ID: unusable,
    }
    return Outlines.of(
        np.concatenate([each.points for each in traced]),
        offsets_of([len(each.points) for each in traced]),
        ids,
        places=np.array(labels, np.int64),
        place="label",
        marks={problem: np.array(which, bool) for problem, which in marks.items()},
    )


def _require_labels(image: LabelImage, origin: str) -> None:
    if len(image.shape) != 2:
        raise NucleiError(
            f"{origin} has the shape {image.shape}: a label image has rows and columns only, and "
            "whole numbers that tell nuclei apart. Is it a colour image?"
        )
    if image.dtype != bool and not np.issubdtype(image.dtype, np.integer):
        raise NucleiError(f"{origin} holds {image.dtype}: a label image holds whole numbers.")


def _traced(image: LabelImage) -> dict[int, _Traced]:
    """Outlines by label, in whole pixels of the image."""
    boxes = _boxes(image)
    found: dict[int, _Traced] = {}
    for some in _by_block(boxes):
        r0, c0 = some[:, 1:3].min(axis=0).tolist()
        r1, c1 = some[:, 3:5].max(axis=0).tolist()
        window = image.read(r0, c0, r1, c1)
        for label, a, b, c, d in some.tolist():
            outline = _outline(window[a - r0 : c - r0, b - c0 : d - c0] == label)
            found[label] = replace(outline, points=outline.points + np.array([a, b]))
    return found


def _by_block(boxes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Boxes that begin in the same block, so that one window holds them."""
    blocks = boxes[:, 1] // _BLOCK * 2**32 + boxes[:, 2] // _BLOCK
    order = np.argsort(blocks, kind="stable")
    edges = np.flatnonzero(np.diff(blocks[order])) + 1
    yield from (boxes[some] for some in np.split(order, edges) if some.size)


def _boxes(image: LabelImage) -> NDArray[np.int64]:
    """Label, first row and column, and the ones after the last, of each instance."""
    rows, columns = image.shape
    parts = [np.zeros((0, 5), np.int64)]
    for row in range(0, rows, _BLOCK):
        for column in range(0, columns, _BLOCK):
            block = image.read(row, column, min(row + _BLOCK, rows), min(column + _BLOCK, columns))
            if block.any():
                parts.append(_boxes_in(block) + np.array([0, row, column, row, column]))
    return _joined(np.concatenate(parts))


def _boxes_in(block: NDArray[Any]) -> NDArray[np.int64]:
    from scipy import ndimage

    block = block.astype(np.int64, copy=False)
    values = None
    if block.min() < 0 or block.max() >= _MANY:
        values, inverse = np.unique(block, return_inverse=True)
        numbers = np.cumsum(values != 0)
        block = np.where(values == 0, 0, numbers)[inverse].reshape(block.shape)
        values = np.append(0, values[values != 0])
    boxes = [
        (label, box[0].start, box[1].start, box[0].stop, box[1].stop)
        for label, box in enumerate(ndimage.find_objects(block), 1)
        if box is not None
    ]
    made = np.array(boxes, np.int64)
    if values is not None:
        made[:, 0] = values[made[:, 0]]
    return made


def _joined(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """One box for each label, of its boxes in all blocks."""
    if not len(boxes):
        return boxes
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    first = np.append(0, np.flatnonzero(np.diff(boxes[:, 0])) + 1)
    low = np.minimum.reduceat(boxes[:, 1:3], first, axis=0)
    high = np.maximum.reduceat(boxes[:, 3:5], first, axis=0)
    return np.column_stack([boxes[first, 0], low, high])


def _outline(mask: NDArray[np.bool_]) -> _Traced:
    """Outline of the largest piece of a mask, in its pixels."""
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    areas = np.array([_signed_area(contour) for contour in contours])
    largest = int(np.argmax(np.abs(areas)))
    # Holes run the other way round than outer borders.
    borders = areas * np.sign(areas[largest])
    outer = borders > 0
    share = float(borders[largest] / borders[outer].sum())
    points = _without_midpoints(contours[largest][:-1] - 1)
    return _Traced(points, share, int(outer.sum()) > 1, not outer.all())


def _signed_area(ring: NDArray[np.float64]) -> float:
    row, column = ring[:-1].T
    after_row, after_column = ring[1:].T
    return float(np.sum(row * after_column - after_row * column) / 2)


def _without_midpoints(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop vertices on the straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return np.asarray(ring[turns])
