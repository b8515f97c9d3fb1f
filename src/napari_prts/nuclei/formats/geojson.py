"""Nuclei as GeoJSON: QuPath's, Space Ranger's and our own."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import NucleiError
from napari_prts.files import written_aside
from napari_prts.nuclei.formats.cleaning import clean
from napari_prts.nuclei.formats.features import outlines_of, uuid_of
from napari_prts.nuclei.formats.found import Outlines
from napari_prts.nuclei.formats.json_file import content_of, parse, parse_geojson
from napari_prts.nuclei.formats.numbers_text import from_corner, ring_texts
from napari_prts.nuclei.table import Nuclei, Source

# Format 1 counted from the first pixel's centre.
FORMAT = 2
_AT_ONCE = 50_000
_TABLE = "prts_table"
_PROVENANCE = "prts"
# Our own files have the features last, after a line of their own: what stands before
# can be read without parsing them.
_FEATURES_LINE = b'\n"features": ['

_log = logging.getLogger(__name__)


def write_geojson(
    nuclei: Nuclei, path: Path | str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write nuclei as QuPath detections of class "Nucleus".

    Coordinates are (x, y) in level-0 pixels, counted from the first pixel's corner as
    QuPath does: its centre is (0.5, 0.5) there and (0, 0) in ``nuclei``. Each feature's
    ``id`` is a UUID that holds the nucleus's id, so that it survives a round trip through
    QuPath. Reading the file back gives the same vertices, ids, scores and sources, bit
    for bit; only coordinates nearer to 0 than 1e-8 are rounded, to 1e-16 px.

    Parameters
    ----------
    nuclei : Nuclei
        What to write.
    path : path
        The file; written aside and moved into place.
    provenance : mapping, optional
        Where the nuclei come from; goes into the member ``"prts"``.
    """
    head = {"type": "FeatureCollection", _TABLE: {"format": FORMAT, "next_id": nuclei.next_id}}
    if provenance is not None:
        head[_PROVENANCE] = dict(provenance)
    opening = json.dumps(head, default=plain, allow_nan=False)[:-1]
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{opening},{_FEATURES_LINE.decode()}\n")
        for start in range(0, len(nuclei), _AT_ONCE):
            some = nuclei.take(np.arange(start, min(start + _AT_ONCE, len(nuclei))))
            file.write((",\n" if start else "") + ",\n".join(_feature_texts(some)))
        file.write("\n]}\n")


def read_geojson(path: Path | str, slide_shape: tuple[int, int] | None = None) -> Nuclei:
    """Read nuclei from GeoJSON; what is changed or left out goes to the log.

    See :func:`geojson_outlines` for what is read, and
    :func:`~napari_prts.nuclei.formats.cleaning.clean` for what is repaired.

    Parameters
    ----------
    path : path
        A FeatureCollection, a Feature or a list of Features, (x, y) in level-0 pixels.
    slide_shape : tuple of int, optional
        Rows and columns of level 0; nuclei wholly outside are left out.

    Raises
    ------
    NucleiError
        If the file cannot be read, holds no nuclei that can be used, or if most of them
        lie outside the slide.
    """
    report = clean(geojson_outlines(Path(path)), slide_shape, str(path))
    for sentence in report.sentences():
        _log.warning("%s: %s", path, sentence)
    return report.nuclei


def geojson_outlines(path: Path) -> Outlines:
    """Read what a GeoJSON file has, good or not.

    Detections and cells (of these the nucleus) are read, and annotations of class
    Nucleus; where there are no detections and cells, all annotations are. Of a
    MultiPolygon the largest part is taken and holes are filled. Ids are kept where they
    are whole numbers (Space Ranger's ``cell_id``, our own).

    QuPath counts from the first pixel's corner, and so do our own files since format 2:
    half a pixel is taken off. Space Ranger's outlines are in the pixels of its bins'
    positions, and other files say nothing: both are taken as they are.

    Raises
    ------
    NucleiError
        If the file cannot be read or holds no features.
    """
    data, coordinates = parse_geojson(content_of(path), path)
    own = data.get(_TABLE) if isinstance(data, dict) else None
    found = outlines_of(data, coordinates, path, _format_of(own, path))
    if not isinstance(own, dict):
        return found
    return replace(found, exact=True, next_id=int(own.get("next_id", 0)))


def read_provenance(path: Path | str) -> dict[str, Any]:
    """Read what a file says about its making, without reading the nuclei.

    Parameters
    ----------
    path : path
        GeoJSON file.

    Returns
    -------
    dict
        Empty for files made elsewhere.

    Raises
    ------
    NucleiError
        If the file cannot be read.
    """
    path = Path(path)
    content = content_of(path)
    if f'"{_PROVENANCE}"'.encode() not in content:
        return {}
    head, line, _ = content.partition(_FEATURES_LINE)
    data = parse(head.rstrip(b",") + b"}" if line else content, path)
    provenance = data.get(_PROVENANCE) if isinstance(data, dict) else None
    return provenance if isinstance(provenance, dict) else {}


def _format_of(own: Any, path: Path) -> int | None:
    """Format of a file of ours; None for files of others."""
    if not isinstance(own, dict):
        return None
    version = own.get("format")
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise NucleiError(
            f"{path} is of format {version}, and this version of napari-prts reads up to "
            f"{FORMAT}: update napari-prts."
        )
    return version


def _feature_texts(nuclei: Nuclei) -> list[str]:
    sources = [Source(value).name.lower() for value in range(len(Source))]
    scores = [str(score) for score in nuclei.scores]
    return [
        f'{{"type": "Feature", "id": "{uuid_of(id_)}", "geometry": {{"type": "Polygon", '
        f'"coordinates": [[[{ring}]]]}}, "properties": {{"objectType": "detection", '
        f'"classification": {{"name": "Nucleus", "color": [0, 190, 90]}}, '
        f'"measurements": {{"Detection probability": {score}}}, '
        f'"metadata": {{"prts_source": "{sources[source]}"}}}}}}'
        for id_, ring, score, source in zip(
            nuclei.ids.tolist(), _ring_texts(nuclei), scores, nuclei.sources.tolist(), strict=True
        )
    ]


def _ring_texts(nuclei: Nuclei) -> list[str]:
    """Closed rings as ``x,y],[x,y],[...``, counted from the first pixel's corner."""
    return ring_texts(from_corner(nuclei.vertices)[:, ::-1], nuclei.offsets, (b",", b"],["))


def plain(value: Any) -> Any:
    """Turn numpy's values and paths into what JSON can hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
