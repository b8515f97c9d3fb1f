"""Finding nuclei among the features of a GeoJSON file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.formats.found import Outlines, whole_ids
from napari_prts.nuclei.formats.json_file import Coordinates
from napari_prts.nuclei.formats.numbers_text import from_centre
from napari_prts.nuclei.formats.report import Finding, Problem
from napari_prts.nuclei.ragged import offsets_of
from napari_prts.nuclei.table import Source

# "prts" in ASCII, then a version 8 UUID (free content) that ends with the nucleus's id.
_UUID = "70727473-0000-8000-8000-{:012x}"
_OUR_UUID = re.compile(r"70727473-0000-8000-8000-([0-9a-f]{12})")
_ANY_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CELL_ID = re.compile(r"(?:cellid_)?0*(\d{1,10})(?:-\d+)?")
_NUCLEI = ("detection", "cell", "PathDetectionObject", "PathCellObject")
_OTHER = (
    *("tile", "tmaCore", "tma_core", "root", "PathTileObject", "PathRootObject"),
    "TMACoreObject",
)
_ANNOTATIONS = ("annotation", "PathAnnotationObject")
_SCORES = ("Detection probability", "Detection Probability", "score")
_CLASS = "Nucleus"

_SOURCES = {source.name.lower(): source for source in Source}


@dataclass(frozen=True)
class _Ring:
    points: NDArray[np.float64]
    in_parts: bool = False
    has_holes: bool = False


def uuid_of(id_: int) -> str:
    """Make a UUID that holds a nucleus's id."""
    return _UUID.format(id_)


def outlines_of(data: Any, coordinates: Coordinates, path: Path, own: int | None) -> Outlines:
    """Read the nuclei among a file's features.

    Parameters
    ----------
    data : object
        What the JSON file holds, without coordinates.
    coordinates : Coordinates
        Those of the file.
    path : Path
        For messages.
    own : int or None
        Format of a file of ours, None for files of others.

    Raises
    ------
    NucleiError
        If there are no features, or no nuclei among them.
    """
    chosen, others = _nuclei_among(_raw_features(data, path), path)
    rings = [_outline(feature, coordinates) for _, feature in chosen]
    broken = tuple(
        f"feature {number} ({_shown_id(feature)})"
        for (number, feature), ring in zip(chosen, rings, strict=True)
        if ring is None
    )
    good = [item for item, ring in zip(chosen, rings, strict=True) if ring is not None]
    left_out = tuple(
        Finding(problem, names)
        for problem, names in ((Problem.NO_NUCLEUS, others), (Problem.NO_OUTLINE, broken))
        if names
    )
    found = _laid_out(good, [ring for ring in rings if ring is not None], own)
    return Outlines.of(**found, left_out=left_out, notes=_notes([f for _, f in good]))


def _laid_out(
    features: list[tuple[int, dict[str, Any]]], rings: list[_Ring], own: int | None
) -> dict[str, Any]:
    lengths = np.array([len(ring.points) for ring in rings], np.int64)
    points = np.concatenate([np.zeros((0, 2)), *(ring.points for ring in rings)])
    by_corner = np.array([_from_corner(feature, own) for _, feature in features], bool)
    with np.errstate(over="ignore", invalid="ignore"):
        vertices = points.astype(np.float32)
    shifted = np.repeat(by_corner, lengths)
    vertices[shifted] = from_centre(points[shifted])
    properties = [_properties(feature) for _, feature in features]
    ids, unusable = whole_ids([_id(f, p) for (_, f), p in zip(features, properties, strict=True)])
    marks = {
        Problem.PARTS: [ring.in_parts for ring in rings],
        Problem.HOLES: [ring.has_holes for ring in rings],
        Problem.NO_WHOLE_ID: unusable,
    }
    return {
        "vertices": vertices,
        "offsets": offsets_of(lengths),
        "ids": ids,
        "scores": [_score(each) for each in properties],
        "sources": [_source(each) for each in properties],
        "places": np.array([number for number, _ in features], np.int64),
        "place": "feature",
        "marks": {problem: np.array(which, bool) for problem, which in marks.items()},
    }


def _raw_features(data: Any, path: Path) -> list[Any]:
    if isinstance(data, list):
        return list(_with_children(data))
    if isinstance(data, dict) and data.get("type") == "Feature":
        return list(_with_children([data]))
    if isinstance(data, dict) and isinstance(data.get("features"), list):
        return list(_with_children(data["features"]))
    raise NucleiError(
        f"{path} is not GeoJSON: it holds no FeatureCollection. Export the nuclei as GeoJSON, for "
        "example from QuPath by File > Export objects as GeoJSON."
    )


def _with_children(features: list[Any]) -> Iterator[Any]:
    """Features, each with those that QuPath wrote inside it."""
    for feature in features:
        yield feature
        children = _properties(feature).get("childObjects") if isinstance(feature, dict) else None
        if isinstance(children, list):
            yield from _with_children(children)


def _nuclei_among(
    features: list[Any], path: Path
) -> tuple[list[tuple[int, dict[str, Any]]], tuple[str, ...]]:
    """Features that are nuclei, with their numbers, and the names of all others."""
    numbered = [(n, f) for n, f in enumerate(features) if isinstance(f, dict)]
    kinds = [_object_type(feature) for _, feature in numbered]
    among_others = any(kind in _NUCLEI for kind in kinds)
    chosen = [
        item
        for item, kind in zip(numbered, kinds, strict=True)
        if _is_nucleus(item[1], kind, among_others)
    ]
    if not chosen:
        raise NucleiError(
            f"{path} holds no nuclei: it has {len(features):,} features and none is a detection, a "
            "cell or an outline."
        )
    known = {number for number, _ in chosen}
    return chosen, tuple(f"feature {n}" for n in range(len(features)) if n not in known)


