"""Nuclei in and out of every format, and what is told of those that are not as they should be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei, Source, rasterise
from napari_prts.nuclei.formats.reading import read_nuclei, read_nuclei_reported, read_provenance
from napari_prts.nuclei.formats.report import Problem
from napari_prts.nuclei.formats.writing import write_nuclei
from tests.nuclei.outlines import assert_same, circle, outlines, scattered, unhurried

SLIDE = (400, 500)


@st.composite
def tables(draw, largest=20_000):
    polygons = draw(st.lists(outlines(largest), min_size=1, max_size=6))
    size = {"min_size": len(polygons), "max_size": len(polygons)}
    return Nuclei.from_polygons(
        polygons,
        draw(st.lists(st.integers(0, 2**31 - 3), unique=True, **size)),
        draw(st.lists(st.floats(0, 1, width=32), **size)),
        draw(st.lists(st.sampled_from(Source), **size)),
    )


# --- polygons: the very same comes back


@unhurried
@given(nuclei=tables())
@pytest.mark.parametrize("name", ["n.geojson", "n.json", "n.parquet", "n.csv", "n.tsv"])
def test_polygons_read_back_bit_for_bit(tmp_path, name, nuclei):
    """Ids, scores, sources and vertices, for any slide and so for any mpp."""
    write_nuclei(nuclei, tmp_path / name)
    report = read_nuclei_reported(tmp_path / name)
    if not name.endswith("sv") or all(outline.is_valid for outline in nuclei.shapely()):
        assert_same(report.nuclei, nuclei)
        assert report.sentences() == ()


@unhurried
@given(nuclei=tables())
def test_from_one_format_to_all_others_and_back(tmp_path, nuclei):
    before = nuclei
    for name in ("a.geojson", "b.parquet", "c.geojson"):
        write_nuclei(before, tmp_path / name)
        before = read_nuclei(tmp_path / name)
    assert_same(before, nuclei)


@pytest.mark.parametrize("name", ["n.geojson", "n.parquet", "n.tif", "n.zarr"])
def test_provenance_goes_along(tmp_path, name):
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100))
    made = {"mpp": 0.5, "model": "he-open", "count": np.int64(3)}
    write_nuclei(nuclei, tmp_path / name, made, (100, 100))
    assert read_provenance(tmp_path / name) == {"mpp": 0.5, "model": "he-open", "count": 3}


@pytest.mark.parametrize("name", ["n.csv", "n.npy"])
def test_formats_without_room_for_provenance_say_so(tmp_path, name):
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100))
    assert "provenance" in " ".join(write_nuclei(nuclei, tmp_path / name, {"mpp": 1}, (100, 100)))
    assert read_provenance(tmp_path / name) == {}


def test_ids_of_removed_nuclei_do_not_come_back(tmp_path):
    nuclei = Nuclei.from_polygons(scattered(5, 100, 100)).remove([4])
    write_nuclei(nuclei, tmp_path / "n.parquet")
    assert read_nuclei(tmp_path / "n.parquet").next_id == 5


def test_nothing_reads_and_writes_unknown_endings(tmp_path):
    with pytest.raises(NucleiError, match=r"written as \.geojson"):
        write_nuclei(Nuclei.empty(), tmp_path / "n.docx")
    with pytest.raises(NucleiError, match="slide's shape"):
        write_nuclei(Nuclei.empty(), tmp_path / "n.tif")


# --- invalid outlines: mended or left out, and said


SQUARE = [(10, 10), (10, 20), (20, 20), (20, 10)]
BOW_TIE = [(30, 30), (40, 40), (30, 40), (38, 30)]
NO_NUMBER = [(50, 50), (float("nan"), 60), (60, 60)]
POINTS = [(70, 70), (75, 70)]
LINE = [(80, 80), (85, 85), (90, 90)]
OVER_BORDER = [(390, 100), (410, 100), (410, 110), (390, 110)]
BEYOND = [(900, 900), (900, 910), (910, 910)]


def wkt(points) -> str:
    return "POLYGON ((" + ", ".join(f"{x} {y}" for y, x in [*points, points[0]]) + "))"


def ring(points) -> list[list[float]]:
    return [[x, y] for y, x in [*points, points[0]]]


BAD = {
    3: SQUARE,
    4: BOW_TIE,
    5: NO_NUMBER,
    6: POINTS,
    7: LINE,
    8: OVER_BORDER,
    9: BEYOND,
    10: SQUARE,
}


def bad_geojson(path):
    features = [
        {
            "type": "Feature",
            "properties": {"cell_id": id_},
            "geometry": {"type": "Polygon", "coordinates": [ring(points)]},
        }
        for id_, points in [*BAD.items(), (3, SQUARE)]
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def bad_csv(path):
    rows = [f'{id_},"{wkt(points)}"' for id_, points in [*BAD.items(), (3, SQUARE)]]
    path.write_text("cell_id,nucleus\n" + "\n".join(rows))


@pytest.mark.parametrize(("name", "write"), [("n.geojson", bad_geojson), ("n.csv", bad_csv)])
def test_each_invalid_outline_is_reported_with_its_id(tmp_path, name, write):
    write(tmp_path / name)
    report = read_nuclei_reported(tmp_path / name, SLIDE)
    assert report.nuclei.ids.tolist() == [3, 4, 8, 10, 11]
    assert {finding.problem: finding.ids for finding in report.left_out} == {
        Problem.FEW_POINTS: (6,),
        Problem.NO_NUMBERS: (5,),
        Problem.OUTSIDE: (9,),
        Problem.NO_AREA: (7,),
    }
    assert {finding.problem: finding.ids for finding in report.repaired} == {
        Problem.CROSSED: (4,),
        Problem.CUT: (8,),
        Problem.SAME_ID: ("3 (now 11)",),
    }
    said = report.sentences()
    assert "1 outline crossed itself and was mended: id 4." in said
    assert "1 outline had the id of another and got a new one: id 3 (now 11)." in said
    cut = report.nuclei.polygon(2)
    assert cut[:, 0].max() == 399.5
    assert all(outline.is_valid for outline in report.nuclei.shapely())


def test_sentences_name_twenty_and_count_the_rest(tmp_path):
    rows = [f'"{wkt(SQUARE)}"', *[f'"{wkt(LINE)}"'] * 30]
    (tmp_path / "n.csv").write_text("geometry\n" + "\n".join(rows))
    report = read_nuclei_reported(tmp_path / "n.csv")
    (said,) = report.sentences()
    assert said.startswith("30 outlines have no area and were left out: row 2, row 3, ")
    assert said.endswith("row 21 and 10 more.")
    assert len(report.left_out[0].ids) == 30


def test_a_file_with_nothing_usable_is_refused(tmp_path):
    (tmp_path / "n.csv").write_text(f'id,wkt\n7,"{wkt(LINE)}"\n8,"POINT (1 2)"\n')
    with pytest.raises(NucleiError, match=r"n\.csv holds no nuclei that can be used.*8.*id 7"):
        read_nuclei(tmp_path / "n.csv")


def test_read_nuclei_logs_what_it_does_not_return(tmp_path, caplog):
    bad_csv(tmp_path / "n.csv")
    assert len(read_nuclei(tmp_path / "n.csv", SLIDE)) == 5
    assert "1 outline lies outside the slide and was left out: id 9." in caplog.text


# --- GeoParquet


def test_geoparquet_metadata(tmp_path):
    """As https://geoparquet.org has it, version 1.1."""
    from pyarrow import parquet

    nuclei = Nuclei.from_polygons([SQUARE], ids=[7], scores=[0.5], source=Source.EDITED)
    write_nuclei(nuclei, tmp_path / "n.parquet")
    table = parquet.read_table(tmp_path / "n.parquet")
    assert table.column_names == ["id", "score", "source", "geometry"]
    assert table.column("source").to_pylist() == ["edited"]
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    assert geo["columns"]["geometry"] == {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "crs": None,
        "bbox": [10, 10, 20, 20],
    }


