"""The compare bar, bins in the place of cells, and keys: real clicks and keys in a real window."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from napari.layers import Image, Labels, Points, Shapes
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QLabel

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.visium_hd import simulate_visium_hd
from napari_prts.widgets import Workspace
from napari_prts.widgets._shortcuts_list import GROUPS, LOOKING, as_markdown, written
from napari_prts.widgets.explore._compare_bar import CompareBar
from napari_prts.widgets.explore._compare_bins import TAG
from tests.widgets.canvas import Hand
from tests.widgets.conftest import wait

GENES = ("KRT5", "CD3E", "EPCAM")


def table(nuclei: Nuclei, seed: int, genes: tuple[str, ...] = GENES, **about: Any) -> AnnData:
    """Made-up counts."""
    values = np.random.default_rng(seed).gamma(2.0, 2.0, (len(nuclei), len(genes)))
    return AnnData(
        values.astype(np.float32),
        pd.DataFrame({"id": nuclei.ids}, index=nuclei.ids.astype(str)),
        pd.DataFrame(index=list(genes)),
        obsm={"spatial": nuclei.centroids[:, ::-1].copy()},
        uns=about,
    )


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    study = Study(tissue_slide, autosave=False)
    study.set_nuclei(tissue_nuclei)
    study.set_predicted(table(study.nuclei, 0))
    study.set_measured(table(study.nuclei, 1))
    return study


@pytest.fixture
def ready(workspace: Workspace, study: Study) -> Workspace:
    """A gene is painted on both sides, and the Explore tab is open."""
    workspace.session.show(study)
    workspace.tabs.setCurrentWidget(workspace.explore)
    workspace.session.brush.paint_gene("CD3E")
    return workspace


@pytest.fixture
def hand(ready: Workspace) -> Hand:
    """A hand on the canvas, with the slide as the active layer."""
    viewer = ready.session.viewer
    viewer.window._qt_window.show()
    viewer.layers.selection.active = viewer.layers["H&E"]
    return Hand(ready)


def bar(workspace: Workspace) -> CompareBar:
    return workspace.explore.compare


def choose(workspace: Workspace, mode: str) -> None:
    """Choose a mode in the compare bar."""
    combo = bar(workspace).mode
    combo.setCurrentIndex(combo.findData(mode))


def seen(workspace: Workspace) -> set[str]:
    """Layers of cells and bins that are switched on."""
    roles = (Role.MEASURED, Role.BINS, Role.PREDICTED, Role.DIFFERENCE)
    assert workspace.session.view is not None
    layers = [workspace.session.view.book.get(role) for role in roles]
    return {layer.name for layer in layers if layer is not None and layer.visible}


def enabled(workspace: Workspace) -> set[str]:
    """Modes that the compare bar offers."""
    model: Any = bar(workspace).mode.model()
    modes = [bar(workspace).mode.itemData(at) for at in range(bar(workspace).mode.count())]
    return {mode for at, mode in enumerate(modes) if model.item(at).isEnabled()}


# The bar


def test_modes_and_sides_are_chosen_in_the_bar(ready: Workspace, qtbot: QtBot) -> None:
    assert enabled(ready) == {"beside", "swipe", "blink", "difference", "one"}
    grid = ready.session.viewer.canvas.grid
    assert grid.enabled
    choose(ready, "swipe")
    assert not grid.enabled
    assert seen(ready) == {"Measured CD3E", "Predicted CD3E"}
    choose(ready, "difference")
    assert seen(ready) == {"Predicted minus measured CD3E"}
    assert not bar(ready).swap_button.isEnabled()
    assert "log(1 + count)" in bar(ready).mode.toolTip()
    choose(ready, "beside")
    assert seen(ready) == {"Measured CD3E", "Predicted CD3E"}

    qtbot.mouseClick(bar(ready).swap_button, Qt.MouseButton.LeftButton)
    names = [layer.name for layer in ready.session.viewer.layers]
    assert names.index("Predicted CD3E") < names.index("Measured CD3E")
    qtbot.mouseClick(bar(ready).clear_button, Qt.MouseButton.LeftButton)
    assert not seen(ready)
    assert not bar(ready).clear_button.isEnabled()
    # The style stays for the next gene.
    ready.session.brush.paint_gene("KRT5")
    assert bar(ready).swap_button.isChecked()
    assert ready.session.brush.style.swapped


def test_what_cannot_be_compared_is_greyed_and_says_why(
    workspace: Workspace, study: Study, tmp_path: Path
) -> None:
    assert enabled(workspace) == {"one"}, "no slide"
    assert not bar(workspace).clear_button.isEnabled()
    bar(workspace).next_mode()
    bar(workspace).swap()

    gone = tmp_path / "run" / "square_002um"
    gone.mkdir(parents=True)
    study.set_measured(table(study.nuclei, 1, visium_hd={"path": str(gone)}))
    workspace.session.show(study)
    workspace.session.brush.paint_gene("CD3E")
    choice = bar(workspace).bins.choice
    assert choice.isEnabled()
    choose(workspace, "difference")
    assert not choice.isEnabled()
    assert "of cells" in choice.toolTip()
    choose(workspace, "beside")
    shutil.rmtree(gone)
    bar(workspace).refresh()
    assert not choice.isEnabled()
    assert str(gone) in choice.toolTip()
    study.set_measured(table(study.nuclei, 1))
    assert not choice.isEnabled()
    assert "do not say" in choice.toolTip()

    study.set_measured(None)
    assert bar(workspace).bins.isHidden()
    assert enabled(workspace) == {"one"}, "one side"
    assert not bar(workspace).swap_button.isEnabled()
    combo = bar(workspace).mode
    why = combo.itemData(combo.findData("swipe"), Qt.ItemDataRole.ToolTipRole)
    assert "CD3E" in why
    workspace.session.brush.clear()
    why = combo.itemData(combo.findData("swipe"), Qt.ItemDataRole.ToolTipRole)
    assert "Predict panel" in why

    assert bar(workspace).minimumSizeHint().width() <= 318
    controls = [*bar(workspace).findChildren(QComboBox), bar(workspace).swap_button]
    assert all(control.toolTip() for control in controls)


def test_sides_alternate_only_while_the_window_is_seen(
    ready: Workspace, study: Study, qtbot: QtBot
) -> None:
    window = ready.session.viewer.window._qt_window
    window.show()
    bar(ready)._turns.setInterval(20)
    choose(ready, "blink")
    assert bar(ready).blinking
    for wanted in ("Predicted CD3E", "Measured CD3E", "Predicted CD3E"):
        qtbot.waitUntil(lambda wanted=wanted: seen(ready) == {wanted}, timeout=10_000)
    window.hide()
    now = seen(ready)
    QTest.qWait(120)
    assert seen(ready) == now
    choose(ready, "one")
    assert not bar(ready).blinking
    assert seen(ready) == {"Measured CD3E", "Predicted CD3E"}

    choose(ready, "blink")
    ready.session.show(Study(study.slide, autosave=False))
    assert not bar(ready).blinking, "another study"
    study.set_predicted(None)
    assert not seen(ready)


# The line


def test_the_line_is_dragged_by_the_mouse_and_moved_by_keys(
    ready: Workspace, hand: Hand, qtbot: QtBot
) -> None:
    choose(ready, "swipe")
    viewer, view = ready.session.viewer, ready.session.view
    assert view is not None
    line, camera = view.expression.stage.line, viewer.scene.camera
    hand.look(350, 450, 400)
    line.move_to(450)
    before = camera.center

    def pointing(column: float, style: str) -> bool:
        # vispy leaves out moves in quick succession.
        hand.move((350, column))
        return str(viewer.cursor.style) == style

    qtbot.waitUntil(lambda: pointing(451, "pointing"))
    hand.drag([(350, 452), (350, 500), (360, 530)])
    assert line.column == pytest.approx(530, abs=3)
    assert camera.center == before
    assert camera.mouse_pan
    # Away from the line the mouse moves the view.
    qtbot.waitUntil(lambda: pointing(400, "standard"))
    hand.drag([(350, 400), (350, 380), (350, 360)])
    assert line.column == pytest.approx(530, abs=3)
    assert camera.center != before

    start = line.column
    hand.press(Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert line.column > start
    hand.press(Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    assert line.column == pytest.approx(start)
    choose(ready, "one")
    hand.press(Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert line.column == pytest.approx(start)


# Bins


@pytest.fixture(scope="module")
def folder(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A simulated section as the machine writes it."""
    path = tmp_path_factory.mktemp("hd")
    simulate_visium_hd(tissue_slide, tissue_nuclei, path, genes=40)
    return path