def _is_nucleus(feature: dict[str, Any], kind: str, among_others: bool) -> bool:
    if among_others:
        return kind in _NUCLEI or any(
            name.lower().startswith("nucle") for name in _class_names(feature)
        )
    return kind not in _OTHER


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _object_type(feature: dict[str, Any]) -> str:
    properties = _properties(feature)
    # QuPath 0.2 kept the type as the feature's id.
    for kind in (properties.get("objectType"), properties.get("object_type"), feature.get("id")):
        if isinstance(kind, str):
            return kind
    return ""


def _class_names(feature: dict[str, Any]) -> list[str]:
    """Classes; QuPath writes a derived one as a list of ``names``."""
    given = _properties(feature).get("classification")
    if isinstance(given, dict):
        given = given.get("names", given.get("name"))
    names = given if isinstance(given, list) else [given]
    return [name for name in names if isinstance(name, str)]


def _from_corner(feature: dict[str, Any], own: int | None) -> bool:
    """Whether coordinates count from the first pixel's corner, as QuPath's do."""
    if own is not None:
        return own > 1
    properties = _properties(feature)
    if "cell_id" in properties:
        return False
    kind = _object_type(feature)
    return kind in (*_NUCLEI, *_ANNOTATIONS) or "classification" in properties


def _outline(feature: dict[str, Any], coordinates: Coordinates) -> _Ring | None:
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    if not isinstance(geometry, dict):
        return None
    try:
        if geometry.get("type") == "Polygon":
            ring = coordinates.ring(geometry)
            return _part(coordinates.of(geometry)) if ring is None else _Ring(ring)
        if geometry.get("type") == "MultiPolygon":
            parts = [_part(part) for part in coordinates.of(geometry)]
            largest = max(parts, key=lambda part: _area(part.points))
            return _Ring(largest.points, len(parts) > 1, largest.has_holes)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return None


def _part(polygon: Any) -> _Ring:
    """Outer ring of a polygon as (row, column)."""
    points = np.array(polygon[0], np.float64)
    return _Ring(points[:, 1::-1], has_holes=len(polygon) > 1)


def _area(ring: NDArray[np.float64]) -> float:
    row, column = (ring - ring[0]).T
    return abs(float(np.dot(row, np.roll(column, -1)) - np.dot(column, np.roll(row, -1))))


def _id(feature: dict[str, Any], properties: dict[str, Any]) -> Any:
    """Id as given; None if there is none, or one that QuPath made up."""
    given = feature.get("id")
    ours = _OUR_UUID.fullmatch(given) if isinstance(given, str) else None
    if ours:
        return int(ours[1], 16)
    for value in (properties.get("cell_id"), given):
        match = _CELL_ID.fullmatch(value) if isinstance(value, str) else None
        if match:
            return int(match[1])
        if value is not None and not (isinstance(value, str) and _made_up(value)):
            return value
    return None


def _made_up(id_: str) -> bool:
    return bool(_ANY_UUID.fullmatch(id_)) or id_ in (*_NUCLEI, *_ANNOTATIONS, *_OTHER)


def _shown_id(feature: dict[str, Any]) -> Any:
    return feature.get("id", _properties(feature).get("cell_id", "no id"))


def _score(properties: dict[str, Any]) -> float:
    """Probability: 1 where there is none, NaN where it is no number."""
    measurements = properties.get("measurements")
    if isinstance(measurements, list):
        # QuPath up to 0.3 wrote a list of pairs.
        measurements = {
            entry.get("name"): entry.get("value")
            for entry in measurements
            if isinstance(entry, dict)
        }
    if isinstance(measurements, dict):
        for name in _SCORES:
            value = measurements.get(name)
            if value is not None:
                usable = isinstance(value, int | float) and math.isfinite(value)
                return float(value) if usable else math.nan
    return 1.0


def _source(properties: dict[str, Any]) -> Source:
    metadata = properties.get("metadata")
    name = metadata.get("prts_source") if isinstance(metadata, dict) else None
    return _SOURCES.get(name, Source.IMPORTED) if isinstance(name, str) else Source.IMPORTED


def _notes(features: list[dict[str, Any]]) -> tuple[str, ...]:
    """What the table cannot hold, and what was taken instead of a nucleus."""
    notes = []
    names = (": ".join(_class_names(feature)) for feature in features)
    classes = Counter(name for name in names if name not in ("", _CLASS))
    if classes:
        listed = ", ".join(f"{name} ({count:,})" for name, count in classes.most_common(10))
        notes.append(f"Classes are not kept: {listed}.")
    bare = sum(
        _object_type(feature) in ("cell", "PathCellObject") and not feature.get("nucleusGeometry")
        for feature in features
    )
    if bare:
        notes.append(f"{bare:,} cells have no nucleus: the outline of the cell was taken instead.")
    renamed = sum(
        isinstance(feature.get("id"), str)
        and "cell_id" not in _properties(feature)
        and bool(_ANY_UUID.fullmatch(feature["id"]))
        and not _OUR_UUID.fullmatch(feature["id"])
        for feature in features
    )
    if renamed:
        notes.append(f"{renamed:,} nuclei had an id of QuPath's (a UUID) and got a number instead.")
    return tuple(notes)
