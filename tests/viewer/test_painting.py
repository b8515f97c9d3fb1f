"""Genes over the tissue: what is painted, where, in which colours, and as cells arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from napari import Viewer
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication
from scipy import sparse

from napari_prts.expression import PredictedCells
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.cell_dots import SIDE, CellDots
from napari_prts.viewer.cell_picture import CellPicture
from napari_prts.viewer.cell_values import CellTable
from napari_prts.viewer.expression_view import Painting
from napari_prts.viewer.painting import (
    ZERO_COLOUR,
    Limits,
    category_colormap,
    category_colours,
    expression_colormap,
    percentile_limits,
    shown_values,
)

GENES = ("KRT5", "CD3E", "EPCAM")
SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


def colours(values: list[float], limits: Limits) -> NDArray[Any]:
    """The colours that a layer with these limits gives to expression."""
    shown = shown_values(np.array(values, np.float32), limits)
    share = (shown - limits.low) / (limits.high - limits.low)
    return np.asarray(expression_colormap("viridis").map(share))


# Colours


def test_zero_looks_different_from_low_and_unknown_is_not_painted() -> None:
    zero, least, low, high, unknown = colours([0, 0.01, 1.01, 5, np.nan], Limits(1.0, 5.0))
    np.testing.assert_allclose(zero, ZERO_COLOUR)
    np.testing.assert_allclose(least, low, atol=0.02)
    assert not np.allclose(low, zero, atol=0.2)
    assert not np.allclose(low, high, atol=0.2)
    assert unknown[3] == 0


def test_shared_limits_cover_both_sides() -> None:
    left, right = np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 20.0, np.nan])
    shared = percentile_limits(left, right, low=0, high=100)
    assert (shared.low, shared.high) == (1.0, 20.0)


def test_limits_only_widen() -> None:
    assert Limits(1, 3).widened(Limits(2, 5)) == Limits(1, 5)
    assert Limits(1, 3).widened(None) == Limits(1, 3)


@given(st.lists(st.floats(0, 1e4, allow_nan=False, width=32), max_size=30))
def test_limits_always_span_something(values: list[float]) -> None:
    limits = percentile_limits(np.array(values, np.float32))
    assert limits.high > limits.low
    assert np.isfinite(colours(values, limits)).all()


@given(st.floats(0.0009765625, 1e4, width=32))
def test_a_gene_that_is_the_same_everywhere_does_not_look_like_none(value: float) -> None:
    values = np.full(5, value, np.float32)
    limits = percentile_limits(values)
    assert (shown_values(values, limits) > np.float32(limits.low)).all()


def test_twenty_clusters_have_twenty_colours() -> None:
    names = [str(i) for i in range(20)]
    palette = category_colours(names)
    assert len({tuple(colour) for colour in palette.values()}) == 20
    shown = category_colormap(names).map((np.arange(20) + 0.5) / 20)
    np.testing.assert_allclose(shown, list(palette.values()))


# Dots


@pytest.fixture
def dots() -> CellDots:
    rng = np.random.default_rng(0)
    centroids = rng.uniform(-5, 1005, (400, 2)).astype(np.float32)
    return CellDots(centroids, (1000, 777), 14.0)


def test_each_pixel_knows_its_cell(dots: CellDots) -> None:
    whole = dots.whole(0)
    rows, columns = np.indices(whole.shape)
    for row, column in [(200, 300), (500, 700), (0, 0), (999, 776)]:
        distance = np.hypot(*(dots.centroids - [row, column]).T)
        number = whole[row, column]
        if number < len(dots):
            assert distance[number] < 8
        else:
            assert distance.min() > 6
    # The last cell is covered by none.
    last = np.hypot(rows - dots.centroids[-1, 0], columns - dots.centroids[-1, 1])
    assert (whole[last < 6] == len(dots) - 1).all()
    assert (whole[last > 8] != len(dots) - 1).all()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_blocks_are_parts_of_the_whole(dots: CellDots, level: int) -> None:
    whole = dots.whole(level)
    for row in range(-(-whole.shape[0] // SIDE)):
        for column in range(-(-whole.shape[1] // SIDE)):
            part = whole[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            block = dots.block(level, row, column)
            np.testing.assert_array_equal(len(dots) if block is None else block, part)


def test_dots_are_seen_from_afar(dots: CellDots) -> None:
    far = dots.whole(5)
    inside = ((dots.centroids > 20) & (dots.centroids < [980, 757])).all(axis=1)
    middle = ((dots.centroids[inside] + 0.5) / 32).astype(int)
    assert (far[tuple(middle.T)] < len(dots)).mean() > 0.9


def test_the_cell_on_top_is_found_under_the_mouse(dots: CellDots) -> None:
    whole = dots.whole(0)
    for row, column in np.random.default_rng(1).integers(10, 700, (300, 2)):
        found = dots.at(row, column)
        distance = np.hypot(*(dots.centroids - [row, column]).T)
        np.testing.assert_array_equal(found, np.flatnonzero(distance <= 7))
        if len(found) and abs(distance - 7).min() > 1:
            assert whole[row, column] == found[-1]


def test_a_picture_shows_values_and_nothing_between_cells(dots: CellDots) -> None:
    picture = CellPicture(dots.shape)
    assert np.isnan(picture.levels[0][:100, :100]).all()
    values = np.arange(400, dtype=np.float32)
    picture.show(dots, values)
    whole = dots.whole(0)
    shown = np.asarray(picture.levels[0])
    np.testing.assert_array_equal(np.isnan(shown), whole == len(dots))
    np.testing.assert_array_equal(shown[whole < 400], whole[whole < 400])
    np.testing.assert_array_equal(picture.levels[0][300:555:3, 40], shown[300:555:3, 40])
    # napari fetches the last level once: it has to stay the same array.
    last = picture.levels[-1]
    picture.show(dots, values + 1)
    assert picture.levels[-1] is last
    assert np.nanmin(last) >= 1


# Tables


def test_sparse_counts_are_read_as_dense_ones_are(study: Study) -> None:
    dense, thin = CellTable(table(study.nuclei)), CellTable(table(study.nuclei, thin=True))
    for gene in GENES:
        np.testing.assert_array_equal(dense.gene(gene), thin.gene(gene))
    np.testing.assert_allclose(dense.total(), thin.total(), rtol=1e-5)
    # What is read is the reader's own.
    dense.gene("KRT5")[:] = -1
    assert (dense.gene("KRT5") >= 0).all()


# In the window


def expression(nuclei: Nuclei, seed: int = 0) -> NDArray[np.float32]:
    """Made-up expression; the first gene is zero in every second cell."""
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 2.0, (len(nuclei), len(GENES))).astype(np.float32)
    values[::2, 0] = 0
    return values


def table(nuclei: Nuclei, seed: int = 0, thin: bool = False, **about: Any) -> AnnData:
    values = expression(nuclei, seed)
    return AnnData(
        sparse.csr_matrix(values) if thin else values,
        pd.DataFrame({"id": nuclei.ids}, index=nuclei.ids.astype(str)),
        pd.DataFrame(index=list(GENES)),
        obsm={"spatial": nuclei.centroids[:, ::-1].copy()},
        uns=about,
    )


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    study = Study(tissue_slide, autosave=False)
    study.set_nuclei(tissue_nuclei)
    return study


@pytest.fixture
def view(study: Study) -> StudyView:
    """The study in a viewer that has no window yet."""
    return StudyView(ViewerModel(), study, print)


def names(view: StudyView) -> list[str]:
    return [layer.name for layer in view.book.viewer.layers]


def at_cells(view: StudyView, role: Role, which: NDArray[np.integer]) -> NDArray[np.float32]:
    """What is painted in the middle of nuclei that no other dot covers."""
    layer = view.book.get(role)
    assert layer is not None
    full = np.asarray(layer.data[0])
    places = np.rint(view.study.nuclei.centroids[which]).astype(int)
    return np.array([full[row, column] for row, column in places])


def as_shown(view: StudyView, role: Role, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a layer makes of values, within its limits."""
    return shown_values(values, Limits(*view.book.get(role).contrast_limits))


