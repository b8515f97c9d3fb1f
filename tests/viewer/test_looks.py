"""How values become colours: log, limits, zeros, unsure cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.cell_dots import CellDots
from napari_prts.viewer.cell_picture import CellPicture
from napari_prts.viewer.expression_view import Painting
from napari_prts.viewer.painted_side import limits_of
from napari_prts.viewer.painting import (
    BLUE_TO_YELLOW,
    COLORMAPS,
    NO_COLOUR,
    Limits,
    expression_colormap,
    log_bend,
    log_controls,
)

from .test_painting import alone, at_cells, table

LEFT = np.array([0, 1, 2, 3, 4, np.nan], np.float32)
RIGHT = np.array([0, 10, 20, 30, 40, 50], np.float32)


# Colours


@pytest.mark.parametrize("name", COLORMAPS)
def test_offered_colours_differ_from_nuclei(name: str) -> None:
    shares = np.linspace(0.01, 1, 40)
    red, green, blue = np.asarray(expression_colormap(name).map(shares))[:, :3].T
    brightness = 0.3 * red + 0.59 * green + 0.11 * blue
    if name != "turbo":
        assert (np.diff(brightness) > 0).all(), "dark is little, bright is much"
    if name == BLUE_TO_YELLOW:
        assert (green > red - 0.02)[:-6].all(), "no purple"
        assert (red[-1], green[-1]) == pytest.approx((0.99, 0.91), abs=0.02)


def test_log_colours_are_those_of_the_values_logarithm() -> None:
    span = Limits(0.5, 40.0)
    values = np.array([0.6, 1.0, 5.0, 20.0, 40.0])
    shares = (values - span.low) / (span.high - span.low)
    shown = expression_colormap("viridis", log=span).map(shares)
    low, high = np.log1p([span.low, span.high])
    wanted = expression_colormap("viridis").map((np.log1p(values) - low) / (high - low))
    np.testing.assert_allclose(shown, wanted, atol=0.03)


@given(st.floats(0, 1e5), st.floats(1e-6, 1e6))
def test_log_steps_ascend_from_end_to_end(low: float, span: float) -> None:
    steps = log_controls(log_bend(Limits(low, low + span + 1e-6 * low)), 256)
    assert (steps[0], steps[-1]) == (0, 1)
    assert (np.diff(steps) >= 0).all()


def test_few_colormaps_serve_all_genes() -> None:
    # napari never forgets a colormap.
    rng = np.random.default_rng(0)
    spans = rng.uniform(0.5, 200, 1000)
    maps = {expression_colormap("viridis", log=Limits(0.1, span)).name for span in spans}
    assert len(maps) < 25


def test_hidden_zeros_have_no_colour() -> None:
    zero = expression_colormap("viridis", hide_zeros=True).map([0.0])[0]
    np.testing.assert_array_equal(zero, NO_COLOUR)


# Limits


def test_percentiles_are_of_both_sides_or_of_each() -> None:
    values = {"measured": LEFT, "predicted": RIGHT}
    ends = (0.0, 100.0)
    both = limits_of(values, Painting("A", percentiles=ends))
    assert set(both.values()) == {Limits(1, 50)}
    own = limits_of(values, Painting("A", percentiles=ends, shared_limits=False))
    assert own == {"measured": Limits(1, 4), "predicted": Limits(10, 50)}


def test_limits_drawn_by_hand_hold_for_both() -> None:
    by_hand = Painting("A", limits=Limits(2, 3), shared_limits=False)
    assert set(limits_of({"measured": LEFT, "predicted": RIGHT}, by_hand).values()) == {
        Limits(2, 3)
    }


# In the viewer


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    made = Study(tissue_slide, autosave=False)
    made.set_nuclei(tissue_nuclei)
    predicted = table(tissue_nuclei)
    # Every third cell is as unlike the training cells as can be, every third half as much.
    predicted.obs["confidence"] = np.resize(np.float32([0.0, 0.1, 0.9]), len(tissue_nuclei))
    made.set_predicted(predicted)
    made.set_measured(table(tissue_nuclei, seed=1))
    return made


@pytest.fixture
def view(study: Study) -> StudyView:
    return StudyView(ViewerModel(), study, print)


def test_a_style_changes_colours_and_not_values(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E"))
    layer = view.book.get(Role.PREDICTED)
    before = np.asarray(layer.data[0])
    span = list(layer.contrast_limits)
    view.expression.paint(Painting("CD3E", log=True, hide_zeros=True))
    assert view.book.get(Role.PREDICTED) is layer
    np.testing.assert_array_equal(np.asarray(layer.data[0]), before)
    assert layer.contrast_limits == span
    assert "log" in layer.colormap.name
    np.testing.assert_array_equal(layer.colormap.low_color, NO_COLOUR)


def test_log_follows_the_limits(view: StudyView) -> None:
    view.expression.paint(Painting("CD3E", log=True))
    layer = view.book.get(Role.PREDICTED)
    for span in (Limits(1.0, 3.0), Limits(1.0, 300.0)):
        view.expression.paint(Painting("CD3E", log=True, limits=span))
        assert layer.contrast_limits == [span.low, span.high]
        steps = log_controls(log_bend(span), 256)
        np.testing.assert_allclose(layer.colormap.controls, steps, atol=1e-6)


def test_the_view_tells_its_limits_and_values(view: StudyView, study: Study) -> None:
    assert view.expression.limits == view.expression.values == {}
    view.expression.paint(Painting("CD3E", shared_limits=False))
    for side, role in (("measured", Role.MEASURED), ("predicted", Role.PREDICTED)):
        span = view.expression.limits[side]
        assert view.book.get(role).contrast_limits == [span.low, span.high]
        assert len(view.expression.values[side]) == len(study.nuclei)
    view.expression.clear()
    assert view.expression.limits == {}


def drawn(view: StudyView, role: Role) -> NDArray[np.float64]:
    """Share of each lone cell's pixels that are drawn."""
    study, picture = view.study, np.asarray(view.book.get(role).data[0])
    shares = []
    for row, column in np.rint(study.nuclei.centroids[alone(study.nuclei)]).astype(int):
        inside = picture[max(row - 4, 0) : row + 4, max(column - 4, 0) : column + 4]
        shares.append(np.isfinite(inside).mean())
    return np.array(shares)


