"""Lists of genes: from files, remembered, and written as the slide's tables write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_prts.analysis.broad_types import MARKERS
from napari_prts.errors import ExpressionError
from napari_prts.widgets.explore._gene_lists import (
    ALL,
    BEST,
    FAVOURITES,
    LOADED,
    MARKER,
    GeneLists,
    written_as,
)
from napari_prts.widgets.explore._gene_lists_files import read_gene_lists
from napari_prts.widgets.explore._gene_lists_memory import GeneMemory

MOUSE = ["Apoe", "Gfap", "Aqp4", "mt-Co1", "Krt5"]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding)
    return path


# Files


def test_one_gene_a_line_is_named_as_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "layers.txt", "# cortex\nReln\n\nRorb\tlayer 4\nReln\nFezf2, deep\n")
    assert read_gene_lists(file) == {"layers": ("Reln", "Rorb", "Fezf2")}


def test_a_spreadsheets_text_is_read_too(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.csv", '"EPCAM",1\n"KRT5",2\n', "utf-8-sig")
    assert read_gene_lists(file) == {"mine": ("EPCAM", "KRT5")}


def test_gmt_holds_many_lists(tmp_path: Path) -> None:
    file = write(tmp_path / "h.gmt", "HYPOXIA\thttp://x\tVEGFA\tCA9\nEMT\tna\tVIM\t\n")
    assert read_gene_lists(file) == {"HYPOXIA": ("VEGFA", "CA9"), "EMT": ("VIM",)}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b"# nothing\n\n", "holds no genes"),
        ("broken.gmt", b"HYPOXIA\tVEGFA\n", "Line 1 of"),
        ("picture.txt", b"\x89PNG\xff\xfe", "is no text"),
    ],
)
def test_what_is_no_list_is_said_to_be_none(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ExpressionError, match=says):
        read_gene_lists(tmp_path / name)
    with pytest.raises(ExpressionError, match="cannot be read"):
        read_gene_lists(tmp_path / "gone.txt")


# Names


def test_lists_are_written_as_the_tables_are() -> None:
    assert written_as(["APOE", "gfap", "RBFOX3"], MOUSE) == ["Apoe", "Gfap", "Rbfox3"]
    assert written_as(["Apoe", "EPCAM"], ["APOE", "KRT5"]) == ["APOE", "EPCAM"]
    assert written_as(["APOE", "Apoe"], MOUSE) == ["Apoe"], "once"


# Memory


def test_favourites_are_remembered_on_all_slides(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "genes.json"
    assert GeneMemory(file).favourites == ()
    assert GeneMemory(file).toggle("EPCAM")
    assert GeneMemory(file).toggle("KRT5")
    assert GeneMemory(file).favourites == ("EPCAM", "KRT5")
    # The mouse's gene is the same favourite.
    assert not GeneMemory(file).toggle("Epcam")
    assert GeneMemory(file).favourites == ("KRT5",)


def test_loaded_lists_stay_beside_favourites(tmp_path: Path) -> None:
    file = tmp_path / "genes.json"
    GeneMemory(file).toggle("EPCAM")
    GeneMemory(file).keep({"mine": ("KRT5",), "yours": ("CD3E",)})
    GeneMemory(file).keep({"mine": ("KRT14",)})
    GeneMemory(file).forget("yours")
    memory = GeneMemory(file)
    assert memory.lists == {"mine": ("KRT14",)}
    assert memory.favourites == ("EPCAM",)


@pytest.mark.parametrize("text", ["", "[]", '{"favourites": "EPCAM", "lists": {}}', "{"])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    memory = GeneMemory(write(tmp_path / "genes.json", text))
    assert memory.favourites == ()
    memory.toggle("KRT5")
    assert memory.favourites == ("KRT5",)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExpressionError, match=r"genes.json .*NAPARI_PRTS_DATA"):
        GeneMemory(tmp_path / "file" / "genes.json").toggle("KRT5")


# Choosing


@pytest.fixture
def lists(tmp_path: Path, qtbot: QtBot) -> GeneLists:
    made = GeneLists(GeneMemory(tmp_path / "genes.json"))
    qtbot.addWidget(made)
    return made


def test_each_list_gives_its_genes(lists: GeneLists) -> None:
    lists.toggle("GFAP")
    scores = {"Apoe": 0.2, "Krt5": 0.7}
    wanted = {
        ALL: MOUSE,
        FAVOURITES: ["Gfap"],
        BEST: ["Krt5", "Apoe"],
    }
    for kind, genes in wanted.items():
        lists.choose(kind)
        assert lists.names(MOUSE, scores) == genes
    lists.choose(MARKER, "astrocyte")
    assert lists.names(MOUSE, scores)[:2] == ["Gfap", "Aqp4"]
    assert len(lists.names(MOUSE, scores)) == len(MARKERS["astrocyte"])


def test_a_loaded_list_is_chosen_and_can_be_forgotten(
    lists: GeneLists, tmp_path: Path, qtbot: QtBot
) -> None:
    assert not lists.forget_action.isEnabled()
    with qtbot.waitSignal(lists.changed):
        lists.load(write(tmp_path / "mine.txt", "apoe\nKrt5\nXist\n"))
    assert lists.chosen == (LOADED, "mine")
    assert lists.names(MOUSE, {}) == ["Apoe", "Krt5", "Xist"]
    # Another window has it from the start.
    other = GeneLists(GeneMemory(tmp_path / "genes.json"))
    qtbot.addWidget(other)
    other.choose(LOADED, "mine")
    assert other.chosen == (LOADED, "mine")
    lists.forget_action.trigger()
    assert lists.chosen == (ALL, "")
    assert "mine" not in lists.memory.lists
