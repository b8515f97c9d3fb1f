"""GeoJSON: our own, QuPath's and Space Ranger's."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import (
    Nuclei,
    Source,
    read_geojson,
    read_nuclei,
    read_provenance,
    write_geojson,
)
from napari_prts.nuclei.formats.numbers_text import from_centre, from_corner
from napari_prts.nuclei.formats.reading import read_nuclei_reported
from tests.nuclei.outlines import assert_same, outlines, scattered, unhurried

RING = [[10, 1], [14, 1], [14, 7], [10, 7], [10, 1]]
SMALL_RING = [[30, 30], [31, 30], [31, 31], [30, 30]]


def polygon(*rings, kind="Polygon"):
    return {"type": kind, "coordinates": list(rings)}


def feature(geometry, id_=None, **properties):
    made = {"type": "Feature", "geometry": geometry, "properties": properties}
    return made if id_ is None else {"id": id_, **made}


@pytest.fixture
def written(tmp_path):
    """Write features, or any object, into a file."""

    def write(data, name="nuclei.geojson") -> Path:
        path = tmp_path / name
        if isinstance(data, list):
            data = {"type": "FeatureCollection", "features": data}
        path.write_text(json.dumps(data))
        return path

    return write


# --- our own files


@unhurried
@given(st.data())
def test_a_file_reads_back_bit_for_bit(tmp_path, data):
    polygons = data.draw(st.lists(outlines(), min_size=1, max_size=6))
    size = {"min_size": len(polygons), "max_size": len(polygons)}
    nuclei = Nuclei.from_polygons(
        polygons,
        data.draw(st.lists(st.integers(0, 2**31 - 2), unique=True, **size)),
        data.draw(st.lists(st.floats(0, 1, width=32), **size)),
        data.draw(st.lists(st.sampled_from(Source), **size)),
    )
    path = tmp_path / "nuclei.geojson"
    write_geojson(nuclei, path)
    assert_same(read_geojson(path), nuclei)


ANY_PLACE = st.floats(-1e7, 1e7, width=32).map(lambda value: value if abs(value) > 1e-8 else 0.0)


@unhurried
@given(st.lists(st.tuples(ANY_PLACE, ANY_PLACE), min_size=3, max_size=9, unique=True))
def test_any_vertices_read_back_bit_for_bit(tmp_path, points):
    """Also those that make an outline cross itself: what we wrote is not mended."""
    try:
        nuclei = Nuclei.from_polygons([points])
    except NucleiError:
        return
    path = tmp_path / "nuclei.geojson"
    write_geojson(nuclei, path)
    assert_same(read_geojson(path), nuclei)


@given(st.lists(st.floats(-(2.0**24), 2.0**24, width=32), min_size=1))
def test_half_a_pixel_there_and_back(values):
    there = np.array(values, np.float32)
    back = from_centre(from_corner(there))
    sure = (there == 0) | (np.abs(there) > 1e-8)
    np.testing.assert_array_equal(back[sure], there[sure])
    np.testing.assert_allclose(back, there, rtol=0, atol=1e-16)


def test_coordinates_on_a_slide_have_few_decimals():
    """Short numbers make short files."""
    somewhere = np.random.default_rng(0).uniform(0, 50_000, 1000).astype(np.float32)
    assert max(len(repr(float(value))) for value in from_corner(somewhere)) <= 10


def test_files_of_format_1_counted_from_the_centre(tmp_path):
    """As this program wrote them before it minded QuPath's half pixel."""
    path = tmp_path / "nuclei.geojson"
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100))
    write_geojson(nuclei, path)
    data = json.loads(path.read_text())
    data["prts_table"]["format"] = 1
    path.write_text(json.dumps(data))
    np.testing.assert_allclose(read_geojson(path).vertices, nuclei.vertices + 0.5, atol=1e-4)
    data["prts_table"]["format"] = 99
    path.write_text(json.dumps(data))
    with pytest.raises(NucleiError, match=r"format 99.*update"):
        read_geojson(path)


