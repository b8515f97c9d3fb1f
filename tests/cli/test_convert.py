"""The command that brings nuclei from one format into another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_prts.nuclei import Nuclei, Source
from napari_prts.nuclei.formats.reading import read_nuclei, read_provenance
from napari_prts.nuclei.formats.writing import write_nuclei
from tests.cli.running import fail, succeed, write_slide
from tests.nuclei.outlines import assert_same, circle

SLIDE = (400, 300)


@pytest.fixture
def nuclei(tmp_path: Path) -> Path:
    found = Nuclei.from_polygons(
        [circle(50, 60, 8), circle(200, 150, 9)], [4, 9], [0.5, 0.25], Source.STARDIST
    )
    path = tmp_path / "nuclei.geojson"
    write_nuclei(found, path, {"mpp": 0.25})
    return path


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "slide.tif", np.full((*SLIDE, 3), 240, np.uint8))


@pytest.mark.parametrize("name", ["n.parquet", "n.csv", "n.json"])
def test_polygons_into_other_polygons(nuclei: Path, tmp_path: Path, name: str) -> None:
    said = succeed("convert", nuclei, "-o", tmp_path / name)
    assert f"{name}: 2 nuclei in" in said.stdout
    assert_same(read_nuclei(tmp_path / name), read_nuclei(nuclei))
    assert ("provenance" in said.stderr) == (name == "n.csv")
    if name != "n.csv":
        assert read_provenance(tmp_path / name) == {"mpp": 0.25}


@pytest.mark.parametrize("name", ["n.tif", "n.zarr", "n.npy"])
def test_labels_need_the_slide(nuclei: Path, slide: Path, tmp_path: Path, name: str) -> None:
    assert "--slide" in fail("convert", nuclei, "-o", tmp_path / name)
    for _ in range(2):
        succeed("convert", nuclei, "-o", tmp_path / name, "--slide", slide)
    assert read_nuclei(tmp_path / name, SLIDE).ids.tolist() == [4, 9]


def test_what_was_left_out_is_said(slide: Path, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(
        'id,wkt\n3,"POLYGON ((5 5, 20 5, 20 20, 5 5))"\n'
        '6,"POLYGON ((9 9, 20 20, 30 30, 9 9))"\n'
        '7,"POLYGON ((50 50, 70 70, 50 70, 66 50, 50 50))"\n'
    )
    said = succeed("convert", tmp_path / "n.csv", "-o", tmp_path / "n.parquet", "--slide", slide)
    assert "n.csv: 1 outline has no area and was left out: id 6." in said.stderr
    assert "n.csv: 1 outline crossed itself and was mended: id 7." in said.stderr
    assert "2 nuclei" in said.stdout


def test_bad_outputs(nuclei: Path, tmp_path: Path) -> None:
    assert ".geojson" in fail("convert", nuclei, "-o", tmp_path / "n.docx")
    assert "overwrite" in fail("convert", nuclei, "-o", nuclei)