def foreign_parquet(path, geometries, metadata=None, **columns):
    import pyarrow as pa
    import shapely
    from pyarrow import parquet

    content = [None if each is None else shapely.to_wkb(each) for each in geometries]
    table = pa.table({**columns, "shape": pa.array(content, pa.binary())})
    geo = {"version": "1.0.0", "primary_column": "shape", "columns": {"shape": {"encoding": "WKB"}}}
    parquet.write_table(
        table.replace_schema_metadata({"geo": json.dumps({**geo, **(metadata or {})})}), path
    )


def test_geoparquet_of_others(tmp_path):
    import shapely

    square = shapely.box(10, 10, 20, 30)
    ring = shapely.Polygon(square.exterior.coords, [shapely.box(12, 12, 14, 14).exterior.coords])
    parts = shapely.MultiPolygon([square, shapely.box(40, 40, 42, 42)])
    path = tmp_path / "n.parquet"
    foreign_parquet(path, [square, ring, parts, None], cell_id=["cell-a", "2", "3", "4"])
    report = read_nuclei_reported(path)
    assert report.nuclei.areas.tolist() == [200, 200, 200]
    assert report.nuclei.ids.tolist() == [4, 2, 3]
    assert [(f.problem, f.ids) for f in (*report.left_out, *report.repaired)] == [
        (Problem.NO_OUTLINE, (4,)),
        (Problem.PARTS, (3,)),
        (Problem.HOLES, (2,)),
        (Problem.NO_WHOLE_ID, (4,)),
    ]