def test_ids_of_removed_nuclei_do_not_come_back_after_reading(tmp_path):
    nuclei = Nuclei.from_polygons(scattered(5, 100, 100)).remove([4])
    write_geojson(nuclei, tmp_path / "n.geojson")
    assert read_geojson(tmp_path / "n.geojson").add([scattered(1, 9, 9)[0]]).ids[-1] == 5


def test_the_file_is_what_qupath_reads(tmp_path):
    path = tmp_path / "nuclei.geojson"
    nuclei = Nuclei.from_polygons(
        [[(1, 10), (1, 14), (7, 14.5), (7, 10)]], ids=[77], scores=[0.5], source=Source.STARDIST
    )
    write_geojson(nuclei, path)
    data = json.loads(path.read_text())
    assert data["type"] == "FeatureCollection"
    (found,) = data["features"]
    # QuPath counts from the corner of the first pixel, we from its centre.
    ring = [[10.5, 1.5], [14.5, 1.5], [15, 7.5], [10.5, 7.5], [10.5, 1.5]]
    assert found["type"] == "Feature"
    assert found["geometry"] == {"type": "Polygon", "coordinates": [ring]}
    assert UUID(found["id"]).int & 0xFFFFFFFF == 77
    assert found["properties"]["objectType"] == "detection"
    assert found["properties"]["classification"]["name"] == "Nucleus"
    assert found["properties"]["measurements"] == {"Detection probability": 0.5}


def test_ids_survive_a_round_trip_through_qupath(tmp_path, written):
    """QuPath keeps ids, classes and measurements, and drops members it does not know."""
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100), ids=[5, 2, 900], scores=[0.5, 0.25, 1])
    write_geojson(nuclei, tmp_path / "out.geojson")
    features = json.loads((tmp_path / "out.geojson").read_text())["features"]
    drawn = feature(
        polygon(RING),
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        objectType="annotation",
        classification={"name": "Nucleus"},
    )
    back = read_geojson(written([*features, drawn]))
    assert_same(back.take([0, 1, 2]), nuclei)
    assert back.ids[3] == 901


def test_provenance_goes_along(tmp_path):
    path = tmp_path / "nuclei.geojson"
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100))
    provenance = {"slide_fingerprint": "ab", "mpp": 0.5, "note": '\n"features": [', "n": [1, None]}
    write_geojson(nuclei, path, {**provenance, "path": Path("a"), "count": np.int64(3)})
    assert read_provenance(path) == {**provenance, "path": "a", "count": 3}
    write_geojson(nuclei, path)
    assert read_provenance(path) == {}


