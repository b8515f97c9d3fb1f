"""Nuclei as GeoParquet: the quickest and smallest file, read by geopandas and GIS programs.

Polygons are well-known binary in (x, y), level-0 pixels, without a coordinate reference
system. The format does not say where a pixel's coordinates count from; our files say so
in the member ``"prts_table"`` (``"origin": "centre"``: the centre of the first pixel is
(0, 0)), so that geometries are the very vertices. Files of others are taken to count
from there as well, unless they say ``"corner"`` in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.files import written_aside
from napari_prts.nuclei.formats.found import Outlines, whole_ids
from napari_prts.nuclei.formats.geojson import plain
from napari_prts.nuclei.formats.geometries import Rings, outer_rings
from napari_prts.nuclei.formats.numbers_text import from_centre
from napari_prts.nuclei.formats.report import Finding, Problem
from napari_prts.nuclei.formats.wkb import decoded, encoded
from napari_prts.nuclei.ragged import offsets_of
from napari_prts.nuclei.table import LARGEST_ID, Nuclei, Source

FORMAT = 1
_AT_ONCE = 100_000
_GEO, _TABLE, _PROVENANCE = b"geo", b"prts_table", b"prts"
_ID_NAMES = ("id", "cell_id", "nucleus_id", "label", "location_id", "__index_level_0__")
_SCORE_NAMES = ("score", "Detection probability")


def write_geoparquet(
    nuclei: Nuclei, path: Path | str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write nuclei as GeoParquet 1.1 with the columns id, score, source and geometry.

    Reading the file back gives the same vertices, ids, scores and sources, bit for bit.

    Parameters
    ----------
    nuclei : Nuclei
        What to write.
    path : path
        The file; written aside and moved into place.
    provenance : mapping, optional
        Where the nuclei come from; goes into the file's metadata under ``"prts"``.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("score", pa.float32(), nullable=False),
            pa.field("source", pa.string(), nullable=False),
            pa.field("geometry", pa.binary(), nullable=False),
        ],
        metadata=_metadata(nuclei, provenance),
    )
    names = pa.array([source.name.lower() for source in Source])
    with (
        written_aside(path) as aside,
        parquet.ParquetWriter(
            aside, schema, compression="zstd", use_dictionary=["source"]
        ) as writer,
    ):
        for start in range(0, len(nuclei), _AT_ONCE):
            some = nuclei.take(np.arange(start, min(start + _AT_ONCE, len(nuclei))))
            columns = [
                pa.array(some.ids.copy()),
                pa.array(some.scores.copy()),
                pa.DictionaryArray.from_arrays(some.sources.astype(np.int8), names).cast(
                    pa.string()
                ),
                _wkb_array(some),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def parquet_outlines(path: Path) -> Outlines:
    """Read what a GeoParquet file has, good or not.

    Parameters
    ----------
    path : Path
        GeoParquet with a geometry column of WKB, as :func:`write_geoparquet`, geopandas
        and spatialdata write it. Ids are in a column named id, cell_id, nucleus_id,
        label or in the index; scores in one named score.

    Raises
    ------
    NucleiError
        If the file cannot be read or has no column of polygons.
    """
    file = _opened(path)
    stated = {**(file.schema_arrow.metadata or {}), **(file.metadata.metadata or {})}
    own = _json(stated, _TABLE)
    column = _geometry_column(stated, file.schema_arrow.names, path)
    names = file.schema_arrow.names
    wanted = {
        "geometry": column,
        "id": next((name for name in _ID_NAMES if name in names), None),
        "score": next((name for name in _SCORE_NAMES if name in names), None),
        "source": "source" if own and "source" in names else None,
    }
    try:
        table = file.read([name for name in wanted.values() if name])
        given = {key: table.column(name) for key, name in wanted.items() if name}
        rings = _rings(given["geometry"])
    except Exception as error:
        raise _unreadable(path, error) from error
    start = _range_start(stated)
    if "id" not in given and start is not None:
        # pandas does not store an index of consecutive numbers, only where it starts.
        import pyarrow as pa

        given["id"] = pa.chunked_array([np.arange(start, start + len(rings.usable))])
    return _outlines(rings, given, own)


def read_provenance(path: Path) -> dict[str, Any]:
    """Read what a file says about its making, without reading the nuclei.

    Raises
    ------
    NucleiError
        If the file cannot be read.
    """
    return _json(_opened(path).schema_arrow.metadata or {}, _PROVENANCE)


def _range_start(metadata: Mapping[bytes, bytes]) -> int | None:
    for index in _json(metadata, b"pandas").get("index_columns", ()):
        if isinstance(index, dict) and index.get("name") in _ID_NAMES and index.get("step") == 1:
            return int(index["start"])
    return None


def _outlines(rings: Rings, given: dict[str, Any], own: dict[str, Any]) -> Outlines:
    keep = rings.usable
    count = len(keep)
    ids, unusable = _ids(given.get("id"), count)
    places = np.arange(1, count + 1)
    vertices = from_centre(rings.points) if own.get("origin") == "corner" else rings.points
    found = Outlines.of(
        vertices,
        rings.offsets,
        ids[keep],
        _scores(given.get("score"), count)[keep],
        _sources(given.get("source"), count)[keep],
        places=places[keep],
        place="row",
        marks=_marks(rings, unusable),
        left_out=left_out_rows(~keep, ids),
        exact=bool(own),
        next_id=int(own.get("next_id", 0)),
    )
    return found


def left_out_rows(which: NDArray[np.bool_], ids: NDArray[np.int64]) -> tuple[Finding, ...]:
    """Say which rows of a table have no polygon."""
    names = tuple(
        int(ids[row]) if ids[row] >= 0 else f"row {row + 1}" for row in np.flatnonzero(which)
    )
    return (Finding(Problem.NO_OUTLINE, names),) if names else ()


def _marks(rings: Rings, unusable: NDArray[np.bool_]) -> dict[Problem, NDArray[np.bool_]]:
    return {
        Problem.PARTS: rings.in_parts[rings.usable],
        Problem.HOLES: rings.has_holes[rings.usable],
        Problem.NO_WHOLE_ID: unusable[rings.usable],
    }


def _wkb_array(nuclei: Nuclei) -> Any:
    import pyarrow as pa

    content, places = encoded(nuclei.vertices[:, ::-1].astype(np.float64), nuclei.offsets)
    buffers = [None, pa.py_buffer(places.astype(np.int32)), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(nuclei), buffers)


def _rings(column: Any) -> Rings:
    """Outer rings of a column of well-known binary."""
    parts = [_chunk_rings(chunk) for chunk in column.chunks if len(chunk)]
    if not parts:
        return outer_rings(np.empty(0, object))
    return Rings(
        np.concatenate([part.points for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate([part.usable for part in parts]),
        np.concatenate([part.in_parts for part in parts]),
        np.concatenate([part.has_holes for part in parts]),
    )


def _chunk_rings(chunk: Any) -> Rings:
    import pyarrow as pa
    import shapely

    if chunk.type in (pa.binary(), pa.large_binary()) and not chunk.null_count:
        _, starts, content = chunk.buffers()
        kind: Any = np.int32 if chunk.type == pa.binary() else np.int64
        places = np.frombuffer(starts, kind)[chunk.offset : chunk.offset + len(chunk) + 1]
        simple = decoded(np.frombuffer(content, np.uint8), places.astype(np.int64))
        if simple is not None:
            points, offsets = simple
            no = np.zeros(len(chunk), bool)
            return Rings(points[:, ::-1], offsets, ~no, no, no)
    with np.errstate(invalid="ignore"):
        binaries = np.array(chunk.to_pylist(), object)
        return outer_rings(np.atleast_1d(shapely.from_wkb(binaries, on_invalid="ignore")))


def _metadata(nuclei: Nuclei, provenance: Mapping[str, Any] | None) -> dict[bytes, bytes]:
    geometry: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}
    if len(nuclei):
        low = nuclei.bounds[:, 1::-1].min(axis=0).tolist()
        high = nuclei.bounds[:, :1:-1].max(axis=0).tolist()
        geometry["bbox"] = [*low, *high]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    table = {"format": FORMAT, "next_id": nuclei.next_id, "origin": "centre"}
    said = {_GEO: geo, _TABLE: table}
    if provenance is not None:
        said[_PROVENANCE] = dict(provenance)
    return {
        key: json.dumps(value, default=plain, allow_nan=False).encode()
        for key, value in said.items()
    }


def _opened(path: Path) -> Any:
    from pyarrow import parquet

    if not path.is_file():
        raise NucleiError(f"There is no file {path}: check the path of the nuclei.")
    try:
        return parquet.ParquetFile(path)
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> NucleiError:
    reason = " ".join(str(error).split())
    return NucleiError(f"{path} is no Parquet file, or was cut short ({reason}): export it again.")


def _json(metadata: Mapping[bytes, bytes], key: bytes) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(key, b"{}"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _geometry_column(metadata: Mapping[bytes, bytes], names: list[str], path: Path) -> str:
    geo = _json(metadata, _GEO)
    primary = geo.get("primary_column", "geometry")
    columns = geo.get("columns")
    stated = columns.get(primary, {}) if isinstance(columns, dict) else {}
    encoding = stated.get("encoding", "WKB") if isinstance(stated, dict) else "WKB"
    if primary not in names:
        raise NucleiError(
            f"{path} has no column of polygons, only {', '.join(names) or 'none'}: save it as "
            "GeoParquet, for example with geopandas' to_parquet."
        )
    if encoding != "WKB":
        raise NucleiError(
            f"{path} has its polygons as {encoding}: save it with well-known binary, geopandas' "
            'default (geometry_encoding="WKB").'
        )
    return str(primary)


def _ids(column: Any, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    import pyarrow as pa

    if column is None:
        return whole_ids([None] * count)
    if pa.types.is_integer(column.type) and column.null_count == 0:
        ids = _numbers(column.cast(pa.int64()), np.int64)
        if ids.size and ids.min() >= 0 and ids.max() <= LARGEST_ID:
            return ids, np.zeros(count, bool)
    return whole_ids(column.to_pylist())


def _scores(column: Any, count: int) -> NDArray[np.float32]:
    if column is None:
        return np.ones(count, np.float32)
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return np.full(count, np.nan, np.float32)
    # Missing ones become NaN, which is reported.
    numbers = column.cast(pa.float64()).fill_null(np.nan)
    return _numbers(numbers, np.float64).astype(np.float32)


def _numbers(column: Any, kind: Any) -> NDArray[Any]:
    """Numbers of a column without missing ones; Arrow's own conversion imports pandas."""
    parts = [
        np.frombuffer(chunk.buffers()[1], kind)[chunk.offset : chunk.offset + len(chunk)]
        for chunk in column.chunks
        if len(chunk)
    ]
    return np.concatenate([np.zeros(0, kind), *parts])


def _sources(column: Any, count: int) -> NDArray[np.uint8]:
    import pyarrow as pa
    from pyarrow import compute

    if column is None:
        return np.full(count, Source.IMPORTED, np.uint8)
    known = pa.array([source.name.lower() for source in Source])
    places = compute.index_in(column.cast(pa.string()), value_set=known)
    return _numbers(places.fill_null(int(Source.IMPORTED)), np.int32).astype(np.uint8)
