"""Which slides a user means, and what their folders are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_prts.cohort import list_slides
from napari_prts.cohort.listing import Listing
from napari_prts.cohort.record import SlideRecord
from napari_prts.errors import PrtsError


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """``one/x.svs``, ``one/y.ome.tif``, ``two/x.svs`` and things that are no slides."""
    for name in ("one/x.svs", "one/y.ome.tif", "one/notes.txt", "one/.hidden.svs", "two/x.svs"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "one" / "z.zarr").mkdir()
    (tmp_path / "one" / "z.zarr" / "zarr.json").touch()
    return tmp_path


def names(listing: Listing) -> list[str]:
    return [entry.name for entry in listing.slides]


def test_a_folder_stands_for_the_slides_in_it(scans: Path) -> None:
    assert names(list_slides([str(scans / "one")], scans / "out")) == ["x", "y", "z"]


def test_a_slide_that_is_a_folder_is_one_slide(scans: Path) -> None:
    assert names(list_slides([str(scans / "one" / "z.zarr")], scans / "out")) == ["z"]


def test_a_pattern_stands_for_what_matches(scans: Path) -> None:
    listing = list_slides([str(scans / "**" / "*.svs")], scans / "out")
    assert [Path(entry.path).parent.name for entry in listing.slides] == ["one", "two"]
    with pytest.raises(PrtsError, match=r"No file matches .*\*\.ndpi"):
        list_slides([str(scans / "*.ndpi")], scans / "out")


def test_names_that_collide_are_told_apart(scans: Path) -> None:
    sources = [str(scans / "one"), str(scans / "two")]
    assert names(list_slides(sources, scans / "out")) == ["x", "y", "z", "x-2"]


def test_a_slide_keeps_its_name_whatever_is_listed_beside_it(scans: Path) -> None:
    out, first, second = scans / "out", str(scans / "one" / "x.svs"), str(scans / "two" / "x.svs")
    (out / "x").mkdir(parents=True)
    SlideRecord(second).write(out / "x")
    assert names(list_slides([first, second], out)) == ["x-2", "x"]


def test_a_slide_with_other_nuclei_is_done_in_its_folder(scans: Path) -> None:
    out, slide = scans / "out", str(scans / "one" / "x.svs")
    (out / "mine").mkdir(parents=True)
    SlideRecord(slide, nuclei="/before.geojson").write(out / "mine")
    table = scans / "cohort.csv"
    table.write_text(f"slide,nuclei\n{slide},now.geojson\n")
    assert names(list_slides([str(table)], out)) == ["mine"]
    # Both at once are two.
    table.write_text(f"slide,nuclei\n{slide},now.geojson\n{slide},/before.geojson\n")
    assert names(list_slides([str(table)], out)) == ["x", "mine"]


def test_a_slide_that_was_moved_keeps_its_name(scans: Path) -> None:
    out = scans / "out"
    (out / "x-7").mkdir(parents=True)
    SlideRecord("/old/drive/x.svs").write(out / "x-7")
    assert names(list_slides([str(scans / "one" / "x.svs")], out)) == ["x-7"]


def test_a_slide_named_twice_is_done_once(scans: Path) -> None:
    path = str(scans / "one" / "x.svs")
    listing = list_slides([path, path], scans / "out")
    assert (names(listing), len(listing.notes)) == (["x"], 1)


def test_a_slide_that_is_not_there_is_left_to_fail(scans: Path) -> None:
    listing = list_slides([str(scans / "one"), "/gone.svs"], scans / "out")
    assert names(listing)[-1] == "gone"
    assert "1 of 4 slides do not exist: /gone.svs" in listing.notes[0]
    with pytest.raises(PrtsError, match=r"/gone\.svs does not exist"):
        list_slides(["/gone.svs"], scans / "out")


@pytest.mark.parametrize("comma", [",", ";"])
def test_a_table_says_what_files_do_not(scans: Path, comma: str) -> None:
    table = scans / "cohort.csv"
    lines = [
        ("slide", "name", "mpp", "nuclei", "measured", "patient"),
        ("one/x.svs", "", "0.25", "", "", "P1"),
        ("two/x.svs", "later: P1", "", "n.geojson", "hd", "P1"),
        ("", "", "", "", "", ""),
    ]
    # As spreadsheets write it: with a mark at its beginning.
    table.write_text("\n".join(comma.join(line) for line in lines), encoding="utf-8-sig")
    listing = list_slides([str(table)], scans / "out", mpp=0.5)
    first, second = listing.slides
    assert (first.name, first.mpp, first.nuclei, first.measured) == ("x", 0.25, None, None)
    assert (second.name, second.mpp) == ("later_P1", 0.5)
    assert (second.nuclei, second.measured) == (str(scans / "n.geojson"), str(scans / "hd"))
    assert listing.notes == ("cohort.csv: the columns patient are not used.",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'slide'"),
        ("file\nx.svs\n", "no column 'slide'"),
        ("slide\n", "names no slide"),
        ("slide,mpp\nx.svs,quarter\n", "line 2: mpp is 'quarter'"),
        ("slide,mpp\nx.svs,-1\n", "line 2: mpp is '-1'"),
        ("slide,mpp\nx.svs,\n,0.5\n", "line 3: the slide is missing"),
        ("slide,name\nx.svs,a\ny.svs,a\n", "Two slides are named 'a'"),
    ],
)
def test_tables_that_cannot_be_used(scans: Path, text: str, says: str) -> None:
    table = scans / "cohort.csv"
    table.write_text(text)
    with pytest.raises(PrtsError, match=says):
        list_slides([str(table)], scans / "out")


def test_a_folder_without_slides_and_an_impossible_mpp(scans: Path) -> None:
    empty = scans / "empty"
    empty.mkdir()
    with pytest.raises(PrtsError, match="holds no slides"):
        list_slides([str(empty)], scans / "out")
    with pytest.raises(PrtsError, match="mpp is -1"):
        list_slides([str(scans / "one")], scans / "out", mpp=-1)