def alone(nuclei: Nuclei) -> NDArray[np.integer]:
    """Positions of nuclei with no other within a dot's width."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(nuclei.centroids).query(nuclei.centroids, 2)
    return np.flatnonzero(distance[:, 1] > 24)


def test_cells_have_their_values_where_they_lie(view: StudyView, study: Study) -> None:
    study.set_predicted(table(study.nuclei))
    assert view.expression.paint(Painting("CD3E")) == ["predicted"]
    assert "Predicted CD3E" in names(view)
    cells = alone(study.nuclei)
    wanted = expression(study.nuclei)[cells, 1]
    shown = at_cells(view, Role.PREDICTED, cells)
    np.testing.assert_array_equal(shown, as_shown(view, Role.PREDICTED, wanted))
    limits = percentile_limits(expression(study.nuclei)[:, 1])
    layer = view.book.get(Role.PREDICTED)
    assert layer.contrast_limits == [limits.low, limits.high]
    assert layer.colorbar.visible
    assert layer.name_overlay.visible


def test_another_gene_only_changes_colours(view: StudyView, study: Study) -> None:
    study.set_predicted(table(study.nuclei))
    study.set_measured(table(study.nuclei, seed=1, thin=True))
    assert view.expression.paint(Painting("CD3E")) == ["measured", "predicted"]
    before = [view.book.get(role) for role in (Role.MEASURED, Role.PREDICTED)]
    view.expression.paint(Painting("EPCAM"))
    assert [view.book.get(role) for role in (Role.MEASURED, Role.PREDICTED)] == before
    assert {"Measured EPCAM", "Predicted EPCAM"} <= set(names(view))
    cells = alone(study.nuclei)
    limits = before[0].contrast_limits
    assert limits == before[1].contrast_limits, "shared"
    for role, seed in ((Role.MEASURED, 1), (Role.PREDICTED, 0)):
        wanted = as_shown(view, role, expression(study.nuclei, seed)[cells, 2])
        np.testing.assert_array_equal(at_cells(view, role, cells), wanted)
    view.expression.paint(Painting("EPCAM", shared_limits=False))
    assert before[0].contrast_limits != before[1].contrast_limits


def test_measured_left_and_predicted_right(view: StudyView, study: Study) -> None:
    study.set_predicted(table(study.nuclei))
    study.set_measured(table(study.nuclei, visium_hd={"simulated": True}))
    view.expression.paint(Painting("CD3E"))
    grid, layers = view.book.viewer.canvas.grid, view.book.viewer.layers
    assert "Simulated CD3E" in names(view)
    sides = {
        role: grid.position(layers.index(view.book.get(role)), layers)
        for role in (Role.SLIDE, Role.MEASURED, Role.SLIDE_COPY, Role.PREDICTED)
    }
    assert sides[Role.SLIDE] == sides[Role.MEASURED] == (0, 0)
    assert sides[Role.SLIDE_COPY] == sides[Role.PREDICTED] == (0, 1)
    view.expression.paint(Painting("CD3E", mode="one"))
    assert not grid.enabled
    view.expression.clear()
    assert view.book.get(Role.PREDICTED) is None
    assert view.book.get(Role.SLIDE).opacity == 1


def test_a_removed_nucleus_is_not_painted_and_undo_brings_it_back(
    view: StudyView, study: Study
) -> None:
    study.set_predicted(table(study.nuclei))
    view.expression.paint(Painting("CD3E"))
    cells = alone(study.nuclei)
    places = np.rint(study.nuclei.centroids[cells[0]]).astype(int)
    layer = view.book.get(Role.PREDICTED)
    assert np.isfinite(layer.data[0][places[0], places[1]])
    study.edit(removed=[int(study.nuclei.ids[cells[0]])])
    assert np.isnan(layer.data[0][places[0], places[1]])
    study.undo()
    assert np.isfinite(layer.data[0][places[0], places[1]])


def test_clusters_have_names_under_the_mouse(view: StudyView, study: Study) -> None:
    clustered = table(study.nuclei)
    clustered.obs["leiden"] = pd.Categorical([str(i % 11) for i in range(len(study.nuclei))])
    study.set_predicted(table(study.nuclei))
    study.set_clusters("predicted", clustered)
    assert view.expression.paint(Painting()) == ["predicted"]
    assert "Predicted clusters" in names(view)
    assert not view.book.get(Role.PREDICTED).colorbar.visible
    cell = int(alone(study.nuclei)[0])
    seen = view.expression.cell_at("predicted", *study.nuclei.centroids[cell])
    assert seen is not None
    assert (seen.id, seen.cluster) == (int(study.nuclei.ids[cell]), str(cell % 11))
    assert seen.value is None


def test_the_mouse_finds_a_cell_and_its_value(view: StudyView, study: Study) -> None:
    assert view.expression.cell_at("predicted", 0, 0) is None
    study.set_predicted(table(study.nuclei))
    view.expression.paint(Painting("CD3E"))
    cell = int(alone(study.nuclei)[0])
    seen = view.expression.cell_at("predicted", *study.nuclei.centroids[cell])
    assert seen is not None
    assert seen.id == study.nuclei.ids[cell]
    assert seen.value == expression(study.nuclei)[cell, 1]
    assert view.expression.cell_at("measured", *study.nuclei.centroids[cell]) is None


def test_colours_and_sizes_follow_the_pixel_size(view: StudyView, study: Study) -> None:
    study.set_predicted(table(study.nuclei))
    view.expression.paint(Painting("CD3E"))
    layer = view.book.get(Role.PREDICTED)
    small = np.isfinite(layer.data[0][:, :]).mean()
    view.expression.paint(Painting("CD3E", size_um=14.0, colormap="magma"))
    assert np.isfinite(layer.data[0][:, :]).mean() > 1.5 * small
    assert "magma" in layer.colormap.name
    study.set_mpp(1.0)
    assert tuple(layer.scale) == (1.0, 1.0)


def test_what_is_seen_is_tissue_between_coloured_cells(
    make_napari_viewer: Callable[..., Viewer], study: Study
) -> None:
    viewer = make_napari_viewer(show=True)
    view = StudyView(viewer, study, print)
    values = np.zeros((len(study.nuclei), 1), np.float32)
    cell = int(alone(study.nuclei)[0])
    values[::7], values[cell] = 1, 10
    predicted = table(study.nuclei)[:, :1].copy()
    predicted.X = values
    study.set_predicted(predicted)
    view.book.get(Role.NUCLEI).visible = view.book.get(Role.EDITING).visible = False
    view.expression.paint(Painting("KRT5", slide_opacity=1.0))
    # Without writing on the canvas only the cells differ.
    layer = view.book.get(Role.PREDICTED)
    layer.colorbar.visible = layer.name_overlay.visible = False
    look(view, cell)
    painted = screen(view)
    layer.visible = False
    bare = screen(view)
    height, width = painted.shape[:2]
    yellow = expression_colormap("viridis").colors[-1][:3] * 255
    np.testing.assert_allclose(painted[height // 2, width // 2], yellow, atol=12)
    same = (np.abs(painted.astype(int) - bare) < 8).all(axis=2)
    assert 0.2 < same.mean() < 0.995


def look(view: StudyView, cell: int) -> None:
    """Look at the surroundings of a nucleus."""
    scale = view.study.slide.mpp or 1.0
    QApplication.processEvents()
    camera = view.book.viewer.scene.camera
    camera.center = tuple(view.study.nuclei.centroids[cell] * scale)
    camera.zoom = 4 / scale
    QApplication.processEvents()


def screen(view: StudyView) -> NDArray[np.uint8]:
    viewer: Any = view.book.viewer
    picture: NDArray[np.uint8] = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    return picture


# While a prediction runs


@dataclass(frozen=True)
class Model:
    """What a study asks of a model whose cells arrive."""

    hash: str = "model"
    trained_on: str = "measured"
    genes: tuple[str, ...] = GENES


def begin(study: Study, **about: Any) -> None:
    study.begin_arriving(Model(**about), study.nuclei)  # type: ignore[arg-type]


def arrive(study: Study, which: Any, seed: int = 0) -> None:
    """Let cells arrive, by their positions."""
    values = expression(study.nuclei, seed)[which]
    study.take_arrived(PredictedCells(study.nuclei.ids[which], GENES, values, values))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(view: StudyView) -> Clock:
    clock = Clock()
    view.expression._clock = clock
    return clock


def test_cells_are_seen_as_they_come_by_their_total(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study, trained_on="simulated")
    assert "Predicted total (simulated training)" in names(view)
    cells = alone(study.nuclei)
    assert np.isnan(at_cells(view, Role.PREDICTED, cells)).all()
    arrive(study, cells[:3])
    shown = at_cells(view, Role.PREDICTED, cells)
    np.testing.assert_allclose(
        shown[:3], expression(study.nuclei)[cells[:3]].sum(axis=1), rtol=0.02
    )
    assert np.isnan(shown[3:]).all()
    seen = view.expression.cell_at("predicted", *study.nuclei.centroids[cells[4]])
    assert seen is not None
    assert seen.value is None


def test_batches_in_quick_succession_are_painted_together(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    cells = alone(study.nuclei)
    arrive(study, cells[:1])
    assert not view.expression.arrived_dirty
    for cell in (1, 2):
        clock.now += 0.05
        arrive(study, cells[[cell]])
    assert view.expression.arrived_dirty
    assert np.isnan(at_cells(view, Role.PREDICTED, cells[1:3])).all()
    clock.now += 0.2
    arrive(study, cells[[3]])
    assert np.isfinite(at_cells(view, Role.PREDICTED, cells[:4])).all()
    arrive(study, cells[[4]])
    assert np.isnan(at_cells(view, Role.PREDICTED, cells[[4]])).all()
    # A window does this when no more comes, as when the prediction is paused.
    view.expression.repaint_arrived()
    assert np.isfinite(at_cells(view, Role.PREDICTED, cells[[4]])).all()


def test_where_drawing_takes_long_cells_are_painted_less_often(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    cells = alone(study.nuclei)
    arrive(study, cells[:1])
    view.expression.drawn(0.5)
    clock.now += 1.5
    arrive(study, cells[[1]])
    assert view.expression.arrived_dirty
    clock.now += 0.6
    arrive(study, cells[[2]])
    assert not view.expression.arrived_dirty


def test_cells_that_arrive_where_nobody_looks_are_not_drawn(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    cells = alone(study.nuclei)
    view.expression.paint(Painting("CD3E"))
    # The first one sets the limits of the colours, which are redrawn without the layer's data.
    arrive(study, cells[[0]])
    layer = view.book.get(Role.PREDICTED)
    drawn: list[str] = []
    layer.events.set_data.connect(lambda: drawn.append("drawn"))
    layer.data_level = 0
    drawn.clear()
    row, column = np.rint(study.nuclei.centroids[cells[0]]).astype(int)
    layer.corner_pixels = np.array([[row - 5, column - 5], [row + 5, column + 5]])
    away = cells[np.abs(study.nuclei.centroids[cells] - [row, column]).max(axis=1) > 90]
    for number, which in enumerate([away[[0]], away[[1]]]):
        clock.now += 1
        arrive(study, which)
        assert np.isfinite(at_cells(view, Role.PREDICTED, which)).all(), number
    assert not drawn
    clock.now += 1
    arrive(study, cells[[0]], seed=1)
    assert drawn == ["drawn"]


def test_a_gene_picked_meanwhile_is_painted_from_what_is_there(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    cells = alone(study.nuclei)
    arrive(study, cells[:5])
    view.expression.paint(Painting("CD3E"))
    assert "Predicted CD3E" in names(view)
    assert np.isfinite(at_cells(view, Role.PREDICTED, cells[:5])).all()
    assert np.isnan(at_cells(view, Role.PREDICTED, cells[5:])).all()
    # When all are there, the table is painted the same.
    study.set_predicted(table(study.nuclei, prts={"model_hash": "model"}))
    wanted = as_shown(view, Role.PREDICTED, expression(study.nuclei)[cells, 1])
    np.testing.assert_array_equal(at_cells(view, Role.PREDICTED, cells), wanted)


def test_the_total_stays_when_no_gene_was_picked(view: StudyView, study: Study) -> None:
    begin(study)
    arrive(study, slice(None))
    study.set_predicted(table(study.nuclei))
    assert view.expression.painting is not None
    assert view.expression.painting.total
    assert "Predicted total" in names(view)
    cells = alone(study.nuclei)
    wanted = expression(study.nuclei)[cells].sum(axis=1)
    shown = at_cells(view, Role.PREDICTED, cells)
    np.testing.assert_allclose(shown, as_shown(view, Role.PREDICTED, wanted), rtol=1e-5)


@pytest.mark.parametrize("same", [True, False], ids=["the same model", "another model"])
def test_old_values_stand_until_new_ones_come_but_only_of_the_same_model(
    view: StudyView, study: Study, clock: Clock, same: bool
) -> None:
    study.set_predicted(table(study.nuclei, prts={"model_hash": "model"}))
    view.expression.paint(Painting("CD3E"))
    cells = alone(study.nuclei)
    begin(study, hash="model" if same else "new")
    arrive(study, cells[:3], seed=5)
    shown = at_cells(view, Role.PREDICTED, cells)
    new = as_shown(view, Role.PREDICTED, expression(study.nuclei, 5)[cells[:3], 1])
    np.testing.assert_allclose(shown[:3], new, rtol=1e-3)
    old = as_shown(view, Role.PREDICTED, expression(study.nuclei)[cells[3:], 1])
    np.testing.assert_array_equal(shown[3:], old if same else np.full(len(old), np.nan))


def test_colours_keep_their_meaning_while_cells_come(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    values = expression(study.nuclei)[:, 1]
    order = np.argsort(np.abs(values - np.median(values)))
    view.expression.paint(Painting("CD3E"))
    limits = []
    for part in np.array_split(order, 6):
        clock.now += 1
        arrive(study, part)
        limits.append(view.book.get(Role.PREDICTED).contrast_limits)
    lows, highs = np.transpose(limits[1:])
    assert (np.diff(lows) <= 0).all()
    assert (np.diff(highs) >= 0).all()
    study.set_predicted(table(study.nuclei))
    final = percentile_limits(values)
    assert view.book.get(Role.PREDICTED).contrast_limits == [final.low, final.high]


def test_a_cancelled_prediction_leaves_the_picture_as_it_was(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    arrive(study, slice(4))
    study.end_arriving()
    assert view.expression.painting is None
    assert view.book.get(Role.PREDICTED) is None
    assert view.book.get(Role.SLIDE).opacity == 1

    study.set_predicted(table(study.nuclei, prts={"model_hash": "old"}))
    view.expression.paint(Painting("CD3E"))
    cells = alone(study.nuclei)
    before = at_cells(view, Role.PREDICTED, cells)
    begin(study, hash="new")
    arrive(study, cells[:4], seed=3)
    study.end_arriving()
    np.testing.assert_array_equal(at_cells(view, Role.PREDICTED, cells), before)


def test_who_looks_at_the_tissue_alone_is_left_alone(view: StudyView, study: Study) -> None:
    study.set_predicted(table(study.nuclei, prts={"model_hash": "model"}))
    # As when a corrected nucleus is predicted again.
    begin(study)
    arrive(study, slice(3))
    assert view.book.get(Role.PREDICTED) is None
    study.set_predicted(table(study.nuclei, prts={"model_hash": "model"}))
    assert view.book.get(Role.PREDICTED) is None
    # Another model is news.
    begin(study, hash="new")
    assert "Predicted total" in names(view)
    study.end_arriving()
    assert view.book.get(Role.PREDICTED) is None


def test_the_view_stays_where_the_user_looks(view: StudyView, study: Study, clock: Clock) -> None:
    study.set_measured(table(study.nuclei))
    view.expression.paint(Painting("CD3E"))
    camera = view.book.viewer.scene.camera
    camera.center, camera.zoom = (111.0, 222.0), 3.0
    begin(study)
    assert view.book.viewer.canvas.grid.enabled
    assert camera.center[-2:] == (111.0, 222.0)
    assert camera.zoom == 3.0


def test_a_layer_that_the_user_deleted_does_not_come_back_by_itself(
    view: StudyView, study: Study, clock: Clock
) -> None:
    begin(study)
    arrive(study, slice(2))
    view.book.viewer.layers.remove(view.book.get(Role.PREDICTED))
    clock.now += 1
    arrive(study, slice(2, 4))
    assert view.book.get(Role.PREDICTED) is None
    view.expression.paint(Painting("CD3E"))
    assert view.book.get(Role.PREDICTED) is not None


def test_corrections_meanwhile_do_not_disturb(view: StudyView, study: Study, clock: Clock) -> None:
    begin(study)
    cells = alone(study.nuclei)
    place = study.nuclei.centroids[cells[0]].copy()
    arrive(study, cells[:3])
    study.edit(removed=[int(study.nuclei.ids[cells[0]])], added=[SQUARE])
    seen = view.expression.cell_at("predicted", *place)
    assert seen is not None
    assert seen.value is None
    begin(study)
    assert study.arriving is not None
    assert len(study.arriving) == 2
    kept = alone(study.nuclei)
    assert np.isfinite(at_cells(view, Role.PREDICTED, kept)).sum() >= 1