def test_parquet_without_polygons(tmp_path):
    path = tmp_path / "n.parquet"
    foreign_parquet(path, [], {"columns": {"shape": {"encoding": "polygon"}}})
    with pytest.raises(NucleiError, match="well-known binary"):
        read_nuclei(path)
    foreign_parquet(path, [], {"primary_column": "geometry"})
    with pytest.raises(NucleiError, match="no column of polygons"):
        read_nuclei(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(NucleiError, match="cut short"):
        read_nuclei(path)
    with pytest.raises(NucleiError, match="no file"):
        read_nuclei(tmp_path / "other.parquet")


def test_polygons_of_many_lengths_through_shapely_and_without(tmp_path):
    """Rings are written and read in bulk; shapely reads the same."""
    import shapely
    from pyarrow import parquet

    nuclei = Nuclei.from_polygons([circle(50, 50 + n, 9, 3 + n % 5) for n in range(40)])
    write_nuclei(nuclei, tmp_path / "n.parquet")
    content = parquet.read_table(tmp_path / "n.parquet").column("geometry").to_pylist()
    assert shapely.equals_exact(shapely.from_wkb(content), nuclei.shapely()).all()
    # With one geometry of another kind among them, shapely reads them all.
    foreign_parquet(tmp_path / "f.parquet", [*nuclei.shapely(), shapely.Point(3, 4)])
    report = read_nuclei_reported(tmp_path / "f.parquet")
    np.testing.assert_array_equal(report.nuclei.vertices, nuclei.vertices)
    assert report.left_out[0].ids == ("row 41",)


def test_an_index_that_pandas_did_not_store(tmp_path):
    from pyarrow import parquet

    write_nuclei(Nuclei.from_polygons([SQUARE, SQUARE]), tmp_path / "n.parquet")
    geometry = parquet.read_table(tmp_path / "n.parquet").select(["geometry"])
    index = {"kind": "range", "name": "cell_id", "start": 7, "stop": 9, "step": 1}
    said = {"pandas": json.dumps({"index_columns": [index]})}
    parquet.write_table(geometry.replace_schema_metadata(said), tmp_path / "n.parquet")
    assert read_nuclei(tmp_path / "n.parquet").ids.tolist() == [7, 8]


# --- WKT


@pytest.mark.parametrize("header", [",polygon", "cell_id,geometry", "id,anything"])
def test_the_column_of_polygons_is_known_by_its_content(tmp_path, header):
    rows = f'12,"{wkt(SQUARE)}"\n14,"{wkt(circle(50, 60, 8).tolist())}"\n'
    (tmp_path / "n.csv").write_text(f"{header}\n{rows}")
    nuclei = read_nuclei(tmp_path / "n.csv")
    assert nuclei.ids.tolist() == [12, 14]
    assert nuclei.polygon(0).tolist() == [list(map(float, point)) for point in SQUARE]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators(tmp_path, mark):
    (tmp_path / "n.csv").write_text(f"area{mark}wkt{mark}label\n100{mark}{wkt(SQUARE)}{mark}5\n")
    assert read_nuclei(tmp_path / "n.csv").ids.tolist() == [5]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "a,b\n", "\xff\xfe\x00"])
def test_tables_without_polygons(tmp_path, text):
    (tmp_path / "n.csv").write_text(text, encoding="latin1")
    with pytest.raises(NucleiError, match=r"n\.csv"):
        read_nuclei(tmp_path / "n.csv")


# --- drawn again, all formats cover the same pixels


@pytest.mark.parametrize("name", ["n.geojson", "n.parquet", "n.csv", "n.tif", "n.zarr", "n.npy"])
def test_the_same_pixels_come_back(tmp_path, name):
    nuclei = Nuclei.from_polygons(
        [circle(20.3, 30.7, 9), circle(60.9, 41.2, 7), circle(100, 100, 12)], ids=[4, 9, 2]
    )
    write_nuclei(nuclei, tmp_path / name, slide_shape=SLIDE)
    again = read_nuclei(tmp_path / name, SLIDE)
    np.testing.assert_array_equal(
        rasterise(again, *SLIDE, values=again.ids), rasterise(nuclei, *SLIDE, values=nuclei.ids)
    )