def test_unsure_cells_are_thinned_out_on_the_predicted_side(view: StudyView, study: Study) -> None:
    view.expression.paint(Painting("CD3E"))
    np.testing.assert_array_equal(drawn(view, Role.PREDICTED), 1)
    view.expression.paint(Painting("CD3E", dim_unsure=True))
    shares, kinds = drawn(view, Role.PREDICTED), alone(study.nuclei) % 3
    # An eighth of the pixels for 0.15, nine of sixteen for 0.575, all for the sure ones.
    np.testing.assert_allclose(shares[kinds == 0], 0.15, atol=0.05)
    np.testing.assert_allclose(shares[kinds == 1], 0.575, atol=0.05)
    np.testing.assert_array_equal(shares[kinds == 2], 1)
    np.testing.assert_array_equal(drawn(view, Role.MEASURED), 1)
    # Their values are still found under the mouse, and come back.
    cell = alone(study.nuclei)[0]
    assert view.expression.cell_at("predicted", *study.nuclei.centroids[cell]).value is not None
    view.expression.paint(Painting("CD3E", dim_unsure=False))
    np.testing.assert_array_equal(drawn(view, Role.PREDICTED), 1)


def test_predictions_that_know_no_confidence_are_drawn_in_full(
    view: StudyView, study: Study
) -> None:
    study.set_predicted(table(study.nuclei))
    view.expression.paint(Painting("CD3E", dim_unsure=True))
    assert np.isfinite(at_cells(view, Role.PREDICTED, alone(study.nuclei))).all()


def test_from_afar_unsure_cells_are_fewer() -> None:
    rng = np.random.default_rng(0)
    dots = CellDots(rng.uniform(0, 4000, (20_000, 2)).astype(np.float32), (4000, 4000), 18.0)
    picture = CellPicture(dots.shape)
    values = np.ones(len(dots), np.float32)
    picture.show(dots, values)
    every = np.isfinite(picture.levels[-1]).sum()
    picture.show(dots, values, np.full(len(dots), 0.5, np.float32))
    assert np.isfinite(picture.levels[-1]).sum() == pytest.approx(every / 2, rel=0.05)
