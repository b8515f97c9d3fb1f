"""Figures show what is on screen: the same cells, limits and colours, and say what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_prts.errors import PrtsError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.expression_view import Painting
from napari_prts.viewer.figure import (
    VECTOR_CELLS,
    Layout,
    cells_in_view,
    draw_figure,
    figure_of,
    write_figure,
)
from napari_prts.viewer.figure_marks import nice_length
from napari_prts.viewer.figure_parts import FigureRequest, Panel
from napari_prts.viewer.painting import Limits
from tests.study.saved_studies import full_study

# Row, column, height, width: all of the slide.
ALL = (0.0, 0.0, 400.0, 500.0)


@pytest.fixture(scope="module")
def slide(tissue_slide: Slide) -> Slide:
    return Slide.from_array(tissue_slide.read(100, 100, 400, 500), mpp=0.5, name="skin.svs")


@pytest.fixture(scope="module")
def nuclei() -> Nuclei:
    """A hundred squares, one every 50 px."""
    rows, columns = np.meshgrid(np.arange(20, 400, 40), np.arange(25, 500, 50), indexing="ij")
    centres = np.stack([rows.ravel(), columns.ravel()], axis=1)[:, None]
    return Nuclei.from_polygons(centres + np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]]))


@pytest.fixture
def study(slide: Slide, nuclei: Nuclei) -> Study:
    return full_study(slide, nuclei)


@pytest.fixture
def view(study: Study) -> StudyView:
    return StudyView(ViewerModel(), study, print)


def request(view: StudyView, region: tuple[float, ...] = ALL, **how: Any) -> FigureRequest:
    return figure_of(view.study, view.expression, region, **{"dpi": 100, **how})


def words(figure: Any) -> list[str]:
    """All text of a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


# What is shown


def test_both_sides_are_named_and_the_gene_is_in_italics(view: StudyView) -> None:
    from matplotlib.text import Text

    view.expression.paint(Painting(gene="EPCAM"))
    figure = run(draw_figure(request(view)))
    said = words(figure)
    assert said.index("Measured ") < said.index("Predicted ")
    italic = [text.get_text() for text in figure.findobj(Text) if text.get_style() == "italic"]
    assert italic.count("EPCAM") == 2
    assert "expected counts per cell" in said
    assert "counts per cell" in said
    assert "50 µm" in said
    foot = " ".join(said)
    assert "skin.svs" in foot
    assert "0123456789abcdef" in foot


def test_simulated_counts_are_called_so(slide: Slide, nuclei: Nuclei) -> None:
    view = StudyView(ViewerModel(), full_study(slide, nuclei, simulated=True), print)
    view.expression.paint(Painting(gene="EPCAM"))
    said = words(run(draw_figure(request(view))))
    assert "Simulated " in said
    assert "Measured " not in said


@pytest.mark.parametrize(
    "style",
    [
        {},
        {"log": True},
        {"hide_zeros": True},
        {"shared_limits": False, "percentiles": (5.0, 90.0)},
        {"limits": Limits(1.0, 4.0), "colormap": "magma"},
    ],
)
def test_colours_are_those_on_screen(view: StudyView, style: dict[str, Any]) -> None:
    view.expression.paint(Painting(gene="KRT5", mode="beside", **style))
    drawn = request(view)
    for panel, role in zip(drawn.panels, (Role.MEASURED, Role.PREDICTED), strict=True):
        (cells,) = panel.cells
        layer = view.book.get(role)
        assert (cells.key.limits.low, cells.key.limits.high) == tuple(layer.contrast_limits)
        full = np.asarray(layer.data[0])
        places = np.rint(cells.centroids).astype(int)
        shown = full[places[:, 0], places[:, 1]]
        low, high = layer.contrast_limits
        expected = layer.colormap.map(np.clip((shown - low) / (high - low), 0, 1))
        expected[shown <= low] = np.asarray(layer.colormap.low_color)
        np.testing.assert_allclose(cells.colours, expected, atol=0.02)
        hidden = style.get("hide_zeros", False)
        assert len(cells.centroids) < 97 if hidden else len(cells.centroids) >= 97
        assert cells.key.zeros == (not hidden)


