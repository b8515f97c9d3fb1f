"""The tools without a window: what mouse, marks and camera do to study and layers."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._proxies import ReadOnlyWrapper
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_prts.nuclei import Nuclei, Source
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.tools import NucleiTools
from napari_prts.viewer.tools_list import Tool
from tests.nuclei.outlines import circle

MPP = 0.5
OUTLINES = [circle(50, 50, 10), circle(50, 66, 10), circle(120, 50, 10), circle(250, 250, 10)]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def clicked() -> list[tuple[float, float]]:
    """Where a nucleus was to be grown."""
    return []


@pytest.fixture
def view(said: list[str]) -> Iterator[StudyView]:
    study = Study(Slide.from_array(np.full((300, 300, 3), 240, np.uint8), mpp=MPP), autosave=False)
    study.set_nuclei(
        Nuclei.from_polygons(OUTLINES, scores=[0.9, 0.9, 0.5, 0.9], source=Source.STARDIST)
    )
    view = StudyView(ViewerModel(), study, said.append)
    yield view
    view.close()


@pytest.fixture
def tools(
    view: StudyView, said: list[str], clicked: list[tuple[float, float]]
) -> Iterator[NucleiTools]:
    tools = NucleiTools(view, lambda *place: clicked.append(place), said.append, said.append)
    yield tools
    tools.close()


def drag(view: StudyView, places: list[Any], button: int = 1, modifiers: tuple = ()) -> None:
    """Press at the first place, move over the others, let go at the last."""
    viewer = view.book.viewer

    def send(callbacks: Any, kind: str, place: Any, dragging: bool) -> None:
        event = SimpleNamespace(
            type=kind,
            position=(place[0] * MPP, place[1] * MPP),
            pos=np.array(place[::-1], float) * 3,
            button=button,
            modifiers=modifiers,
            is_dragging=dragging,
        )
        callbacks(viewer, ReadOnlyWrapper(event))

    send(mouse_press_callbacks, "mouse_press", places[0], False)
    for place in places[1:]:
        send(mouse_move_callbacks, "mouse_move", place, True)
    send(mouse_release_callbacks, "mouse_release", places[-1], False)


def test_a_tool_keeps_the_view_still_only_while_it_draws(
    tools: NucleiTools, view: StudyView
) -> None:
    camera = view.book.viewer.scene.camera
    tools.start(Tool.LASSO)
    assert not camera.mouse_pan
    tools.start(Tool.GROW)
    assert camera.mouse_pan
    tools.start(Tool.SPLIT)
    tools.stop()
    assert camera.mouse_pan
    assert tools.tool is Tool.NONE


def test_a_click_grows_and_a_drag_moves_the_view(
    tools: NucleiTools, view: StudyView, clicked: list[tuple[float, float]]
) -> None:
    tools.start(Tool.GROW)
    drag(view, [(200, 210)])
    assert clicked == [(200.0, 210.0)]
    drag(view, [(200, 210), (220, 210)])
    drag(view, [(200, 210)], button=2)
    assert len(clicked) == 1


def test_the_stroke_is_shown_while_it_is_drawn(tools: NucleiTools, view: StudyView) -> None:
    tools.start(Tool.LASSO)
    layer = tools.marks.layer
    assert layer is not None
    assert not layer.visible
    seen = []
    layer.events.visible.connect(lambda: seen.append((layer.visible, layer.nshapes)))
    drag(view, [(30, 30), (30, 90), (70, 90), (70, 30)])
    assert seen == [(True, 1), (False, 0)]
    assert view.study.nuclei.ids.tolist() == [2, 3]


def test_marks_never_become_the_active_layer(tools: NucleiTools, view: StudyView) -> None:
    for tool in (Tool.LASSO, Tool.MERGE, Tool.SPLIT):
        tools.start(tool)
        assert view.book.viewer.layers.selection.active is view.book.get(Role.EDITING)
    layer = tools.marks.layer
    view.book.viewer.layers.remove(layer)
    tools.start(Tool.LASSO)
    drag(view, [(30, 30), (30, 90), (70, 90), (70, 30)])
    assert len(view.study.nuclei) == 2


def test_another_mode_of_the_editing_layer_is_another_tool(
    tools: NucleiTools, view: StudyView
) -> None:
    tools.start(Tool.SELECT)
    layer = view.book.get(Role.EDITING)
    assert layer is not None
    layer.mode = "direct"
    assert tools.tool is Tool.RESHAPE
    layer.mode = "pan_zoom"
    assert tools.tool is Tool.NONE
    tools.start(Tool.LASSO)
    layer.mode = "select"
    tools.settle()
    assert tools.tool is Tool.SELECT
    assert str(layer.mode) == "select"


def test_picked_nuclei_that_vanish_are_picked_no_more(tools: NucleiTools, view: StudyView) -> None:
    tools.start(Tool.MERGE)
    drag(view, [(50, 45)])
    assert tools.picked == (0,)
    view.study.edit(removed=[0])
    assert tools.picked == ()


def test_shift_collects_more_than_two_to_merge(tools: NucleiTools, view: StudyView) -> None:
    view.study.edit(added=[circle(50, 82, 10)])
    tools.start(Tool.MERGE)
    drag(view, [(50, 45)], modifiers=("Shift",))
    drag(view, [(50, 66)], modifiers=("Shift",))
    assert len(view.study.nuclei) == 5
    drag(view, [(50, 87)])
    assert len(view.study.nuclei) == 3
    assert view.study.undo_label == "merge 3 nuclei"


def test_the_camera_moves_no_more_than_it_must(tools: NucleiTools, view: StudyView) -> None:
    viewer = view.book.viewer
    viewer.canvas.size = (600, 600)
    camera = viewer.scene.camera
    camera.zoom = 600 / (900 * MPP)
    tools.tour.start()
    assert tools.tour.shown == 2
    row, column, height, _ = view.region.in_view()
    assert 20 / height == pytest.approx(1 / 6, rel=0.05)
    assert (row + height / 2, column + height / 2) == pytest.approx((120, 50), abs=31)
    tools.tour.end()
    camera.zoom /= 2
    before = camera.center, camera.zoom
    tools.tour.start()
    assert (camera.center, camera.zoom) == before


def test_accepting_a_nucleus_that_was_reshaped_meanwhile_only_goes_on(
    tools: NucleiTools, view: StudyView, said: list[str]
) -> None:
    tools.tour.start()
    view.study.edit(replaced={2: circle(120, 50, 12)}, label="move outline")
    assert tools.tour.running
    tools.tour.accept()
    assert view.study.undo_label == "move outline"
    assert "Review finished: 1 nucleus seen." in said
    assert not tools.tour.running


def test_nothing_to_review_is_said(tools: NucleiTools, view: StudyView, said: list[str]) -> None:
    view.study.set_nuclei(Nuclei.from_polygons(OUTLINES))
    tools.tour.start()
    assert "No nucleus is uncertain" in said[-1]
    assert not tools.tour.running


def test_closing_gives_the_viewer_back(view: StudyView, said: list[str]) -> None:
    viewer = view.book.viewer
    before = len(viewer.mouse_drag_callbacks)
    tools = NucleiTools(view, lambda *_: None, said.append, said.append)
    tools.start(Tool.LASSO)
    tools.close()
    assert len(viewer.mouse_drag_callbacks) == before
    assert "Marked" not in viewer.layers
    slide = view.book.get(Role.SLIDE)
    assert slide is not None
    assert not slide.keymap
