"""Nuclei from label images."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.table import Nuclei, Source

LABEL_ENDINGS = (".png", ".tif", ".tiff", ".npy")
# Above this, labels are numbered anew before their bounding boxes are looked up in a list.
_MANY = 5_000_000
# Share of an instance's area that its largest piece has, stray pixels apart.
_ONE_PIECE = 0.9


def read_labels(
    labels: Path | str | NDArray[np.integer], slide_shape: tuple[int, int] | None = None
) -> Nuclei:
    """Outline the instances of a label image.

    Outlines run half-way between the pixels of an instance and those around it.
    Filled again they cover the same pixels, save holes and, of an instance in several
    pieces, all but the largest.

    Parameters
    ----------
    labels : path, or ndarray of int, shape (rows, columns)
        PNG, TIFF or ``.npy``; 0 is background, each other value one nucleus, which
        becomes its id.
    slide_shape : tuple of int, optional
        Rows and columns of level 0; the image must have as many.

    Raises
    ------
    NucleiError
        If the image cannot be read, is no label image, is empty, or has another size
        than the slide.
    """
    origin = "the label image" if isinstance(labels, np.ndarray) else str(labels)
    image = labels if isinstance(labels, np.ndarray) else _read(Path(labels))
    _require_labels(image, origin)
    if slide_shape is not None and image.shape != tuple(slide_shape[:2]):
        raise NucleiError(
            f"{origin} has {image.shape[0]} x {image.shape[1]} pixels (rows x columns) and the "
            f"slide {slide_shape[0]} x {slide_shape[1]}: labels must have the slide's full "
            "resolution."
        )
    ids, outlines, shares = _outlines(image) if image.any() else ([], [], [])
    if not ids:
        raise NucleiError(f"{origin} holds no nuclei: all its pixels are 0.")
    if len(ids) == 1 and shares[0] < _ONE_PIECE:
        raise NucleiError(
            f"{origin} holds a single label, {ids[0]}, in several pieces: it is a mask, not a "
            "label image. Give each nucleus its own number, for example by skimage.measure.label."
        )
    return Nuclei.from_polygons(outlines, ids, source=Source.IMPORTED)


def _read(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise NucleiError(f"There is no file {path}: check the path of the nuclei.")
    ending = path.suffix.lower()
    try:
        if ending == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        if ending in (".tif", ".tiff"):
            import tifffile

            return np.asarray(tifffile.imread(path))
        if ending == ".png":
            return _read_png(path.read_bytes())
    except Exception as error:
        reason = " ".join(str(error).split())
        raise NucleiError(f"{path} cannot be read as a label image: {reason}") from error
    raise NucleiError(f"{path}: labels are read from {', '.join(LABEL_ENDINGS)} files.")


def _read_png(content: bytes) -> NDArray[Any]:
    import imagecodecs

    # Byte 25 of a PNG is its kind; in those with a palette the indices are the labels.
    if content[25:26] == b"\x03":
        from PIL import Image

        return np.asarray(Image.open(BytesIO(content)))
    return np.asarray(imagecodecs.png_decode(content))


def _require_labels(image: NDArray[Any], origin: str) -> None:
    if image.ndim != 2:
        raise NucleiError(
            f"{origin} has the shape {image.shape}: a label image has rows and columns only, and "
            "whole numbers that tell nuclei apart. Is it a colour image?"
        )
    if image.dtype != bool and not np.issubdtype(image.dtype, np.integer):
        raise NucleiError(f"{origin} holds {image.dtype}: a label image holds whole numbers.")


def _outlines(
    image: NDArray[Any],
) -> tuple[list[int], list[NDArray[np.float32]], list[float]]:
    """Ids, outlines of the largest pieces, and their shares of the instances' areas."""
    from scipy import ndimage

    values = np.arange(int(image.max()) + 1) if image.max() < _MANY else None
    if values is None:
        values, inverse = np.unique(image, return_inverse=True)
        if values[0] != 0:
            values, inverse = np.append(0, values), inverse + 1
        image = inverse.reshape(image.shape)
    ids, outlines, shares = [], [], []
    for label, box in enumerate(ndimage.find_objects(image.astype(np.int64, copy=False)), 1):
        if box is None:
            continue
        outline, share = _outline(image[box] == label)
        shares.append(share)
        ids.append(int(values[label]))
        outlines.append(outline + np.array([box[0].start, box[1].start], np.float32))
    return ids, outlines, shares


def _outline(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float32], float]:
    """Outline of the largest piece of a mask, in its pixels, and its share of the area."""
    from skimage.measure import find_contours

    contours = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    areas = np.array([_signed_area(contour) for contour in contours])
    largest = int(np.argmax(np.abs(areas)))
    # Holes run the other way round than outer borders.
    borders = areas * np.sign(areas[largest])
    share = float(borders[largest] / borders[borders > 0].sum())
    return _without_midpoints(contours[largest][:-1] - 1).astype(np.float32), share


def _signed_area(ring: NDArray[np.float64]) -> float:
    row, column = ring[:-1].T
    after_row, after_column = ring[1:].T
    return float(np.sum(row * after_column - after_row * column) / 2)


def _without_midpoints(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop vertices on the straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return np.asarray(ring[turns])
