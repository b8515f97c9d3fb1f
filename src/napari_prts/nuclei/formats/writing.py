"""Writing nuclei to whatever file is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_prts.errors import NucleiError
from napari_prts.nuclei.table import Nuclei

POLYGON_ENDINGS = (".geojson", ".json", ".parquet", ".geoparquet", ".csv", ".tsv")
LABEL_ENDINGS = (".tif", ".tiff", ".btf", ".zarr", ".npy")
ENDINGS = (*POLYGON_ENDINGS, *LABEL_ENDINGS)


def write_nuclei(
    nuclei: Nuclei,
    path: Path | str,
    provenance: Mapping[str, Any] | None = None,
    slide_shape: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Write nuclei in the format of the file's ending.

    Parameters
    ----------
    nuclei : Nuclei
        What to write.
    path : path
        ``.geojson`` or ``.json`` for QuPath, ``.parquet`` for geopandas and large
        tables, ``.csv`` or ``.tsv`` for WKT polygons, ``.tif``, ``.zarr`` or ``.npy``
        for a label image. Written aside and moved into place.
    provenance : mapping, optional
        Where the nuclei come from.
    slide_shape : tuple of int, optional
        Rows and columns of the slide's level 0; needed for label images.

    Returns
    -------
    tuple of str
        What the format cannot hold, for the user; empty if it holds all.

    Raises
    ------
    NucleiError
        If the ending is unknown, or a label image has no slide.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in (".geojson", ".json"):
        from napari_prts.nuclei.formats.geojson import write_geojson

        write_geojson(nuclei, path, provenance)
        return ()
    if ending in (".parquet", ".geoparquet"):
        from napari_prts.nuclei.formats.geoparquet import write_geoparquet

        write_geoparquet(nuclei, path, provenance)
        return ()
    if ending in (".csv", ".tsv"):
        from napari_prts.nuclei.formats.wkt_csv import write_wkt_csv

        write_wkt_csv(nuclei, path)
        return ("A table of WKT polygons holds no provenance.",)
    if ending in LABEL_ENDINGS:
        return _labels(nuclei, path, provenance, slide_shape)
    raise NucleiError(
        f"{path}: nuclei are written as {', '.join(ENDINGS)}: give the file one of these endings."
    )


def _labels(
    nuclei: Nuclei,
    path: Path,
    provenance: Mapping[str, Any] | None,
    slide_shape: tuple[int, int] | None,
) -> tuple[str, ...]:
    from napari_prts.nuclei.formats.label_writing import write_labels

    if slide_shape is None:
        raise NucleiError(
            f"{path}: a label image is as large as its slide: give the slide's shape (on the "
            "command line --slide)."
        )
    return write_labels(nuclei, path, slide_shape, provenance)