def test_only_cells_in_view_are_drawn(view: StudyView) -> None:
    view.expression.paint(Painting(gene="EPCAM"))
    drawn = request(view, (0.0, 0.0, 100.0, 120.0))
    assert all(0 < len(panel.cells[0].centroids) <= 9 for panel in drawn.panels)


def test_unsure_cells_recede(view: StudyView) -> None:
    view.expression.paint(Painting(gene="EPCAM", dim_unsure=True))
    measured, predicted = (panel.cells[0] for panel in request(view).panels)
    assert len(np.unique(predicted.colours[:, 3])) > 3
    assert set(measured.colours[:, 3]) <= set(np.float32([1.0, 0.35]))


def names(drawn: FigureRequest) -> list[list[str]]:
    return [[cells.name for cells in panel.cells] for panel in drawn.panels]


def test_modes_of_comparison(view: StudyView) -> None:
    both = [["Measured IVL"], ["Predicted IVL"]]
    for mode in ("beside", "blink"):
        view.expression.paint(Painting(gene="IVL", mode=mode))
        assert names(request(view)) == both
    view.expression.paint(Painting(gene="IVL", mode="beside", swapped=True))
    assert names(request(view)) == both[::-1]
    view.expression.paint(Painting(gene="IVL", mode="one"))
    drawn = request(view)
    assert names(drawn) == [["Measured IVL", "Predicted IVL"]]
    said = words(run(draw_figure(drawn)))
    assert said.index("Predicted ") < said.index(" over ") < said.index("Measured ")


def test_swiped_sides_meet_at_the_line(view: StudyView) -> None:
    view.expression.paint(Painting(gene="IVL", mode="swipe"))
    (panel,) = request(view).panels
    left, right = panel.cells
    assert panel.line is not None
    assert left.centroids[:, 1].max() < panel.line <= right.centroids[:, 1].min()
    assert " | " in words(run(draw_figure(request(view))))


def test_the_difference_diverges_from_zero(view: StudyView) -> None:
    view.expression.paint(Painting(gene="IVL", mode="difference"))
    drawn = request(view)
    assert names(drawn) == [["Predicted minus measured IVL"]]
    (cells,) = drawn.panels[0].cells
    layer = view.book.get(Role.DIFFERENCE)
    np.testing.assert_allclose(
        (cells.key.limits.low, cells.key.limits.high), layer.contrast_limits, rtol=1e-5
    )
    assert cells.key.limits.low == -cells.key.limits.high


def test_clusters_have_a_legend(view: StudyView) -> None:
    view.expression.paint(Painting())
    drawn = request(view)
    said = words(run(draw_figure(drawn)))
    assert "Predicted clusters" in said
    assert {"0", "1", "tumour"} <= set(said)
    (cells,) = drawn.panels[0].cells
    assert len(np.unique(cells.colours, axis=0)) == 3


def test_the_slide_alone_with_outlines(view: StudyView) -> None:
    drawn = request(view, outlines=True)
    assert drawn.panels == (Panel(),)
    assert len(drawn.outlines) == 100
    assert drawn.title == "skin.svs, H&E"
    assert drawn.slide_opacity == 1.0
    run(draw_figure(drawn))


def test_the_slide_is_in_its_place_and_steps_back(view: StudyView, slide: Slide) -> None:
    region = (100.0, 200.0, 100.0, 150.0)
    ground = next(
        axes.images[0].get_array()
        for axes in run(draw_figure(request(view, region, width_mm=60))).axes
    )
    expected = slide.read(100, 200, 100, 150)
    np.testing.assert_allclose(ground.mean(axis=(0, 1)), expected.mean(axis=(0, 1)), atol=3)
    view.expression.paint(Painting(gene="IVL", slide_opacity=0.25))
    faded = run(draw_figure(request(view, region))).axes[0].images[0].get_array()
    assert faded.mean() > expected.mean() + 20


