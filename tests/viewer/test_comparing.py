"""Predicted and measured on the canvas: beside each other, swiped, by turns, subtracted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.cell_dots import SIDE, CellDots
from napari_prts.viewer.cell_values import CellTable
from napari_prts.viewer.compare_cut import CutDots
from napari_prts.viewer.compare_difference import Difference, difference_colormap
from napari_prts.viewer.compare_modes import why_not
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.painted_side import MODES, Painting

GENES = ("KRT5", "CD3E", "EPCAM")


def table(nuclei: Nuclei, seed: int = 0, thin: bool = False, **about: Any) -> AnnData:
    """Made-up counts of three genes."""
    values = np.random.default_rng(seed).gamma(2.0, 2.0, (len(nuclei), 3)).astype(np.float32)
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
    study.set_predicted(table(study.nuclei))
    study.set_measured(table(study.nuclei, seed=1, thin=True))
    return study


@pytest.fixture
def view(study: Study) -> StudyView:
    """The study in a viewer that has no window yet."""
    return StudyView(ViewerModel(), study, print)


def seen(view: StudyView) -> list[str]:
    """Painted layers that are switched on, bottom to top."""
    ours = (Role.MEASURED, Role.PREDICTED, Role.DIFFERENCE, Role.SWIPE_LINE)
    layers = [view.book.get(role) for role in ours]
    shown = [layer for layer in layers if layer is not None and layer.visible]
    return [layer.name for layer in view.book.viewer.layers if layer in shown]


def drawn(view: StudyView, role: Role) -> NDArray[np.bool_]:
    """Columns of the slide in which a layer shows cells."""
    return np.isfinite(np.asarray(view.book.get(role).data[0])).any(axis=0)


# Beside each other


def cell_of_grid(view: StudyView, role: Role) -> int:
    """Column of the grid that a layer is in."""
    layers = view.book.viewer.layers
    return int(view.book.viewer.canvas.grid.position(layers.index(view.book.get(role)), layers)[1])


def test_swapping_exchanges_left_and_right(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E"))
    assert cell_of_grid(view, Role.MEASURED) == cell_of_grid(view, Role.SLIDE) == 0
    assert cell_of_grid(view, Role.PREDICTED) == cell_of_grid(view, Role.SLIDE_COPY) == 1
    assert view.book.get(Role.SLIDE_COPY).name == "H&E (predicted side)"
    view.expression.paint(Painting("CD3E", swapped=True))
    assert cell_of_grid(view, Role.PREDICTED) == cell_of_grid(view, Role.SLIDE) == 0
    assert cell_of_grid(view, Role.MEASURED) == cell_of_grid(view, Role.SLIDE_COPY) == 1
    assert view.book.get(Role.SLIDE_COPY).name == "H&E (measured side)"
    view.expression.paint(Painting("CD3E"))
    assert cell_of_grid(view, Role.MEASURED) == 0


def test_on_one_canvas_the_second_side_is_on_top(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="one"))
    assert seen(view) == ["Measured CD3E", "Predicted CD3E"]
    view.expression.paint(Painting("CD3E", mode="one", swapped=True))
    assert seen(view) == ["Predicted CD3E", "Measured CD3E"]


def test_layers_of_the_user_are_not_moved(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E"))
    mine = view.book.viewer.add_points(np.zeros((1, 2)), name="mine")
    view.expression.paint(Painting("CD3E", swapped=True))
    assert view.book.viewer.layers[-1] is mine


def test_the_camera_stays_where_it_is_in_every_mode(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E"))
    camera = view.book.viewer.scene.camera
    camera.center, camera.zoom = (111.0, 222.0), 3.0
    for mode in (*MODES, *MODES[::-1]):
        view.expression.paint(Painting("CD3E", mode=mode))
        assert camera.center[-2:] == (111.0, 222.0), mode
        assert camera.zoom == 3.0, mode
    view.expression.clear()
    assert camera.zoom == 3.0


def test_who_sees_the_whole_slide_sees_it_whole_beside_its_prediction(view: StudyView) -> None:
    _, left, _, right = view_rectangle(view.book.viewer, view.study.slide.mpp)
    assert left < 0 < view.study.slide.shape[1] < right
    view.expression.paint(Painting("CD3E"))
    assert view.book.viewer.canvas.grid.enabled
    _, left, _, right = view_rectangle(view.book.viewer, view.study.slide.mpp)
    assert left <= 0 < view.study.slide.shape[1] - 1 <= right


# Swipe


@settings(max_examples=25)
@given(column=st.floats(-20, 800), level=st.integers(0, 3))
def test_both_parts_together_are_the_whole(column: float, level: int) -> None:
    centroids = np.random.default_rng(0).uniform(0, 700, (200, 2)).astype(np.float32)
    dots = CellDots(centroids, (700, 777), 14.0)
    left, right = (CutDots(dots, column, left=side) for side in (True, False))
    assert len(left) == len(dots)
    whole = dots.whole(level)
    line = int(np.clip(round((column + 0.5) / 2**level), 0, whole.shape[1]))
    assert (left.whole(level)[:, line:] == len(dots)).all()
    assert (right.whole(level)[:, :line] == len(dots)).all()
    np.testing.assert_array_equal(left.whole(level)[:, :line], whole[:, :line])
    np.testing.assert_array_equal(right.whole(level)[:, line:], whole[:, line:])
    for cut in (left, right):
        again = CutDots(dots, column, left=cut.left, before=left)
        np.testing.assert_array_equal(again.whole(level), cut.whole(level))
        for block in range(-(-whole.shape[1] // SIDE)):
            part = cut.whole(level)[:SIDE, block * SIDE : (block + 1) * SIDE]
            drawn = cut.block(level, 0, block)
            np.testing.assert_array_equal(len(dots) if drawn is None else drawn, part)


def test_a_line_parts_measured_from_predicted(view: StudyView, study: Study) -> None:
    view.expression.paint(Painting("CD3E", mode="swipe"))
    assert seen(view) == ["Measured CD3E", "Predicted CD3E", "Swipe line"]
    line = view.expression.stage.line
    assert line.column == pytest.approx(study.slide.shape[1] / 2, abs=1)
    line.move_to(300)
    measured, predicted = drawn(view, Role.MEASURED), drawn(view, Role.PREDICTED)
    assert measured[:299].any()
    assert not measured[302:].any()
    assert predicted[302:].any()
    assert not predicted[:299].any()
    view.expression.paint(Painting("CD3E", mode="swipe", swapped=True))
    assert drawn(view, Role.PREDICTED)[:299].any()
    assert not drawn(view, Role.PREDICTED)[302:].any()
    view.expression.paint(Painting("CD3E", mode="one"))
    assert drawn(view, Role.PREDICTED)[302:].any()
    assert seen(view) == ["Measured CD3E", "Predicted CD3E"]


def test_the_words_stand_on_their_side_of_the_line(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="swipe"))
    left, right = view.book.get(Role.MEASURED), view.book.get(Role.PREDICTED)
    assert left.name_overlay.visible
    assert right.name_overlay.visible
    assert str(left.name_overlay.position) == "top_left"
    assert str(right.name_overlay.position) == "top_right"
    assert str(right.colorbar.position) == "bottom_right"
    view.expression.paint(Painting("CD3E", mode="swipe", swapped=True))
    assert str(left.name_overlay.position) == "top_right"
    assert str(right.name_overlay.position) == "top_left"


def test_the_line_stays_on_the_slide_and_comes_back_into_view(
    view: StudyView, study: Study
) -> None:
    view.expression.paint(Painting("CD3E", mode="swipe"))
    line, camera = view.expression.stage.line, view.book.viewer.scene.camera
    line.move_to(1e6)
    assert line.column == study.slide.shape[1]
    mpp = study.slide.mpp or 1.0
    camera.zoom = 20 / mpp
    camera.center = (0.0, 100 * mpp, 100 * mpp)
    line.step(1)
    assert line.column == pytest.approx(100)
    line.step(-1)
    assert line.column < 100
    shown: Image = view.book.get(Role.SWIPE_LINE)
    middle = shown.translate[1] + shown.scale[1]
    assert middle == pytest.approx(line.column * mpp)
    # It is as wide on the screen at any magnification.
    wide = shown.scale[1]
    camera.zoom = 10 / mpp
    assert shown.scale[1] == pytest.approx(2 * wide)


# By turns


def test_the_sides_are_seen_by_turns(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="blink"))
    stage = view.expression.stage
    assert seen(view) == ["Measured CD3E"]
    stage.alternate()
    assert seen(view) == ["Predicted CD3E"]
    assert stage.in_turn == "predicted"
    # Another gene does not begin the turns anew.
    view.expression.paint(Painting("KRT5", mode="blink"))
    assert seen(view) == ["Predicted KRT5"]
    stage.alternate()
    assert seen(view) == ["Measured KRT5"]
    view.expression.paint(Painting("KRT5", mode="one"))
    assert seen(view) == ["Measured KRT5", "Predicted KRT5"]
    stage.alternate()
    assert seen(view) == ["Measured KRT5", "Predicted KRT5"]


def test_a_layer_that_the_user_hid_stays_hidden(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E"))
    view.book.get(Role.MEASURED).visible = False
    view.expression.paint(Painting("KRT5", mode="one"))
    assert seen(view) == ["Predicted KRT5"]


# Difference


def test_the_difference_is_of_logarithms_at_the_same_depth(study: Study) -> None:
    predicted, measured = CellTable(study.predicted), CellTable(study.measured)
    ours, theirs = study.predicted.X, study.measured.X.toarray()
    depth = np.median(theirs.sum(axis=1))
    shares = [counts[:, 1] / counts.sum(axis=1) * depth for counts in (ours, theirs)]
    found = Difference(predicted, measured).gene("CD3E")
    np.testing.assert_allclose(found, np.log1p(shares[0]) - np.log1p(shares[1]), atol=1e-5)


def test_a_model_that_only_counts_deeper_differs_nowhere(study: Study) -> None:
    deeper = study.measured.copy()
    deeper.X = deeper.X * 7
    found = Difference(CellTable(deeper), CellTable(study.measured)).gene("KRT5")
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_cells_and_genes_of_one_side_only_do_not_count(study: Study) -> None:
    some = study.measured[10:, ["EPCAM", "CD3E"]].copy()
    predicted = study.predicted[:, ["CD3E", "EPCAM"]].copy()
    found = Difference(CellTable(study.predicted), CellTable(some)).gene("CD3E")
    assert np.isnan(found[:10]).all()
    same = Difference(CellTable(predicted), CellTable(some)).gene("CD3E")
    np.testing.assert_allclose(found[10:], same[10:], atol=1e-6)


def test_cells_without_counts_have_no_difference(study: Study) -> None:
    empty = table(study.nuclei, seed=1)
    empty.X[:5] = 0
    found = Difference(CellTable(study.predicted), CellTable(empty)).gene("CD3E")
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5:]).all()


def test_the_difference_is_one_picture_around_zero(view: StudyView, study: Study) -> None:
    view.expression.paint(Painting("CD3E", mode="difference"))
    assert seen(view) == ["Predicted minus measured CD3E"]
    layer = view.book.get(Role.DIFFERENCE)
    low, high = layer.contrast_limits
    assert low == -high
    assert layer.colorbar.visible
    values = Difference(CellTable(study.predicted), CellTable(study.measured)).gene("CD3E")
    assert high == pytest.approx(np.percentile(np.abs(values), 99), rel=1e-5)
    view.expression.paint(Painting("EPCAM", mode="difference"))
    assert view.book.get(Role.DIFFERENCE) is layer
    assert seen(view) == ["Predicted minus measured EPCAM"]
    gone = int(study.nuclei.ids[0])
    row, column = np.rint(study.nuclei.centroids[0]).astype(int)
    study.edit(removed=[gone])
    assert np.isnan(layer.data[0][row, column])
    # What lies under the mouse is still known of both sides.
    place = study.nuclei.centroids[20]
    for side in ("predicted", "measured"):
        assert view.expression.cell_at(side, *place) is not None


def test_simulated_counts_are_called_so_in_the_difference(study: Study, view: StudyView) -> None:
    study.set_measured(table(study.nuclei, seed=1, visium_hd={"simulated": True}))
    study.set_predicted(table(study.nuclei, prts={"trained_on": "simulated"}))
    view.expression.paint(Painting("CD3E", mode="difference"))
    assert seen(view) == ["Predicted minus simulated CD3E (simulated training)"]


def test_no_difference_can_be_seen_on_pink_tissue() -> None:
    middle = difference_colormap().map([0.5])[0]
    low, high = difference_colormap().map([0.0, 1.0])
    for other in ((0.93, 0.65, 0.78, 1), (0.55, 0.35, 0.65, 1), low, high):
        assert np.abs(middle - other)[:3].max() > 0.12


def test_clusters_have_no_difference_and_stand_side_by_side(view: StudyView, study: Study) -> None:
    for side in ("predicted", "measured"):
        clustered = table(study.nuclei)
        clustered.obs["leiden"] = pd.Categorical([str(i % 3) for i in range(len(study.nuclei))])
        study.set_clusters(side, clustered)
    view.expression.paint(Painting(mode="difference"))
    assert view.expression.stage.mode == "beside"
    assert view.book.viewer.canvas.grid.enabled


# The list of layers

LIST = {
    "beside": {Role.MEASURED, Role.PREDICTED, Role.SLIDE_COPY},
    "swipe": {Role.MEASURED, Role.PREDICTED, Role.SWIPE_LINE},
    "blink": {Role.MEASURED, Role.PREDICTED},
    "difference": {Role.DIFFERENCE},
    "one": {Role.MEASURED, Role.PREDICTED},
}
ALWAYS = {Role.SLIDE, Role.NUCLEI, Role.EDITING}


@pytest.mark.parametrize("before", MODES)
def test_only_layers_of_the_mode_are_in_the_list(view: StudyView, before: str) -> None:
    view.expression.paint(Painting("CD3E", mode=before))
    for mode in MODES:
        view.expression.paint(Painting("CD3E", mode=mode))
        there = {role for role in Role if view.book.get(role) is not None}
        assert there == ALWAYS | LIST[mode], mode
    view.expression.clear()
    assert {role for role in Role if view.book.get(role) is not None} == ALWAYS


def test_layers_come_back_as_the_user_left_them(view: StudyView, study: Study) -> None:
    view.expression.paint(Painting("CD3E", mode="difference"))
    difference = view.book.get(Role.DIFFERENCE)
    difference.opacity, difference.colormap = 0.4, "red"
    view.expression.paint(Painting("CD3E", mode="one"))
    predicted = view.book.get(Role.PREDICTED)
    predicted.opacity, predicted.visible = 0.7, False
    measured = view.book.get(Role.MEASURED)
    measured.opacity = 0.6
    # What they show is up to date when they come back, also what changed meanwhile.
    view.expression.paint(Painting("KRT5", mode="difference"))
    assert view.book.get(Role.DIFFERENCE) is difference
    assert (difference.opacity, difference.colormap.name) == (0.4, "red")
    assert difference.name == "Predicted minus measured KRT5"
    view.expression.paint(Painting("EPCAM", mode="blink"))
    view.expression.paint(Painting("EPCAM", mode="beside"))
    assert view.book.get(Role.PREDICTED) is predicted
    assert (predicted.opacity, predicted.visible) == (0.7, False)
    assert (measured.opacity, measured.visible) == (0.6, True)
    row, column = np.rint(study.nuclei.centroids[7]).astype(int)
    shown = float(np.asarray(measured.data[0])[row, column])
    assert shown == pytest.approx(float(study.measured[7, "EPCAM"].X.toarray()[0, 0]), rel=0.2)


def test_a_side_hidden_by_turns_comes_back_to_be_seen(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="blink"))
    assert seen(view) == ["Measured CD3E"]
    for mode in ("difference", "one"):
        view.expression.paint(Painting("CD3E", mode=mode))
    assert seen(view) == ["Measured CD3E", "Predicted CD3E"]


def test_a_deleted_layer_stays_deleted_until_asked_for_again(view: StudyView, study: Study) -> None:
    view.expression.paint(Painting("CD3E", mode="difference"))
    view.book.viewer.layers.remove(view.book.get(Role.DIFFERENCE))
    study.set_predicted(table(study.nuclei, seed=4))
    assert view.book.get(Role.DIFFERENCE) is None
    view.expression.paint(Painting("CD3E", mode="difference"))
    assert view.book.get(Role.DIFFERENCE) is not None
    # What is put away is not deleted.
    view.expression.paint(Painting("CD3E", mode="swipe"))
    study.set_predicted(table(study.nuclei, seed=5))
    assert seen(view) == ["Measured CD3E", "Predicted CD3E", "Swipe line"]


def test_keys_are_heard_after_the_active_layer_was_put_away(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="swipe"))
    layers = view.book.viewer.layers
    layers.selection.active = view.book.get(Role.SWIPE_LINE)
    view.expression.paint(Painting("CD3E", mode="one"))
    assert layers.selection.active is view.book.get(Role.SLIDE)
    layers.selection.active = view.book.get(Role.MEASURED)
    view.expression.paint(Painting("CD3E", mode="beside"))
    assert layers.selection.active is view.book.get(Role.MEASURED)


def test_a_corrected_pixel_size_reaches_layers_that_were_away(
    view: StudyView, study: Study
) -> None:
    for mode in MODES:
        view.expression.paint(Painting("CD3E", mode=mode))
    study.set_mpp(0.25)
    for mode in MODES:
        view.expression.paint(Painting("CD3E", mode=mode))
        ours = [view.book.get(role) for role in LIST[mode] if role is not Role.SWIPE_LINE]
        assert all(tuple(layer.scale) == (0.25, 0.25) for layer in ours), mode


# Limits drawn by hand


def test_a_limit_of_the_difference_holds_on_both_sides_of_zero(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", mode="difference", difference_limit=0.75))
    assert list(view.book.get(Role.DIFFERENCE).contrast_limits) == [-0.75, 0.75]
    values, limit = view.expression.difference_painted
    assert limit == 0.75
    assert len(values) == len(view.study.nuclei)
    view.expression.paint(Painting("CD3E", mode="difference"))
    high = float(np.percentile(np.abs(values), 99))
    assert view.book.get(Role.DIFFERENCE).contrast_limits[1] == pytest.approx(high, rel=1e-5)
    view.expression.paint(Painting("CD3E"))
    assert view.expression.difference_painted is None


# What can be compared


def test_one_side_alone_is_on_one_canvas(view: StudyView, study: Study) -> None:
    study.set_measured(None)
    for mode in MODES:
        view.expression.paint(Painting("CD3E", mode=mode))
        assert view.expression.stage.mode == "one"
        assert seen(view) == ["Predicted CD3E"]
    assert not view.book.viewer.canvas.grid.enabled


def test_a_mode_that_cannot_be_used_says_why() -> None:
    both = ("measured", "predicted")
    assert "Predict panel" in why_not("swipe", ("predicted",), None, arriving=False)
    gene = Painting("CD3E")
    assert "CD3E" in why_not("blink", ("predicted",), gene, arriving=False)
    assert why_not("one", (), None, arriving=False) == ""
    assert "clusters" in why_not("difference", both, Painting(), arriving=False)
    assert "complete" in why_not("difference", both, gene, arriving=True)
    for mode in MODES:
        assert why_not(mode, both, gene, arriving=False) == ""


def test_a_look_at_the_tissue_leaves_everything_as_it_was(view: StudyView) -> None:
    told: list[bool] = []
    view.expression.paint(Painting("CD3E", mode="swipe"))
    stage = view.expression.stage
    stage.changed.connect(lambda: told.append(stage.peeking))
    stage.peek(True)
    assert seen(view) == []
    assert not view.book.get(Role.NUCLEI).visible
    assert view.book.get(Role.SLIDE).opacity == 1
    stage.peek(False)
    assert seen(view) == ["Measured CD3E", "Predicted CD3E", "Swipe line"]
    assert view.book.get(Role.NUCLEI).visible
    assert view.book.get(Role.SLIDE).opacity < 1
    assert told == [True, False]


def test_a_closed_study_leaves_no_line_and_no_copy(view: StudyView) -> None:
    viewer: Any = view.book.viewer
    before = list(viewer.mouse_drag_callbacks)
    view.expression.paint(Painting("CD3E", mode="swipe"))
    assert viewer.mouse_drag_callbacks != before
    view.close()
    assert viewer.mouse_drag_callbacks == before
    assert not viewer.layers
    assert not viewer.canvas.grid.enabled


def test_what_is_seen_left_of_the_line_is_measured(
    make_napari_viewer: Callable[..., Viewer], study: Study
) -> None:
    viewer = make_napari_viewer(show=True)
    view = StudyView(viewer, study, print)
    view.book.get(Role.NUCLEI).visible = view.book.get(Role.EDITING).visible = False
    view.expression.paint(Painting("CD3E", mode="swipe", slide_opacity=0.0))
    layers = [view.book.get(role) for role in (Role.MEASURED, Role.PREDICTED)]
    # Without writing on the canvas only the cells have colours.
    for layer in layers:
        layer.name_overlay.visible = layer.colorbar.visible = False
    viewer.canvas.overlays.scale_bar.visible = False
    layers[0].colormap, layers[1].colormap = "red", "green"
    picture: Any = viewer.screenshot(canvas_only=True, flash=False)
    middle = picture.shape[1] // 2
    red, green = picture[..., 0] > picture[..., 1] + 40, picture[..., 1] > picture[..., 0] + 40
    assert red[:, : middle - 6].any()
    assert green[:, middle + 6 :].any()
    assert not red[:, middle + 6 :].any()
    assert not green[:, : middle - 6].any()
