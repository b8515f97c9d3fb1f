"""Reading nuclei from whatever file there is."""

from __future__ import annotations

from pathlib import Path

from napari_prts.errors import NucleiError
from napari_prts.nuclei.geojson import read_geojson
from napari_prts.nuclei.labels import LABEL_ENDINGS, read_labels
from napari_prts.nuclei.table import Nuclei

GEOJSON_ENDINGS = (".geojson", ".json")


def read_nuclei(path: Path | str, slide_shape: tuple[int, int] | None = None) -> Nuclei:
    """Read nuclei from GeoJSON or a label image, by the file's ending.

    Parameters
    ----------
    path : path
        ``.geojson`` or ``.json``; ``.png``, ``.tif``, ``.tiff`` or ``.npy``.
    slide_shape : tuple of int, optional
        Rows and columns of the slide's level 0, to check that nuclei lie on it.

    Raises
    ------
    NucleiError
        If the file cannot be read, holds no nuclei, or nuclei of another slide.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in GEOJSON_ENDINGS:
        return read_geojson(path, slide_shape)
    if ending in LABEL_ENDINGS:
        return read_labels(path, slide_shape)
    raise NucleiError(
        f"{path}: nuclei are read from GeoJSON ({', '.join(GEOJSON_ENDINGS)}) and label images "
        f"({', '.join(LABEL_ENDINGS)})."
    )
