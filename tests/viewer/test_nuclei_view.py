"""All nuclei are always on screen: density far away, outlines close by, shapes to edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtWidgets import QApplication

from napari_prts.nuclei import Nuclei, Source
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.editing_window import LIMIT
from napari_prts.viewer.nuclei_overview import NucleiOverview
from napari_prts.viewer.nuclei_tones import FIRST_DENSITY
from napari_prts.viewer.nuclei_view import view_rectangle

MPP = 0.5
SIDE = 4000
ANGLE = np.linspace(0, 2 * np.pi, 12, endpoint=False)
CIRCLE = np.stack([np.sin(ANGLE), np.cos(ANGLE)], axis=1) * 7


def scattered(count: int, seed: int = 0) -> Nuclei:
    rng = np.random.default_rng(seed)
    return Nuclei.from_polygons(rng.uniform(20, SIDE - 20, (count, 1, 2)) + CIRCLE)


@pytest.fixture
def study() -> Study:
    study = Study(Slide.from_array(np.full((SIDE, SIDE, 3), 240, np.uint8), mpp=MPP))
    study.set_nuclei(scattered(3 * LIMIT))
    return study


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def view(make_napari_viewer: Callable[..., Viewer], study: Study, said: list[str]) -> StudyView:
    viewer = make_napari_viewer(show=True)
    # A window gets its size only when its first events have gone through.
    QApplication.processEvents()
    view = StudyView(viewer, study, said.append)
    QApplication.processEvents()
    look(view, SIDE / 2, SIDE / 2, 1.0)
    return view


def look(view: StudyView, row: float, column: float, zoom: float) -> Any:
    """Move the view: ``zoom`` is in screen pixels per level-0 pixel. Return what it looks like."""
    viewer = view.book.viewer
    viewer.scene.camera.center = (row * MPP, column * MPP)
    viewer.scene.camera.zoom = zoom / MPP
    return picture(view)


def picture(view: StudyView) -> Any:
    return view.book.viewer.screenshot(canvas_only=True, flash=False)


def overview(view: StudyView) -> Any:
    layer = view.book.get(Role.NUCLEI)
    assert layer is not None
    return layer


def in_view(view: StudyView) -> set[int]:
    nuclei = view.study.nuclei
    top, left, bottom, right = view_rectangle(view.book.viewer, MPP)
    row, column = nuclei.centroids.T
    inside = (row >= top) & (row < bottom) & (column >= left) & (column < right)
    return set(nuclei.ids[inside].tolist())


def test_density_appears_when_far_and_outlines_when_close(view: StudyView) -> None:
    layer = overview(view)
    look(view, SIDE / 2, SIDE / 2, 0.1)
    far = layer.data[layer.data_level]
    assert far[:].max() >= FIRST_DENSITY
    look(view, SIDE / 2, SIDE / 2, 1.0)
    assert layer.data_level == 0
    assert set(np.unique(layer.data[0][1500:2500, 1500:2500])) == {0, Source.IMPORTED + 1}


def test_the_editing_window_holds_exactly_the_nuclei_in_view(view: StudyView) -> None:
    for row, column in ((1000, 1000), (1100, 1050), (3000, 2500), (-900, 0)):
        look(view, row, column, 1.0)
        count = view.nuclei.follow_view()
        window = view.nuclei.window
        assert window is not None
        assert set(window.ids) == in_view(view)
        assert window.layer.nshapes == count == len(window.ids)


def test_with_too_many_in_view_it_says_so(view: StudyView, said: list[str]) -> None:
    look(view, SIDE / 2, SIDE / 2, 0.05)
    assert view.nuclei.follow_view() > LIMIT
    view.nuclei.start_editing()
    assert view.nuclei.window is not None
    assert view.nuclei.window.layer.nshapes == 0
    assert "zoom in" in said[-1]


def test_after_corrections_the_screen_shows_what_drawing_from_scratch_would(
    view: StudyView, study: Study
) -> None:
    rng = np.random.default_rng(1)
    view.nuclei.follow_view()
    window = view.nuclei.window
    assert window is not None
    for step in range(24):
        kind = step % 5
        if kind == 0 and window.layer.nshapes:
            window.layer.remove([int(rng.integers(window.layer.nshapes))])
        elif kind == 1:
            window.layer.add_polygons(CIRCLE + rng.uniform(1800, 2200, 2))
        elif kind == 2:
            id_ = int(rng.choice(study.nuclei.ids))
            outline = study.nuclei.polygon(int(study.nuclei.positions_of([id_])[0]))
            study.edit(replaced={id_: outline + rng.uniform(-20, 20, 2)})
        elif kind == 3:
            study.undo()
        else:
            study.edit(removed=rng.choice(study.nuclei.ids, 5, replace=False))
        if step % 6 == 0:
            look(view, *rng.uniform(1800, 2200, 2), float(rng.choice([0.1, 0.4, 1.0])))
        # An outline that was drawn stays a shape until the view is followed.
        view.nuclei.follow_view()
        assert set(window.ids) == (in_view(view) if len(in_view(view)) <= LIMIT else set())
    scratch = NucleiOverview(study.slide.shape, MPP)
    scratch.show(study.nuclei)
    for shown, drawn in zip(overview(view).data, scratch.levels, strict=True):
        np.testing.assert_array_equal(shown[:], drawn[:])
    shown = picture(view)
    overview(view).refresh()
    np.testing.assert_array_equal(shown, picture(view))


def test_a_correction_keeps_layer_level_and_neighbours(view: StudyView, study: Study) -> None:
    view.nuclei.follow_view()
    layer = overview(view)
    levels, level = list(layer.data), layer.data_level
    before = picture(view)
    study.edit(removed=[next(iter(in_view(view)))])
    after = picture(view)
    assert overview(view) is layer
    assert layer.data_level == level
    assert all(now is then for now, then in zip(layer.data, levels, strict=True))
    changed = (before != after).any(axis=-1)
    assert changed.any()
    assert changed.mean() < 0.01


def test_nuclei_appear_while_they_are_found(view: StudyView, study: Study) -> None:
    study.set_nuclei(scattered(100))
    found = [scattered(50, seed) for seed in (1, 2, 3)]
    drawn = None
    for part in found:
        drawn = view.nuclei.show_partial(part, drawn)
    assert drawn is not None
    assert len(drawn) == 250
    scratch = NucleiOverview(study.slide.shape, MPP)
    scratch.show(drawn)
    for shown, wanted in zip(overview(view).data, scratch.levels, strict=True):
        np.testing.assert_array_equal(shown[:], wanted[:])
    study.set_nuclei(found[0])
    assert (np.asarray(overview(view).data[0][:]) > 0).sum() < (scratch.levels[0][:] > 0).sum()


def test_a_deleted_editing_layer_leaves_the_nuclei_on_screen(view: StudyView, study: Study) -> None:
    viewer = view.book.viewer
    viewer.layers.remove(view.book.get(Role.EDITING))
    study.edit(removed=study.nuclei.ids[:3])
    assert overview(view).data[-1].any()
    assert view.book.get(Role.EDITING) is None
    view.nuclei.start_editing()
    assert view.book.get(Role.EDITING) is not None


def test_another_pixel_size_is_followed(view: StudyView, study: Study) -> None:
    study.set_mpp(1.0)
    layer = overview(view)
    np.testing.assert_allclose(layer.scale, (1.0, 1.0))
    scratch = NucleiOverview(study.slide.shape, 1.0)
    scratch.show(study.nuclei)
    for shown, wanted in zip(layer.data, scratch.levels, strict=False):
        np.testing.assert_array_equal(shown[:], wanted[:])


def test_the_status_line_says_what_a_colour_means(view: StudyView) -> None:
    layer = overview(view)
    row, column = view.study.nuclei.polygon(0)[0]
    look(view, row, column, 1.0)
    said = str(layer.get_status((row * MPP, column * MPP), world=True))
    assert "imported" in said
