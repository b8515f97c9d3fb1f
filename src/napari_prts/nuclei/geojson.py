"""Nuclei as GeoJSON: QuPath's, Space Ranger's and our own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import NucleiError
from napari_prts.files import written_aside
from napari_prts.nuclei.features import Feature, features_of, uuid_of
from napari_prts.nuclei.json_file import content_of, parse, parse_geojson
from napari_prts.nuclei.numbers_text import lines_of_pairs
from napari_prts.nuclei.table import Nuclei, Source
from napari_prts.nuclei.validation import require_inside

FORMAT = 1
_AT_ONCE = 50_000
_TABLE = "prts_table"
_PROVENANCE = "prts"
# Our own files have the features last, after a line of their own: what stands before
# can be read without parsing them.
_FEATURES_LINE = b'\n"features": ['


def write_geojson(
    nuclei: Nuclei, path: Path | str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write nuclei as QuPath detections of class "Nucleus".

    Coordinates are (x, y) in level-0 pixels. Each feature's ``id`` is a UUID that
    holds the nucleus's id, so that it survives a round trip through QuPath. Reading
    the file back gives the same vertices, ids, scores and sources, bit for bit.

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
    opening = json.dumps(head, default=_plain, allow_nan=False)[:-1]
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"{opening},{_FEATURES_LINE.decode()}\n")
        for start in range(0, len(nuclei), _AT_ONCE):
            some = nuclei.take(np.arange(start, min(start + _AT_ONCE, len(nuclei))))
            file.write((",\n" if start else "") + ",\n".join(_feature_texts(some)))
        file.write("\n]}\n")


def read_geojson(path: Path | str, slide_shape: tuple[int, int] | None = None) -> Nuclei:
    """Read nuclei from GeoJSON.

    Detections and cells (of these the nucleus) are read, and annotations of class
    Nucleus; where there are no detections and cells, all annotations are. Of a
    MultiPolygon the largest part is taken, holes are ignored, and outlines that cross
    themselves are mended. Ids are kept where all can be whole numbers (Space Ranger's
    ``cell_id``, our own); features without one are numbered on.

    Parameters
    ----------
    path : path
        A FeatureCollection, a Feature or a list of Features, (x, y) in level-0 pixels.
    slide_shape : tuple of int, optional
        Rows and columns of level 0; nuclei wholly outside are refused.

    Raises
    ------
    NucleiError
        If the file cannot be read, holds no nuclei or broken ones, or if nuclei lie
        outside the slide.
    """
    path = Path(path)
    data, coordinates = parse_geojson(content_of(path), path)
    found = features_of(data, coordinates, path)
    own = data.get(_TABLE) if isinstance(data, dict) else None
    table = own if isinstance(own, dict) else {}
    nuclei = _table_of(found, path, table)
    if slide_shape is not None:
        require_inside(nuclei.bounds, slide_shape, nuclei.ids, str(path))
    return nuclei


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


def _table_of(found: list[Feature], path: Path, own: dict[str, Any]) -> Nuclei:
    given = [feature.id for feature in found]
    next_id = 1 + max((id_ for id_ in given if id_ is not None), default=-1)
    ids = np.empty(len(found), np.int64)
    for position, id_ in enumerate(given):
        ids[position] = next_id if id_ is None else id_
        next_id += id_ is None
    try:
        return Nuclei.from_polygons(
            [feature.outline for feature in found],
            ids,
            [feature.score for feature in found],
            [feature.source for feature in found],
            # What we wrote ourselves is taken as it is, so that it reads back exactly.
            repair=not own,
            next_id=int(own.get("next_id", 0)),
        )
    except NucleiError as error:
        raise NucleiError(f"{path}: {error}") from error


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
    """Closed rings as ``x,y],[x,y],[...``, shortest numbers that read back the same."""
    offsets = nuclei.offsets
    # Each ring's first vertex comes again at its end.
    closed = np.insert(np.arange(len(nuclei.vertices)), offsets[1:], offsets[:-1])
    text = lines_of_pairs(nuclei.vertices[closed, ::-1])
    line_ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    ends = line_ends[offsets[1:] + np.arange(len(nuclei))]
    starts = np.append(0, ends[:-1] + 1)
    return [
        text[start:end].replace(b"\n", b"],[").decode()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