def test_measured_is_shown_as_bins(
    ready: Workspace, study: Study, folder: Path, qtbot: QtBot
) -> None:
    study.measure(folder, select_genes=False)
    genes = tuple(study.measured.var_names)
    study.set_predicted(table(study.nuclei, 0, genes))
    ready.session.brush.paint_gene(genes[0])
    bins = bar(ready).bins
    for size in (8, 16):
        bins.choice.setCurrentIndex(bins.choice.findData(size))
        bins.choice.activated.emit(bins.choice.currentIndex())
        wait(qtbot, ready)
        assert seen(ready) == {f"Simulated {genes[0]}, {size} um bins", f"Predicted {genes[0]}"}
    ready.session.brush.paint_gene(genes[1])
    assert seen(ready) == {f"Simulated {genes[1]}, 16 um bins", f"Predicted {genes[1]}"}
    bins.choice.setCurrentIndex(bins.choice.findData(None))
    bins.choice.activated.emit(bins.choice.currentIndex())
    assert seen(ready) == {f"Simulated {genes[1]}", f"Predicted {genes[1]}"}

    # Cancelled, the cells stay.
    bins.choose(8)
    assert ready.session.jobs.busy(TAG)
    ready.session.jobs.cancel(TAG)
    wait(qtbot, ready)
    assert seen(ready) == {f"Simulated {genes[1]}", f"Predicted {genes[1]}"}
    assert bins.choice.currentData() is None

    # What comes late is not shown over another study.
    bins.choose(8)
    ready.session.show(Study(study.slide, autosave=False))
    wait(qtbot, ready)
    assert not seen(ready)
    assert ready.session.view.expression.bins is None


