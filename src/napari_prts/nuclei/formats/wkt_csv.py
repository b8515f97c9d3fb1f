"""Nuclei as a table of WKT polygons, as the authors of PRTS keep them.

One row a nucleus, with a column of texts such as ``POLYGON ((10 1, 14 1, 14 7, 10 1))`` in
(x, y), level-0 pixels. Nothing in such a file says where coordinates count from: they are
taken, and written, with the centre of the first pixel at (0, 0), as StarDist gives them.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.files import written_aside
from napari_prts.nuclei.formats.found import Outlines, whole_ids
from napari_prts.nuclei.formats.geometries import outer_rings
from napari_prts.nuclei.formats.geoparquet import left_out_rows
from napari_prts.nuclei.formats.numbers_text import ring_texts
from napari_prts.nuclei.formats.report import Problem
from napari_prts.nuclei.table import Nuclei, Source

_AT_ONCE = 50_000
_GEOMETRY_NAMES = ("geometry", "wkt", "polygon", "nucleus_polygon", "geom")
_ID_NAMES = ("id", "cell_id", "nucleus_id", "cell", "label", "", "unnamed: 0", "index")
_SCORE_NAMES = ("score", "prob", "probability")
_STARTS = ("POLYGON", "MULTIPOLYGON")
_SEPARATORS = ",;\t|"
# Rows in which the column of polygons is looked for.
_TRIED = 20


def write_wkt_csv(nuclei: Nuclei, path: Path | str) -> None:
    """Write nuclei as a table with the columns id, score, source and geometry.

    Reading the file back gives the same vertices, ids, scores and sources, bit for bit,
    save that outlines which cross themselves are mended then: the file does not say
    whose it is. It does not hold provenance either.

    Parameters
    ----------
    nuclei : Nuclei
        What to write.
    path : path
        ``.csv``, or ``.tsv`` for tabulators; written aside and moved into place.
    """
    mark = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    names = [source.name.lower() for source in Source]
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(mark.join(["id", "score", "source", "geometry"]) + "\n")
        for start in range(0, len(nuclei), _AT_ONCE):
            some = nuclei.take(np.arange(start, min(start + _AT_ONCE, len(nuclei))))
            rings = ring_texts(some.vertices[:, ::-1], some.offsets, (b" ", b", "))
            scores = [str(score) for score in some.scores]
            file.writelines(
                f'{id_}{mark}{score}{mark}{names[source]}{mark}"POLYGON (({ring}))"\n'
                for id_, score, source, ring in zip(
                    some.ids.tolist(), scores, some.sources.tolist(), rings, strict=True
                )
            )


def csv_outlines(path: Path) -> Outlines:
    """Read what a table of WKT polygons has, good or not.

    The column of polygons is known by its content. Ids are in a column named id,
    cell_id, nucleus_id, cell, label or without a name (the index that pandas writes);
    scores in one named score or prob.

    Raises
    ------
    NucleiError
        If the file cannot be read or no column holds WKT polygons.
    """
    import shapely

    mark, header, rows = _beginning(path)
    column = _polygon_column(header, rows, path)
    table = _table(path, mark, len(header))
    with np.errstate(invalid="ignore"):
        geometries = shapely.from_wkt(np.array(table[column], object), on_invalid="ignore")
    rings = outer_rings(np.atleast_1d(geometries))
    given = {name.strip().lower(): values for name, values in zip(header, table, strict=True)}
    count = len(rings.usable)
    ids, unusable = whole_ids(_column(given, _ID_NAMES, [None] * count))
    keep = rings.usable
    return Outlines.of(
        rings.points,
        rings.offsets,
        ids[keep],
        _scores(_column(given, _SCORE_NAMES, [None] * count))[keep],
        _sources(_column(given, ("source",), [None] * count))[keep],
        places=np.arange(1, count + 1)[keep],
        place="row",
        marks={
            Problem.PARTS: rings.in_parts[keep],
            Problem.HOLES: rings.has_holes[keep],
            Problem.NO_WHOLE_ID: unusable[keep],
        },
        left_out=left_out_rows(~keep, ids),
    )


def _beginning(path: Path) -> tuple[str, list[str], list[list[str]]]:
    """Separator, header and first rows."""
    # Outlines of large regions are longer than the csv module allows by default.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            # Before the first bracket: further on there are the commas of polygons.
            mark = max(_SEPARATORS, key=first.partition("(")[0].count)
            file.seek(0)
            lines = csv.reader(file, delimiter=mark)
            rows = [row for _, row in zip(range(_TRIED + 1), lines, strict=False)]
    except FileNotFoundError:
        raise NucleiError(f"There is no file {path}: check the path of the nuclei.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise NucleiError(f"{path} cannot be read as a table ({error}): export it again.") from None
    return (mark, rows[0], rows[1:]) if rows else (mark, [], [])


def _polygon_column(header: list[str], rows: list[list[str]], path: Path) -> int:
    columns = [sum(_is_wkt(row[i]) for row in rows if i < len(row)) for i, _ in enumerate(header)]
    named = [name.strip().lower() in _GEOMETRY_NAMES for name in header]
    best = max(range(len(header)), key=lambda i: (columns[i], named[i]), default=-1)
    if best < 0 or not columns[best]:
        raise NucleiError(
            f"{path} has no column of polygons: nuclei in a table are texts such as "
            '"POLYGON ((10 1, 14 1, 14 7, 10 1))", one a row, below a line of column names. Its '
            f"columns are {', '.join(header) or 'none'}."
        )
    return best


def _is_wkt(text: str) -> bool:
    return text.strip().upper().startswith(_STARTS)


def _table(path: Path, mark: str, width: int) -> list[NDArray[Any]]:
    """All columns as texts."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(i) for i in range(width)]
    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=1, block_size=2**26),
            arrow_csv.ParseOptions(delimiter=mark, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types={name: pa.large_string() for name in names}, strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise NucleiError(
            f"{path} cannot be read as a table, or was cut short ({reason[:300]}): export it again."
        ) from error
    return [np.array(table.column(name).to_pylist(), object) for name in names]


def _column(given: dict[str, Any], names: tuple[str, ...], instead: Any) -> Any:
    return next((given[name] for name in names if name in given), instead)


def _scores(values: Any) -> NDArray[np.float32]:
    return np.array([_score(value) for value in values], np.float32)


def _score(value: str | None) -> float:
    if value is None or not value.strip():
        return 1.0
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _sources(values: Any) -> NDArray[np.uint8]:
    known = {source.name.lower(): source for source in Source}
    return np.array([known.get(value, Source.IMPORTED) for value in values], np.uint8)
