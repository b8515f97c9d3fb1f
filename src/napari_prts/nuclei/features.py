"""Finding nuclei among the features of a GeoJSON file."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.json_file import Coordinates
from napari_prts.nuclei.table import LARGEST_ID, Source
from napari_prts.nuclei.validation import listed

# "prts" in ASCII, then a version 8 UUID (free content) that ends with the nucleus's id.
_UUID = "70727473-0000-8000-8000-{:012x}"
_OUR_UUID = re.compile(r"70727473-0000-8000-8000-([0-9a-f]{12})")
_CELL_ID = re.compile(r"(?:cellid_)?0*(\d{1,10})(?:-\d+)?")
_NUCLEI = ("detection", "cell", "PathDetectionObject", "PathCellObject")
_OTHER = ("tile", "tmaCore", "tma_core", "root", "PathTileObject", "PathRootObject")
_SCORES = ("Detection probability", "Detection Probability", "score")

_SOURCES = {source.name.lower(): source for source in Source}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feature:
    """One nucleus as a file has it: outline in (row, column), id where there is one."""

    outline: NDArray[np.float32]
    id: int | None
    score: float
    source: Source


def uuid_of(id_: int) -> str:
    """Make a UUID that holds a nucleus's id."""
    return _UUID.format(id_)


def features_of(data: Any, coordinates: Coordinates, path: Path) -> list[Feature]:
    """Read the nuclei among a file's features.

    Parameters
    ----------
    data : object
        What the JSON file holds, without coordinates.
    coordinates : Coordinates
        Those of the file.
    path : Path
        For messages.

    Raises
    ------
    NucleiError
        If there are no features, no nuclei among them, or nuclei without outlines.
    """
    nuclei = _nuclei_among(_raw_features(data, path), path)
    found, broken = [], []
    for number, feature in nuclei:
        outline = _outline(feature.get("nucleusGeometry") or feature.get("geometry"), coordinates)
        if outline is None:
            broken.append(f"feature {number} ({feature.get('id', 'no id')})")
            continue
        properties = _properties(feature)
        found.append(
            Feature(outline, _id(feature, properties), _score(properties), _source(properties))
        )
    if broken:
        raise NucleiError(
            f"{path}: {len(broken):,} of {len(nuclei):,} nuclei have no outline, such as "
            f"{listed(broken)}: their geometry must be a Polygon or MultiPolygon of numbers."
        )
    return found


def _raw_features(data: Any, path: Path) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data, dict) and data.get("type") == "Feature":
        return [data]
    if isinstance(data, dict) and isinstance(data.get("features"), list):
        return list(data["features"])
    raise NucleiError(
        f"{path} is not GeoJSON: it holds no FeatureCollection. Export the nuclei as GeoJSON, for "
        "example from QuPath by File > Export objects as GeoJSON."
    )


def _nuclei_among(features: list[Any], path: Path) -> list[tuple[int, dict[str, Any]]]:
    numbered = [(n, f) for n, f in enumerate(features) if isinstance(f, dict)]
    kinds = [_object_type(feature) for _, feature in numbered]
    if any(kind in _NUCLEI for kind in kinds):
        chosen = [
            item
            for item, kind in zip(numbered, kinds, strict=True)
            if kind in _NUCLEI or _class_name(item[1]).startswith("nucle")
        ]
    else:
        chosen = [item for item, kind in zip(numbered, kinds, strict=True) if kind not in _OTHER]
    if not chosen:
        raise NucleiError(
            f"{path} holds no nuclei: it has {len(features):,} features and none is a detection, a "
            "cell or an outline."
        )
    if len(chosen) < len(features):
        _log.warning(
            "%s: %d features that are no nuclei were left out (annotations, tiles).",
            path,
            len(features) - len(chosen),
        )
    return chosen


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


def _class_name(feature: dict[str, Any]) -> str:
    classification = _properties(feature).get("classification")
    name = classification.get("name") if isinstance(classification, dict) else classification
    return name.lower() if isinstance(name, str) else ""


def _outline(geometry: Any, coordinates: Coordinates) -> NDArray[np.float32] | None:
    if not isinstance(geometry, dict):
        return None
    try:
        if geometry.get("type") == "Polygon":
            ring = coordinates.ring(geometry)
            return _ring(coordinates.of(geometry)) if ring is None else ring
        if geometry.get("type") == "MultiPolygon":
            return max((_ring(part) for part in coordinates.of(geometry)), key=_area)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return None


def _ring(polygon: Any) -> NDArray[np.float32]:
    """Outer ring of a polygon as (row, column)."""
    points = np.array(polygon[0], np.float64)
    with np.errstate(over="ignore"):
        return points[:, 1::-1].astype(np.float32)


def _area(ring: NDArray[np.float32]) -> float:
    row, column = (ring - ring[0]).astype(np.float64).T
    return abs(float(np.dot(row, np.roll(column, -1)) - np.dot(column, np.roll(row, -1))))


def _id(feature: dict[str, Any], properties: dict[str, Any]) -> int | None:
    given = feature.get("id")
    ours = _OUR_UUID.fullmatch(given) if isinstance(given, str) else None
    if ours:
        return int(ours[1], 16)
    for value in (properties.get("cell_id"), given):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_ID:
            return value
        match = _CELL_ID.fullmatch(value) if isinstance(value, str) else None
        if match and int(match[1]) <= LARGEST_ID:
            return int(match[1])
    return None


def _score(properties: dict[str, Any]) -> float:
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
            if isinstance(value, int | float) and math.isfinite(value):
                return float(value)
    return 1.0


def _source(properties: dict[str, Any]) -> Source:
    metadata = properties.get("metadata")
    name = metadata.get("prts_source") if isinstance(metadata, dict) else None
    return _SOURCES.get(name, Source.IMPORTED) if isinstance(name, str) else Source.IMPORTED
