"""Label images on disk, read piece by piece."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.formats.cellpose import is_pickled, read_masks

TIFF_ENDINGS = (".tif", ".tiff", ".btf")
_TABLE, _PROVENANCE = "prts_table", "prts"


@dataclass(frozen=True)
class LabelImage:
    """A label image of any size, of which windows are read.

    Attributes
    ----------
    pixels : array-like
        In memory, mapped or zarr.
    planes : tuple of int or slice
        Index of the one plane with rows and columns.
    said : dict
        What this program wrote beside the pixels; empty for files made elsewhere.
    store : object, optional
        What is to be closed in the end.
    """

    pixels: Any
    planes: tuple[int | slice, ...] = (slice(None), slice(None))
    said: dict[str, Any] | None = None
    store: Any = None

    def close(self) -> None:
        """Let go of the file, which Windows would not let anyone replace otherwise."""
        if self.store is not None:
            self.store.close()

    @classmethod
    def of(cls, pixels: Any, said: dict[str, Any] | None = None, store: Any = None) -> LabelImage:
        """Find the plane: of more than two axes, those of length 1 are passed over."""
        spare = len(pixels.shape) - 2
        planes: list[int | slice] = []
        for length in pixels.shape:
            skipped = spare > 0 and length == 1
            spare -= skipped
            planes.append(0 if skipped else slice(None))
        return cls(pixels, tuple(planes), said, store)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, and further axes if it is no label image."""
        axes = zip(self.pixels.shape, self.planes, strict=True)
        return tuple(length for length, plane in axes if isinstance(plane, slice))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of number."""
        kind: np.dtype[Any] = np.dtype(self.pixels.dtype)
        return kind

    def read(self, r0: int, c0: int, r1: int, c1: int) -> NDArray[Any]:
        """Read a window, from the first row and column up to, without, the last ones."""
        window = iter((slice(r0, r1), slice(c0, c1)))
        index = tuple(next(window) if isinstance(plane, slice) else plane for plane in self.planes)
        return np.asarray(self.pixels[index])


def open_labels(path: Path) -> LabelImage:
    """Open a label image without reading all of it (save PNG and Cellpose's).

    Parameters
    ----------
    path : Path
        TIFF, BigTIFF, OME-TIFF, PNG, ``.npy``, Cellpose's ``_seg.npy``, or a folder of
        zarr: an array, or OME-Zarr with one label image.

    Raises
    ------
    NucleiError
        If there is none or it cannot be read.
    """
    if not path.exists():
        raise NucleiError(f"There is no file {path}: check the path of the nuclei.")
    try:
        return _READERS[path.suffix.lower()](path)
    except NucleiError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NucleiError(f"{path} cannot be read as a label image: {reason[:300]}") from error


def read_provenance(path: Path) -> dict[str, Any]:
    """Read what a label image says about its making; empty for files made elsewhere.

    Raises
    ------
    NucleiError
        If the file cannot be read.
    """
    image = open_labels(path)
    image.close()
    found = (image.said or {}).get(_PROVENANCE)
    return found if isinstance(found, dict) else {}


def _tiff(path: Path) -> LabelImage:
    import tifffile
    import zarr

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        description = file.pages.first.tags.get("ImageDescription")
        said = _said(description.value) if description is not None else {}
        if series.dataoffset is not None:
            return LabelImage.of(tifffile.memmap(path, mode="r", series=0), said)
    # The store opens the file itself and keeps it open as long as the image lives.
    store = tifffile.imread(path, aszarr=True, series=0, level=0)
    return LabelImage.of(zarr.open_array(store, mode="r"), said, store)


def _said(description: Any) -> dict[str, Any]:
    try:
        value = json.loads(description)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _npy(path: Path) -> LabelImage:
    if is_pickled(path):
        return LabelImage.of(read_masks(path))
    return LabelImage.of(np.load(path, mmap_mode="r", allow_pickle=False))


def _png(path: Path) -> LabelImage:
    import imagecodecs

    content = path.read_bytes()
    # Byte 25 of a PNG is its kind; in those with a palette the indices are the labels.
    if content[25:26] == b"\x03":
        from PIL import Image

        return LabelImage.of(np.asarray(Image.open(BytesIO(content))))
    return LabelImage.of(np.asarray(imagecodecs.png_decode(content)))


def _zarr(path: Path) -> LabelImage:
    import zarr

    opened = zarr.open(path, mode="r")
    if isinstance(opened, zarr.Array):
        return LabelImage.of(opened, dict(opened.attrs))
    group = _label_group(opened, path)
    return LabelImage.of(_full_resolution(group, path), dict(group.attrs))


def _label_group(group: Any, path: Path) -> Any:
    """The label image of an OME-Zarr, which keeps them in a group of their own."""
    if "labels" in group:
        group = group["labels"]
    listed = _ome(group).get("labels")
    if not isinstance(listed, list):
        return group
    if len(listed) != 1:
        names = ", ".join(str(path / "labels" / str(name)) for name in listed) or "none"
        raise NucleiError(
            f"{path} holds {len(listed)} label images ({names}): name the one with the nuclei."
        )
    return group[str(listed[0])]


def _full_resolution(group: Any, path: Path) -> Any:
    import zarr

    scales = _ome(group).get("multiscales")
    if scales:
        arrays = [group[level["path"]] for level in scales[0]["datasets"]]
    else:
        arrays = [array for _, array in group.arrays()]
    arrays = [array for array in arrays if isinstance(array, zarr.Array)]
    if not arrays or (len(arrays) > 1 and not scales):
        raise NucleiError(
            f"{path} holds {len(arrays)} arrays and does not say which are the labels: name the "
            "folder of the one with the nuclei."
        )
    # Most writers, not all, name the full resolution first.
    return max(arrays, key=lambda array: array.shape[-1] * array.shape[-2])


def _ome(group: Any) -> dict[str, Any]:
    """Metadata of OME-Zarr 0.5, or of 0.4 and before."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


_READERS = {
    ".png": _png,
    ".npy": _npy,
    ".zarr": _zarr,
    **dict.fromkeys(TIFF_ENDINGS, _tiff),
}
