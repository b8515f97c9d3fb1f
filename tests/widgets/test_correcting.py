"""Correcting nuclei by hand: real mouse and keys on the canvas of a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, Source
from napari_prts.segmentation import SegmentRequest, segment
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.viewer.tools import NucleiTools
from napari_prts.viewer.tools_list import Tool
from napari_prts.widgets import Workspace
from tests.nuclei.outlines import circle
from tests.widgets.canvas import CONTROL, SHIFT, Hand
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Key = Qt.Key
# Two that touch, one beside them, two far away.
OUTLINES = [
    circle(100, 100, 10),
    circle(100, 118, 10),
    circle(140, 100, 10),
    circle(300, 300, 10),
    circle(300, 340, 10),
]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in notifications."""
    said: list[str] = []
    for module in ("_jobs", "_nuclei_panel", "_correct_tools"):
        for kind in ("show_error", "show_warning", "show_info"):
            name = f"napari_prts.widgets.{module}.{kind}"
            monkeypatch.setattr(name, said.append, raising=False)
    return said


@pytest.fixture
def bench(workspace: Workspace, tissue_slide: Slide, told: list[str], qtbot: QtBot) -> Workspace:
    """A window with five round nuclei, the Nuclei panel in front."""
    study = Study(tissue_slide)
    workspace.session.show(study)
    wait(qtbot, workspace)
    scores = [0.9, 0.9, 0.55, 0.5, 0.95]
    study.set_nuclei(Nuclei.from_polygons(OUTLINES, scores=scores, source=Source.STARDIST))
    workspace.tabs.setCurrentWidget(workspace.nuclei)
    return workspace


@pytest.fixture
def hand(bench: Workspace) -> Hand:
    hand = Hand(bench)
    hand.look(120, 110, 200)
    return hand


def study_of(workspace: Workspace) -> Study:
    study = workspace.session.study
    assert study is not None
    return study


def tools_of(workspace: Workspace) -> NucleiTools:
    tools = workspace.nuclei.correct.tools
    assert tools is not None
    return tools


