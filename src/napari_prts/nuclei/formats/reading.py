"""Reading nuclei from whatever file there is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari_prts.errors import NucleiError
from napari_prts.nuclei.formats.cleaning import clean
from napari_prts.nuclei.formats.report import ReadReport
from napari_prts.nuclei.table import Nuclei

GEOJSON_ENDINGS = (".geojson", ".json")
PARQUET_ENDINGS = (".parquet", ".geoparquet")
CSV_ENDINGS = (".csv", ".tsv")
LABEL_ENDINGS = (".png", ".tif", ".tiff", ".btf", ".npy", ".zarr")
ENDINGS = (*GEOJSON_ENDINGS, *PARQUET_ENDINGS, *CSV_ENDINGS, *LABEL_ENDINGS)

_log = logging.getLogger(__name__)


def read_nuclei(path: Path | str, slide_shape: tuple[int, int] | None = None) -> Nuclei:
    """Read nuclei from a file; what is changed or left out goes to the log.

    Parameters
    ----------
    path : path
        See :func:`read_nuclei_reported`.
    slide_shape : tuple of int, optional
        Rows and columns of the slide's level 0, to check that nuclei lie on it.

    Raises
    ------
    NucleiError
        If the file cannot be read, holds no nuclei that can be used, or nuclei of
        another slide.
    """
    report = read_nuclei_reported(path, slide_shape)
    for sentence in report.sentences():
        _log.warning("%s: %s", path, sentence)
    return report.nuclei


def read_nuclei_reported(
    path: Path | str, slide_shape: tuple[int, int] | None = None
) -> ReadReport:
    """Read nuclei and all that was done to them on the way.

    Where a format says where coordinates count from, that is followed. Here the centre
    of the first pixel is (0, 0).

    ================== ====================== =========================================
    ending             what                   (0, 0) there
    ================== ====================== =========================================
    .geojson, .json    QuPath's, our own      corner of the first pixel
    .geojson, .json    Space Ranger's, others not said; taken as the first pixel's centre
    .parquet           GeoParquet             first pixel's centre, unless it says corner
    .csv, .tsv         polygons as WKT        not said; taken as the first pixel's centre
    .tif, .png, .npy,  labels, Cellpose's     a label covers its whole pixels
    .zarr              ``_seg.npy``
    ================== ====================== =========================================

    Parameters
    ----------
    path : path
        The file, known by its ending.
    slide_shape : tuple of int, optional
        Rows and columns of the slide's level 0: nuclei outside are left out, and labels
        of another resolution are scaled to it.

    Raises
    ------
    NucleiError
        If the file cannot be read, holds no nuclei that can be used, or nuclei of
        another slide.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in LABEL_ENDINGS:
        from napari_prts.nuclei.formats.labels import label_outlines

        return clean(label_outlines(path, slide_shape), slide_shape, str(path))
    if ending in GEOJSON_ENDINGS:
        from napari_prts.nuclei.formats.geojson import geojson_outlines

        return clean(geojson_outlines(path), slide_shape, str(path))
    if ending in PARQUET_ENDINGS:
        from napari_prts.nuclei.formats.geoparquet import parquet_outlines

        return clean(parquet_outlines(path), slide_shape, str(path))
    if ending in CSV_ENDINGS:
        from napari_prts.nuclei.formats.wkt_csv import csv_outlines

        return clean(csv_outlines(path), slide_shape, str(path))
    raise NucleiError(
        f"{path}: nuclei are read from GeoJSON ({', '.join(GEOJSON_ENDINGS)}), GeoParquet "
        f"({', '.join(PARQUET_ENDINGS)}), WKT polygons in a table ({', '.join(CSV_ENDINGS)}) and "
        f"label images ({', '.join(LABEL_ENDINGS)})."
    )


def read_provenance(path: Path | str) -> dict[str, Any]:
    """Read what a file says about its making; empty for files made elsewhere.

    Parameters
    ----------
    path : path
        Any file that :func:`read_nuclei` reads.

    Raises
    ------
    NucleiError
        If the file cannot be read.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in GEOJSON_ENDINGS:
        from napari_prts.nuclei.formats import geojson

        return geojson.read_provenance(path)
    if ending in PARQUET_ENDINGS:
        from napari_prts.nuclei.formats import geoparquet

        return geoparquet.read_provenance(path)
    if ending in LABEL_ENDINGS:
        from napari_prts.nuclei.formats.label_files import read_provenance as of_labels

        return of_labels(path)
    return {}