def test_without_a_pixel_size_no_scale_bar_lies(slide: Slide, nuclei: Nuclei) -> None:
    bare = Slide.from_array(np.asarray(slide.levels[0]), name="bare")
    view = StudyView(ViewerModel(), full_study(bare, nuclei), print)
    view.expression.paint(Painting(gene="IVL"))
    said = words(run(draw_figure(request(view))))
    assert not any("µm" in text for text in said)
    assert any("pixel size unknown" in text for text in said)


# On paper


def test_a_figure_is_as_wide_as_asked_for_but_no_higher_than_a_page(view: StudyView) -> None:
    wide = Layout.of(request(view, width_mm=120))
    assert wide.size[0] == pytest.approx(120 / 25.4)
    high = Layout.of(request(view, (0.0, 0.0, 400.0, 20.0), width_mm=120))
    assert high.size[0] < wide.size[0]
    assert high.panels[0].height * 25.4 == pytest.approx(240)
    with pytest.raises(PrtsError, match="20 to 1000 mm"):
        request(view, dpi=5)


@pytest.mark.parametrize(
    ("most", "length"), [(99, 50), (100, 100), (240, 200), (7.5, 5), (0.3, 0.2), (2600, 2000)]
)
def test_scale_bars_are_round_lengths(most: float, length: float) -> None:
    assert nice_length(most) == pytest.approx(length)


# Files


def test_png_says_what_it_is_from(view: StudyView, tmp_path: Path) -> None:
    view.expression.paint(Painting(gene="HLA-A"))
    path = run(write_figure(request(view), tmp_path / "a.png"))
    picture = Image.open(path)
    assert picture.info["dpi"] == pytest.approx((100, 100), abs=0.1)
    assert picture.text["Title"] == "Measured HLA-A and Predicted HLA-A"
    about = json.loads(picture.text["Description"])
    assert about["slide_fingerprint"] == view.study.slide.fingerprint
    assert about["model_hash"] == "0123456789abcdef"
    assert about["version"].startswith("napari-prts ")
    assert about["mpp"] == "0.5 um/px"


def test_svg_keeps_text_and_cells_as_they_are(view: StudyView, tmp_path: Path) -> None:
    view.expression.paint(Painting(gene="HLA-A"))
    drawn = request(view)
    text = run(write_figure(drawn, tmp_path / "a.svg")).read_text()
    assert "Predicted" in text
    assert "HLA-A" in text
    assert view.study.slide.fingerprint in text
    # One picture a panel, of the slide; each cell is a circle of its own.
    pictures = text.count("<image")
    assert text.count("<path") >= cells_in_view(drawn)
    assert pictures <= 4


def test_many_cells_become_a_picture_and_the_file_says_so(
    slide: Slide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: StudyView
) -> None:
    assert VECTOR_CELLS == 5000
    monkeypatch.setattr("napari_prts.viewer.figure.VECTOR_CELLS", 100)
    view.expression.paint(Painting(gene="HLA-A"))
    text = run(write_figure(request(view), tmp_path / "a.svg")).read_text()
    assert text.count("<path") < 100
    assert "cells drawn as a picture" in text


def test_pdf_holds_where_it_comes_from(view: StudyView, tmp_path: Path) -> None:
    view.expression.paint(Painting(gene="IVL"))
    data = run(write_figure(request(view), tmp_path / "a.pdf")).read_bytes()
    assert data.startswith(b"%PDF")
    assert b"Predicted IVL" in data or b"Predicted IVL".decode().encode("utf-16-be") in data


def test_other_endings_and_places_are_refused(view: StudyView, tmp_path: Path) -> None:
    with pytest.raises(PrtsError, match=r"\.png, \.svg, \.pdf"):
        run(write_figure(request(view), tmp_path / "a.jpg"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PrtsError, match="cannot be written"):
        run(write_figure(request(view), tmp_path / "file" / "a.png"))


def test_a_cancelled_figure_leaves_nothing(view: StudyView, tmp_path: Path) -> None:
    job = write_figure(request(view), tmp_path / "a.png")
    next(job)
    job.close()
    assert not list(tmp_path.iterdir())
