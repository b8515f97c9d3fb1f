"""Nuclei drawn into label images on disk, piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.files import written_aside
from napari_prts.nuclei.drawing import rasterise
from napari_prts.nuclei.formats.geojson import plain
from napari_prts.nuclei.formats.label_files import TIFF_ENDINGS
from napari_prts.nuclei.table import Nuclei

FORMAT = 1
_TILE = 512
# Classic TIFF ends at 4 GB; compression may fail to shrink a file.
_BIG = 2**31


@dataclass
class _Drawn:
    """Labels that came out on the image."""

    seen: NDArray[np.bool_]

    def note(self, band: NDArray[np.uint32], labels: NDArray[np.int64]) -> None:
        present = np.unique(band)
        place = np.searchsorted(labels, present)
        known = place < len(labels)
        known[known] = labels[place[known]] == present[known]
        self.seen[place[known]] = True


def write_labels(
    nuclei: Nuclei,
    path: Path,
    slide_shape: tuple[int, int],
    provenance: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Draw nuclei into a label image of the slide's full resolution.

    A pixel has the id of the nucleus in which its centre lies, of the last one where
    several overlap, and 0 where there is none. If a nucleus has the id 0, all labels are
    one more than the ids; TIFF and zarr say so, and are read back right.

    Parameters
    ----------
    nuclei : Nuclei
        What to draw.
    path : Path
        ``.tif``, ``.tiff``, ``.btf``: tiled, compressed TIFF (BigTIFF where it may be
        large). ``.zarr``: an OME-Zarr 0.4 label image. ``.npy``: plain numpy. Written
        aside and moved into place.
    slide_shape : tuple of int
        Rows and columns of level 0.
    provenance : mapping, optional
        Where the nuclei come from; kept in TIFF and zarr.

    Returns
    -------
    tuple of str
        What the image does not show, for the user.
    """
    rows, columns = (int(length) for length in slide_shape[:2])
    shift = int(len(nuclei) > 0 and nuclei.ids.min() == 0)
    labels = np.sort(nuclei.ids) + shift
    drawn = _Drawn(np.zeros(len(nuclei), bool))
    said = {"prts_table": {"format": FORMAT, "id_shift": shift}, "prts": dict(provenance or {})}

    def bands() -> Iterator[NDArray[np.uint32]]:
        for band in _bands(nuclei, rows, columns, shift):
            drawn.note(band, labels)
            yield band

    ending = path.suffix.lower()
    with written_aside(path) as aside:
        if ending in TIFF_ENDINGS:
            _write_tiff(aside, bands(), (rows, columns), said)
        elif ending == ".zarr":
            _write_zarr(aside, bands(), (rows, columns), said)
        else:
            _write_npy(aside, bands(), (rows, columns))
    return _notes(labels[~drawn.seen] - shift, shift, ending)


def _bands(nuclei: Nuclei, rows: int, columns: int, shift: int) -> Iterator[NDArray[np.uint32]]:
    """The image from top to bottom, in bands of a tile's height."""
    top, bottom = nuclei.bounds[:, 0], nuclei.bounds[:, 2]
    for row in range(0, rows, _TILE):
        height = min(_TILE, rows - row)
        some = nuclei.take((bottom > row - 1) & (top < row + height))
        band = rasterise(some, height, columns, (row, 0), values=some.ids + shift)
        yield band.astype(np.uint32)


def _write_tiff(
    path: Path, bands: Iterator[NDArray[np.uint32]], shape: tuple[int, int], said: dict[str, Any]
) -> None:
    import tifffile

    def tiles() -> Iterator[NDArray[np.uint32]]:
        for band in bands:
            for column in range(0, shape[1], _TILE):
                yield np.ascontiguousarray(band[:, column : column + _TILE])

    tifffile.imwrite(
        path,
        tiles(),
        shape=shape,
        dtype=np.uint32,
        tile=(_TILE, _TILE),
        compression="zlib",
        photometric="minisblack",
        bigtiff=shape[0] * shape[1] * 4 > _BIG,
        ome=False,
        description=json.dumps(said, default=plain),
        metadata=None,
    )


def _write_zarr(
    path: Path, bands: Iterator[NDArray[np.uint32]], shape: tuple[int, int], said: dict[str, Any]
) -> None:
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array(
        "0",
        shape=shape,
        chunks=(_TILE, _TILE),
        dtype=np.uint32,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    for number, band in enumerate(bands):
        array[number * _TILE : number * _TILE + len(band)] = band
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    multiscale: Any = {
        "version": "0.4",
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": scale}],
    }
    group.attrs.update(
        {
            "multiscales": [multiscale],
            "image-label": {"version": "0.4"},
            **json.loads(json.dumps(said, default=plain)),
        }
    )


def _write_npy(path: Path, bands: Iterator[NDArray[np.uint32]], shape: tuple[int, int]) -> None:
    image = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint32, shape=shape)
    for number, band in enumerate(bands):
        image[number * _TILE : number * _TILE + len(band)] = band
    image.flush()


def _notes(hidden: NDArray[np.int64], shift: int, ending: str) -> tuple[str, ...]:
    from napari_prts.nuclei.validation import listed

    notes = ["Label images hold whole pixels and ids: no scores and no sources."]
    if hidden.size:
        notes.append(
            f"{hidden.size:,} nuclei lie outside the slide or under others and do not show: ids "
            f"{listed(hidden)}."
        )
    if shift:
        notes.append("Labels are one more than the ids, as 0 is background and a nucleus has id 0.")
    if ending == ".npy":
        notes.append("This format holds no provenance.")
    return tuple(notes)