def test_provenance_of_a_file_that_was_formatted_anew(tmp_path):
    path = tmp_path / "nuclei.geojson"
    nuclei = Nuclei.from_polygons(scattered(3, 100, 100))
    write_geojson(nuclei, path, {"mpp": 0.5})
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2, sort_keys=True))
    assert read_provenance(path) == {"mpp": 0.5}
    assert_same(read_geojson(path), nuclei)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "nuclei.geojson"
    write_geojson(Nuclei.from_polygons(scattered(3, 100, 100)), path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_geojson(Nuclei.from_polygons(scattered(9, 100, 100)), path, {"x": object()})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["nuclei.geojson"]


# --- files of others


def test_qupath_cells_give_their_nuclei(written, caplog):
    cell = feature(
        polygon([[0, 0], [90, 0], [90, 90], [0, 0]]),
        "11111111-2222-4333-8444-555555555555",
        objectType="cell",
        measurements={"Nucleus: Area": 24, "Detection probability": 0.75},
    )
    cell["nucleusGeometry"] = polygon(RING)
    region = feature(polygon([[0, 0], [900, 0], [900, 900]]), objectType="annotation")
    with caplog.at_level(logging.WARNING):
        nuclei = read_geojson(written([region, cell]))
    assert nuclei.polygon(0).tolist() == [[0.5, 9.5], [0.5, 13.5], [6.5, 13.5], [6.5, 9.5]]
    assert nuclei.scores.tolist() == [0.75]
    assert nuclei.sources.tolist() == [Source.IMPORTED]
    assert "1 feature is no nucleus (an annotation or tile, say) and was left out" in caplog.text


def test_half_a_pixel_is_taken_off_where_qupath_counted_and_only_there(written):
    ring = [[2, 3], [6, 3], [6, 7]]
    centred = [[3, 2], [3, 6], [7, 6]]
    corner = [[2.5, 1.5], [2.5, 5.5], [6.5, 5.5]]
    for properties, expected in (
        ({"objectType": "detection"}, corner),
        ({"object_type": "annotation"}, corner),
        ({"classification": {"name": "Nucleus", "colorRGB": -256}}, corner),
        ({"cell_id": 4}, centred),
        ({"cell_id": 4, "classification": {"name": "Cluster 3"}}, centred),
        ({}, centred),
    ):
        found = read_geojson(written([feature(polygon(ring), **properties)]))
        assert found.polygon(0).tolist() == expected


def test_what_qupath_nests_and_what_the_table_cannot_hold(written):
    cell = feature(
        polygon(RING), "11111111-2222-4333-8444-555555555555", objectType="cell",
        classification={"names": ["Tumor", "Positive"], "color": [200, 0, 0]},
    )  # fmt: skip
    region = feature(polygon(RING), objectType="annotation", childObjects=[cell])
    report = read_nuclei_reported(written([region]))
    assert len(report.nuclei) == 1
    assert report.notes == (
        "Classes are not kept: Tumor: Positive (1).",
        "1 cells have no nucleus: the outline of the cell was taken instead.",
        "1 nuclei had an id of QuPath's (a UUID) and got a number instead.",
    )


def test_qupath_annotations_alone_are_nuclei(written):
    nuclei = read_geojson(
        written([feature(polygon(RING), objectType="annotation"), feature(polygon(SMALL_RING))])
    )
    assert nuclei.ids.tolist() == [0, 1]


def test_old_qupath_files(written):
    old = feature(
        polygon(RING), "PathDetectionObject",
        measurements=[{"name": "Detection probability", "value": 0.5}],
    )  # fmt: skip
    path = written({"unused": 0})
    path.write_text(json.dumps([old]))
    assert read_geojson(path).scores.tolist() == [0.5]


def test_space_ranger_keeps_cell_ids(written):
    """As Space Ranger 4 writes ``nucleus_segmentations.geojson``."""
    path = written([feature(polygon(RING), cell_id=1), feature(polygon(SMALL_RING), cell_id=3)])
    assert read_geojson(path).ids.tolist() == [1, 3]
    path = written([feature(polygon(RING), cell_id="cellid_000000012-1")])
    assert read_geojson(path).ids.tolist() == [12]
    # Its outlines follow the 2 um bins, and are in the pixels of their positions.
    stairs = [
        [1585.3, 5860.4],
        [1585.3, 5831.2],
        [1614.5, 5831.2],
        [1614.6, 5853.1],
        [1585.3, 5860.4],
    ]
    (found,) = read_geojson(written([feature(polygon(stairs), cell_id=1)])).polygons()
    np.testing.assert_array_equal(found, np.array(stairs, np.float32)[:-1, ::-1])


def test_of_a_multipolygon_the_largest_part_is_taken_and_holes_are_ignored(written):
    hole = [[11, 2], [12, 2], [12, 3], [11, 2]]
    parts = polygon([SMALL_RING], [RING, hole], kind="MultiPolygon")
    nuclei = read_geojson(written([feature(parts), feature(polygon(RING, hole))]))
    assert nuclei.areas.tolist() == [24, 24]


def test_a_third_coordinate_and_odd_spacing_are_read(written, tmp_path):
    deep = [[*point, 0] for point in RING]
    assert read_geojson(written([feature(polygon(deep))])).areas.tolist() == [24]
    path = tmp_path / "spaced.geojson"
    path.write_text(json.dumps({"features": [feature(polygon(RING))]}, indent=4))
    assert read_geojson(path).areas.tolist() == [24]


def test_outlines_that_cross_themselves_are_mended(written):
    bow_tie = [[0, 0], [10, 0], [0, 10], [10, 8], [0, 0]]
    nuclei = read_geojson(written([feature(polygon(RING)), feature(polygon(bow_tie))]))
    assert all(outline.is_valid for outline in nuclei.shapely())
    assert len(nuclei) == 2


def test_a_single_feature(written):
    assert len(read_geojson(written(feature(polygon(RING))))) == 1


# --- what is refused


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "holds no nuclei"),
        ({"type": "FeatureCollection"}, "holds no FeatureCollection"),
        ({"a": 1}, "holds no FeatureCollection"),
        (3, "holds no FeatureCollection"),
        ([feature(polygon(RING), objectType="tile")], "holds no nuclei"),
        ([feature({"type": "Point", "coordinates": [3, 4]})], r"had no polygon.*feature 0 \(no id"),
        ([feature(None)], "had no polygon"),
        ([feature(polygon())], "had no polygon"),
        ([feature(polygon([[1, 2], [3, None], [4, 5]]))], "not a number"),
        ([feature(polygon([[1, 2], [3, "x"], [4, 5]]))], "had no polygon"),
        ([feature(polygon([[1, 2], [3, 4]]), cell_id=8)], "fewer than 3 points.*: id 8"),
        ([feature(polygon([[1, 2], [3, 4], [5, 6]]), cell_id=8)], "no area.*: id 8"),
        ([feature(polygon([[1, 2], [3, float("nan")], [5, 6]]))], "not a number"),
    ],
)
def test_files_without_good_nuclei(written, data, problem):
    path = written(data)
    with pytest.raises(NucleiError, match=problem) as error:
        read_geojson(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reader", [read_geojson, read_provenance, read_nuclei])
def test_damaged_and_missing_files(tmp_path, reader):
    path = tmp_path / "nuclei.geojson"
    with pytest.raises(NucleiError, match="no file"):
        reader(path)
    write_geojson(Nuclei.from_polygons(scattered(30, 100, 100)), path, {"mpp": 1})
    whole = path.read_bytes()
    if reader is not read_provenance:
        for length in (0, 1, 40, 1000, len(whole) // 2, len(whole) - 4):
            path.write_bytes(whole[:length])
            with pytest.raises(NucleiError, match="cut short"):
                reader(path)
    path.write_bytes(b'\x89PNG "prts"\xff\x00')
    with pytest.raises(NucleiError, match="no GeoJSON"):
        reader(path)
    with pytest.raises(NucleiError, match="cannot be read"):
        reader(_folder(tmp_path / "folder.geojson"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_nuclei_outside_the_slide_are_refused_and_those_on_its_border_kept(tmp_path):
    path = tmp_path / "nuclei.geojson"
    nuclei = Nuclei.from_polygons([[(90, 90), (90, 110), (110, 100)], [(5, 5), (5, 9), (9, 9)]])
    write_geojson(nuclei, path)
    assert len(read_geojson(path, (100, 100))) == 2
    with pytest.raises(NucleiError, match=r"1 of 2 nuclei.*80 x 100.*such as 0.*another slide"):
        read_geojson(path, (80, 100))


def test_reading_by_ending(tmp_path):
    with pytest.raises(NucleiError, match="nuclei are read from GeoJSON"):
        read_nuclei(tmp_path / "nuclei.docx")
    write_geojson(Nuclei.from_polygons(scattered(3, 100, 100)), tmp_path / "nuclei.json")
    assert len(read_nuclei(tmp_path / "nuclei.json", (100, 100))) == 3
