"""A saved study leaves as a figure or as a table, without a window."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from PIL import Image

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import open_slide
from napari_prts.study.session_file import save_session
from napari_prts.study.session_parts import SessionParts
from tests.cli.running import fail, succeed, write_slide
from tests.study.saved_studies import full_study


@pytest.fixture
def session(tmp_path: Path, pixels: np.ndarray) -> Path:
    slide = open_slide(write_slide(tmp_path / "section.tif", pixels[:400, :400]))
    square = np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])
    places = np.random.default_rng(0).uniform(20, 380, (40, 1, 2))
    study = full_study(slide, Nuclei.from_polygons(places + square))
    return run(save_session(SessionParts.of(study), tmp_path / "mine.prts"))


def test_a_figure_of_a_gene(session: Path, tmp_path: Path) -> None:
    done = succeed("figure", session, "--gene", "IVL", "-o", tmp_path / "ivl.png", "--dpi", 60)
    assert "Measured IVL and Predicted IVL" in done.stdout
    assert Image.open(tmp_path / "ivl.png").width == pytest.approx(180 / 25.4 * 60, abs=2)
    succeed("figure", session, "--clusters", "-o", tmp_path / "c.svg", "--region", "0,0,200,200")
    assert "Predicted clusters" in (tmp_path / "c.svg").read_text()
    succeed("figure", session, "-o", tmp_path / "he.png", "--dpi", 60, "--outlines")


def test_a_figure_that_cannot_be_drawn_is_refused(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    assert "did you mean KRT5" in fail("figure", session, "--gene", "krt 5", "-o", out)
    assert "must end in .png" in fail("figure", session, "--gene", "IVL", "-o", tmp_path / "a.gif")
    assert "not both" in fail("figure", session, "--gene", "IVL", "--clusters", "-o", out)
    (tmp_path / "section.tif").unlink()
    assert "say where it is now" in fail("figure", session, "--gene", "IVL", "-o", out)
    assert not out.exists()


def test_tables_for_other_tools(session: Path, tmp_path: Path) -> None:
    done = succeed("export", session, "-o", tmp_path / "p.h5ad")
    assert "40 cells, 6 genes, predicted" in done.stdout
    assert "leiden" in anndata.read_h5ad(tmp_path / "p.h5ad").obs
    succeed("export", session, "--which", "measured", "-o", tmp_path / "m.h5ad")
    assert "counts" in anndata.read_h5ad(tmp_path / "m.h5ad").layers


def test_spatialdata_names_its_extra(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_prts.study.spatialdata_export.spatialdata_there", lambda: False)
    assert "napari-prts[spatialdata]" in fail("export", session, "-o", tmp_path / "a.zarr")


def test_opening_needs_a_file_and_a_screen(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not exist" in fail("open", tmp_path / "none.prts")
    monkeypatch.setattr("napari_prts.demo.has_screen", lambda: False)
    assert "no screen" in fail("open", session)