# Keys


def test_keys_step_through_genes_and_modes(ready: Workspace, hand: Hand) -> None:
    brush, view = ready.session.brush, ready.session.view
    assert view is not None
    first = brush.gene
    hand.press(Qt.Key.Key_Period)
    assert brush.gene != first
    hand.press(Qt.Key.Key_Comma)
    assert brush.gene == first
    modes = []
    for _ in range(5):
        hand.press(Qt.Key.Key_Q)
        modes.append(brush.style.mode)
    assert modes == ["swipe", "blink", "difference", "one", "beside"]
    hand.press(Qt.Key.Key_W)
    assert brush.style.swapped
    assert bar(ready).swap_button.isChecked()

    outlines = [view.book.get(role) for role in (Role.NUCLEI, Role.EDITING)]
    hand.press(Qt.Key.Key_U)
    assert not any(layer.visible for layer in outlines)
    hand.press(Qt.Key.Key_U)
    assert all(layer.visible for layer in outlines)

    # The tissue alone, as long as the key is held.
    shown = seen(ready)
    for kind, wanted in ((QEvent.Type.KeyPress, set()), (QEvent.Type.KeyRelease, shown)):
        key = QKeyEvent(kind, Qt.Key.Key_H, Qt.KeyboardModifier.NoModifier, "h")
        QApplication.sendEvent(hand.native, key)
        QApplication.processEvents()
        assert seen(ready) == wanted


def test_all_keys_are_listed_and_free_of_clashes(
    workspace: Workspace, study: Study, qtbot: QtBot
) -> None:
    workspace.session.show(study)
    assert workspace.session.view is not None
    slide = workspace.session.view.book.get(Role.SLIDE)
    listed = [coerce_keybinding(key) for group in GROUPS.values() for s in group for key in s.keys]
    assert len(listed) == len(set(listed)), "no key does two things"
    with_a_tool = {coerce_keybinding(key) for key in ("Escape", "Space")}
    assert set(slide.keymap) == set(listed) - with_a_tool, "on our layers is what is listed"

    taken = {str(key) for keys in get_settings().shortcuts.shortcuts.values() for key in keys}
    for layer in (Image, Labels, Points, Shapes):
        taken |= {str(key) for key in layer.class_keymap}
    taken |= {str(key) for key in type(workspace.session.viewer).class_keymap}
    from napari._app_model import get_app_model

    taken |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    ours = {str(coerce_keybinding(key)) for shortcut in LOOKING for key in shortcut.keys}
    assert not ours & taken, "napari's own"
    assert "Ctrl+G" in taken

    qtbot.mouseClick(workspace.shortcuts, Qt.MouseButton.LeftButton)
    windows = QApplication.topLevelWidgets()
    dialog = next(window for window in windows if window.windowTitle() == "Keyboard shortcuts")
    text = "".join(label.text() for label in dialog.findChildren(QLabel))
    for shortcut in (each for group in GROUPS.values() for each in group):
        assert shortcut.words.replace("&", "&amp;") in text
        assert shortcut.words in as_markdown()
        assert all(written(key) in text for key in shortcut.keys)
    dialog.close()

    workspace.shortcuts.keys.close()
    assert coerce_keybinding("Q") not in slide.keymap


def test_keys_hold_on_a_slide_that_was_dropped_on_the_window(
    workspace: Workspace, demo_slide_path: Path, qtbot: QtBot
) -> None:
    viewer = workspace.session.viewer
    viewer.open(demo_slide_path, plugin="napari-prts")
    qtbot.waitUntil(lambda: workspace.session.study is not None, timeout=60_000)
    wait(qtbot, workspace)
    assert workspace.session.view is not None
    layer = workspace.session.view.book.get(Role.SLIDE)
    assert coerce_keybinding("Q") in layer.keymap