def marked(workspace: Workspace) -> bool:
    """Whether something is marked on the canvas."""
    return any(x.visible for x in workspace.session.viewer.layers if x.name == "Marked")


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def too_many_to_edit(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the nuclei as on a large slide seen from afar: none is a shape."""
    monkeypatch.setattr("napari_prts.viewer.nuclei_view.LIMIT", 2)
    view = workspace.session.view
    assert view is not None
    view.nuclei.refresh()
    view.nuclei.follow_view()
    assert view.nuclei.window is not None
    assert view.nuclei.window.layer.nshapes == 0


def test_each_tool_has_a_button_and_a_key(bench: Workspace, hand: Hand, qtbot: QtBot) -> None:
    tools, buttons = tools_of(bench), bench.nuclei.correct.buttons
    for tool, key in (
        (Tool.SELECT, Key.Key_S),
        (Tool.RESHAPE, Key.Key_E),
        (Tool.DRAW, Key.Key_D),
        (Tool.GROW, Key.Key_G),
        (Tool.MERGE, Key.Key_M),
        (Tool.SPLIT, Key.Key_X),
        (Tool.LASSO, Key.Key_L),
    ):
        click(qtbot, buttons[tool])
        assert tools.tool is tool
        assert buttons[tool].isChecked()
        assert bench.nuclei.correct.hint.text()
        click(qtbot, buttons[tool])
        assert tools.tool is Tool.NONE
        hand.press(key)
        assert tools.tool is tool
        assert [which for which, made in buttons.items() if made.isChecked()] == [tool]


def test_the_keys_work_whichever_of_our_layers_is_active(bench: Workspace, hand: Hand) -> None:
    book = bench.session.view.book  # type: ignore[union-attr]
    for role in (Role.SLIDE, Role.EDITING):
        bench.session.viewer.layers.selection.active = book.get(role)
        hand.press(Key.Key_L)
        assert tools_of(bench).tool is Tool.LASSO
        hand.press(Key.Key_Escape)
        assert tools_of(bench).tool is Tool.NONE


def test_a_layer_of_the_users_own_keeps_its_keys_and_ends_the_tool(
    bench: Workspace, hand: Hand, qtbot: QtBot
) -> None:
    hand.press(Key.Key_L)
    own = bench.session.viewer.add_points(np.array([[10.0, 10.0]]))
    qtbot.waitUntil(lambda: tools_of(bench).tool is Tool.NONE)
    hand.press(Key.Key_S)
    assert str(own.mode) == "select"
    assert tools_of(bench).tool is Tool.NONE


def test_click_selects_and_delete_deletes(bench: Workspace, hand: Hand) -> None:
    hand.press(Key.Key_S)
    hand.click((100, 100))
    assert tools_of(bench).selected() == [0]
    hand.press(Key.Key_Delete)
    assert study_of(bench).nuclei.ids.tolist() == [1, 2, 3, 4]
    assert bench.nuclei.undo_button.words == "Undo delete 1 nucleus"
    hand.press(Key.Key_Z, CONTROL)
    assert study_of(bench).nuclei.ids.tolist() == [0, 1, 2, 3, 4]
    assert bench.nuclei.redo_button.words == "Redo delete 1 nucleus"
    hand.press(Key.Key_Z, CONTROL | SHIFT)
    assert len(study_of(bench).nuclei) == 4
    assert "1 removed" in bench.nuclei.state.text()


def test_drag_a_vertex(bench: Workspace, hand: Hand) -> None:
    hand.press(Key.Key_E)
    hand.click((140, 100))
    corner = study_of(bench).nuclei.polygon(2)[0]
    hand.drag([corner, corner + 3, corner + 6])
    changed = study_of(bench).nuclei
    assert changed.sources[2] == Source.EDITED
    assert np.abs(changed.polygon(2) - (corner + 6)).sum(axis=1).min() < 2


def test_draw_a_nucleus(bench: Workspace, hand: Hand) -> None:
    hand.press(Key.Key_D)
    for place in ((180, 180), (180, 195), (195, 195), (195, 180)):
        hand.click(place)
    hand.press(Key.Key_Return)
    nuclei = study_of(bench).nuclei
    assert len(nuclei) == 6
    assert nuclei.sources[-1] == Source.MANUAL
    np.testing.assert_allclose(nuclei.centroids[-1], (187.5, 187.5), atol=1.5)


def test_merge_the_selected(bench: Workspace, hand: Hand) -> None:
    hand.press(Key.Key_S)
    hand.click((100, 95))
    hand.click((100, 123), SHIFT)
    hand.press(Key.Key_M)
    assert study_of(bench).nuclei.ids.tolist() == [0, 2, 3, 4]
    assert bench.nuclei.undo_button.words == "Undo merge 2 nuclei"
    hand.press(Key.Key_Z)
    assert len(study_of(bench).nuclei) == 5


def test_merge_those_clicked_one_after_another(bench: Workspace, hand: Hand) -> None:
    hand.press(Key.Key_M)
    hand.click((100, 95))
    assert tools_of(bench).picked == (0,)
    assert marked(bench)
    hand.click((100, 123))
    assert study_of(bench).nuclei.ids.tolist() == [0, 2, 3, 4]
    assert tools_of(bench).tool is Tool.MERGE
    hand.press(Key.Key_Escape)
    assert not marked(bench)


def test_what_cannot_be_merged_is_told(bench: Workspace, hand: Hand, told: list[str]) -> None:
    hand.press(Key.Key_M)
    hand.click((100, 95))
    hand.click((140, 100))
    assert len(study_of(bench).nuclei) == 5
    assert "apart" in told[-1]


def test_split_by_a_stroke(bench: Workspace, hand: Hand, told: list[str]) -> None:
    hand.press(Key.Key_X)
    hand.drag([(140, 85), (140, 95), (140, 105), (140, 115)])
    nuclei = study_of(bench).nuclei
    assert len(nuclei) == 6
    assert bench.nuclei.undo_button.words == "Undo split nucleus"
    hand.drag([(170, 60), (175, 70), (180, 80)])
    assert len(study_of(bench).nuclei) == 6
    assert "divides no nucleus" in told[-1]


def test_lasso_deletes_in_one_step_and_shows_the_line(bench: Workspace, hand: Hand) -> None:
    camera = bench.session.viewer.scene.camera
    before = camera.center
    hand.press(Key.Key_L)
    hand.drag([(80, 80), (80, 140), (120, 140), (120, 80), (82, 80)])
    assert study_of(bench).nuclei.ids.tolist() == [2, 3, 4]
    assert bench.nuclei.undo_button.words == "Undo delete 2 nuclei in lasso"
    assert camera.center == before
    click_undo = bench.nuclei.undo_button
    click_undo.click()
    assert len(study_of(bench).nuclei) == 5


def test_a_lasso_around_nothing_is_told(bench: Workspace, hand: Hand, told: list[str]) -> None:
    hand.press(Key.Key_L)
    hand.drag([(180, 180), (180, 200), (200, 200), (200, 180)])
    assert "nothing was deleted" in told[-1]


def test_the_panel_says_whether_those_in_view_can_be_edited(
    bench: Workspace, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    monkeypatch.setattr("napari_prts.widgets._nuclei_panel.LIMIT", 2)
    too_many_to_edit(bench, monkeypatch)
    bench.nuclei.refresh()
    assert "Zoom in until no more than 2 are in view" in bench.nuclei.state.text()
    camera = bench.session.viewer.scene.camera
    first = study_of(bench).nuclei.centroids[0] * (study_of(bench).slide.mpp or 1.0)
    camera.center, camera.zoom = (0.0, *first), 400
    qtbot.waitUntil(lambda: "in view can be edited" in bench.nuclei.state.text(), timeout=10_000)
    camera.zoom = 0.5
    qtbot.waitUntil(lambda: "Zoom in until" in bench.nuclei.state.text(), timeout=10_000)


@pytest.mark.parametrize("tool", ["select", "lasso", "split", "merge"])
def test_tools_work_with_too_many_nuclei_in_view(
    bench: Workspace, hand: Hand, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_many_to_edit(bench, monkeypatch)
    study = study_of(bench)
    if tool == "select":
        hand.press(Key.Key_S)
        hand.click((100, 95))
        hand.click((140, 100), SHIFT)
        hand.press(Key.Key_Backspace)
        assert study.nuclei.ids.tolist() == [1, 3, 4]
    elif tool == "lasso":
        hand.press(Key.Key_L)
        hand.drag([(80, 80), (80, 140), (120, 140), (120, 80)])
        assert study.nuclei.ids.tolist() == [2, 3, 4]
    elif tool == "split":
        hand.press(Key.Key_X)
        hand.drag([(140, 85), (140, 100), (140, 115)])
        assert len(study.nuclei) == 6
    else:
        hand.press(Key.Key_M)
        hand.click((100, 95))
        hand.click((100, 123))
        assert study.nuclei.ids.tolist() == [0, 2, 3, 4]


def test_grow_nuclei_by_clicks_that_queue(
    workspace: Workspace, tissue_slide: Slide, told: list[str], qtbot: QtBot
) -> None:
    study = Study(tissue_slide)
    workspace.session.show(study)
    wait(qtbot, workspace)
    found = run(segment(tissue_slide, SegmentRequest(region=(200.0, 200.0, 160.0, 160.0))))
    sure = np.argsort(found.scores)[-2:]
    hand = Hand(workspace)
    hand.look(280, 280, 250)
    click(qtbot, workspace.nuclei.correct.buttons[Tool.GROW])
    growing = workspace.nuclei.correct.growing
    for place in sure.tolist():
        hand.click(found.centroids[place])
    assert growing.running is not None
    assert not len(study.nuclei)
    qtbot.waitUntil(lambda: len(study.nuclei) == 2 and growing.running is None, timeout=120_000)
    for place in sure.tolist():
        distance = np.hypot(*(study.nuclei.centroids - found.centroids[place]).T)
        assert distance.min() < 1.5
    assert (study.nuclei.sources == Source.MANUAL).all()
    assert workspace.nuclei.undo_button.words == "Undo grow nucleus"
    # A second click in the same nucleus takes the place of the first.
    hand.click(found.centroids[sure[0]])
    qtbot.waitUntil(lambda: "Replaced 1 nucleus there." in told, timeout=60_000)
    assert len(study.nuclei) == 2


def test_find_again_keeps_what_was_drawn_by_hand(
    bench: Workspace, hand: Hand, told: list[str], qtbot: QtBot
) -> None:
    study = study_of(bench)
    (drawn,) = study.edit(added=[circle(200, 200, 9)])
    hand.look(200, 200, 260)
    click(qtbot, bench.nuclei.correct.again_button)
    assert bench.session.jobs.running is not None
    wait(qtbot, bench)
    assert drawn in study.nuclei.ids
    assert 3 in study.nuclei.ids or 4 in study.nuclei.ids
    assert (study.nuclei.sources == Source.STARDIST).sum() > 5
    assert "1 corrected by hand stay" in told[-1]
    assert bench.nuclei.undo_button.words == "Undo find nuclei again in region"
    click(qtbot, bench.nuclei.undo_button)
    assert len(study.nuclei) == 6


@pytest.fixture
def uncertain(bench: Workspace) -> Workspace:
    """Thirty nuclei in a row, three of them uncertain: the first, the tenth and the last."""
    outlines = [circle(50 + 20 * (i % 30), 60 + 24 * (i // 30), 8) for i in range(30)]
    scores = np.full(30, 0.9)
    scores[[0, 9, 29]] = 0.5, 0.55, 0.6
    study_of(bench).set_nuclei(
        Nuclei.from_polygons(outlines, scores=scores, source=Source.STARDIST)
    )
    return bench


def in_view(workspace: Workspace, id_: int) -> bool:
    view = workspace.session.view
    assert view is not None
    row, column, height, width = view.region.in_view()
    nuclei = study_of(workspace).nuclei
    at = nuclei.centroids[nuclei.positions_of([id_])[0]]
    return bool(row < at[0] < row + height and column < at[1] < column + width)


def test_review_by_keys(uncertain: Workspace, told: list[str], qtbot: QtBot) -> None:
    hand = Hand(uncertain)
    hand.look(350, 350, 700)
    tour, bar, study = tools_of(uncertain).tour, uncertain.nuclei.review, study_of(uncertain)
    qtbot.waitUntil(lambda: "3 uncertain" in bar.words.text())
    before = study.nuclei
    click(qtbot, bar.start_button)
    assert bar.words.text().startswith("3 uncertain, 0 done")
    first = tour.shown
    assert first == 0
    assert in_view(uncertain, first)
    assert marked(uncertain)

    hand.press(Key.Key_A)
    assert study.nuclei.sources[0] == Source.EDITED
    assert bar.words.text().startswith("2 uncertain, 1 done")
    second = tour.shown
    assert second in (9, 29)
    assert in_view(uncertain, second)
    hand.press(Key.Key_N)
    third = tour.shown
    assert {second, third} == {9, 29}
    hand.press(Key.Key_P)
    assert tour.shown == second

    hand.press(Key.Key_R)
    assert second not in study.nuclei.ids
    assert uncertain.nuclei.undo_button.words == "Undo reject nucleus"
    hand.press(Key.Key_Z)
    assert second in study.nuclei.ids
    assert tour.shown == second
    assert in_view(uncertain, second)

    hand.press(Key.Key_R)
    hand.press(Key.Key_A)
    assert "Review finished: 3 nuclei seen." in told
    assert not tour.running
    assert not marked(uncertain)
    assert bar.start_button.isVisibleTo(bar)
    hand.press(Key.Key_Z)
    hand.press(Key.Key_Z)
    hand.press(Key.Key_Z)
    assert study.nuclei.hashes.tolist() == before.hashes.tolist()


def test_review_buttons_and_end(uncertain: Workspace, qtbot: QtBot) -> None:
    tour, bar, study = tools_of(uncertain).tour, uncertain.nuclei.review, study_of(uncertain)
    click(qtbot, bar.start_button)
    click(qtbot, bar.accept_button)
    click(qtbot, bar.next_button)
    click(qtbot, bar.previous_button)
    click(qtbot, bar.reject_button)
    assert len(study.nuclei) == 29
    click(qtbot, bar.end_button)
    assert not tour.running
    assert not marked(uncertain)


def test_the_view_stays_while_the_reviewed_nucleus_is_corrected(uncertain: Workspace) -> None:
    hand = Hand(uncertain)
    tour, study = tools_of(uncertain).tour, study_of(uncertain)
    hand.press(Key.Key_N)
    camera = uncertain.session.viewer.scene.camera
    before = camera.center
    study.edit(replaced={0: circle(50, 60, 9)}, label="move outline")
    assert camera.center == before
    assert tour.shown == 0
    assert tour.done == 1
    hand.press(Key.Key_N)
    assert tour.shown in (9, 29)
    assert tour.remaining == 2


def test_reviewing_keys_without_a_review_say_so(
    bench: Workspace, hand: Hand, told: list[str]
) -> None:
    hand.press(Key.Key_A)
    assert "N starts one" in told[-1]


def test_another_slide_ends_tool_and_review(uncertain: Workspace, demo_slide: Slide) -> None:
    hand = Hand(uncertain)
    hand.press(Key.Key_N)
    hand.press(Key.Key_L)
    uncertain.session.show(Study(demo_slide))
    assert tools_of(uncertain).tool is Tool.NONE
    assert not marked(uncertain)
    owners = [getattr(to, "__self__", None) for to in uncertain.session.viewer.mouse_drag_callbacks]
    assert [owner for owner in owners if isinstance(owner, NucleiTools)] == [tools_of(uncertain)]
