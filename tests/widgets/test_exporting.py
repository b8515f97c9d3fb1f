"""Save: the session comes back as it was on screen, figures and tables leave the window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox
from tifffile import imwrite

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide, open_slide
from napari_prts.study import Study
from napari_prts.study.session_file import save_session
from napari_prts.viewer.painted_side import Painting
from napari_prts.viewer.painting import Limits
from napari_prts.viewer.view_state import (
    Camera,
    Comparing,
    camera_from,
    comparing_from,
    painting_from,
    view_to_dict,
)
from napari_prts.visium_hd import simulate_visium_hd
from napari_prts.widgets import Workspace
from napari_prts.widgets.export._export_figure import FigureDialog, FigureSize
from napari_prts.widgets.export._export_sessions import parts_on_screen, show_again
from tests.study.saved_studies import full_study
from tests.widgets.conftest import names, wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def slide_path(tissue_slide: Slide, tmp_path: Path) -> Path:
    """A small piece of tissue in a file."""
    path = tmp_path / "section.tif"
    imwrite(path, tissue_slide.read(0, 0, 400, 400), photometric="rgb", tile=(256, 256))
    return path


@pytest.fixture
def slide(slide_path: Path) -> Slide:
    return open_slide(slide_path, 0.499)


@pytest.fixture
def nuclei() -> Nuclei:
    """Thirty squares over the tissue."""
    rng = np.random.default_rng(0)
    square = np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])
    return Nuclei.from_polygons(rng.uniform(50, 350, (30, 1, 2)) + square)


@pytest.fixture
def ready(workspace: Workspace, slide: Slide, nuclei: Nuclei, qtbot: QtBot) -> Workspace:
    """A workspace with all that can be saved."""
    workspace.session.show(full_study(slide, nuclei))
    wait(qtbot, workspace)
    return workspace


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told."""
    said: list[str] = []
    for place in (
        "export._export_files.show_info",
        "export._export_sessions.show_info",
        "_jobs.show_error",
    ):
        monkeypatch.setattr(f"napari_prts.widgets.{place}", said.append)
    monkeypatch.setattr("napari_prts.widgets.export._save_dialogs.show_error", said.append)
    return said


def answer(monkeypatch: pytest.MonkeyPatch, path: Path, kind: str = "") -> None:
    """Choose this file in the next question for one."""
    for ask in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, ask, lambda *_: (str(path), kind))


def on_screen(workspace: Workspace) -> Camera:
    study = workspace.session.study
    assert study is not None
    return Camera.of(workspace.session.viewer, study.slide.mpp)


# The menu


def test_an_empty_window_offers_to_open_and_nothing_to_save(
    workspace: Workspace, tmp_path: Path
) -> None:
    save = workspace.save
    save.refresh()
    assert save.open_session.isEnabled()
    for action in (save.save_session, save.save_figure, save.save_predicted, save.save_measured):
        assert not action.isEnabled()
    assert not save.copy_picture.isEnabled()
    assert not save.save_spatialdata.isEnabled()
    save.sessions.save(tmp_path / "a.prts")
    save.exports.table("predicted", tmp_path / "a.h5ad")
    save.exports.spatialdata(tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())
    assert workspace.session.jobs.running is None


def test_the_menu_offers_what_there_is_and_every_entry_says_what_it_does(
    ready: Workspace, slide: Slide, nuclei: Nuclei
) -> None:
    save = ready.save
    save.menu().aboutToShow.emit()
    actions = [action for action in save.menu().actions() if not action.isSeparator()]
    assert all(action.isEnabled() for action in actions)
    assert all(len(action.toolTip()) > 15 for action in actions)
    assert save.menu().toolTipsVisible()
    assert "measured" in save.save_measured.text()
    assert save.toolTip()
    ready.session.show(full_study(slide, nuclei, simulated=True))
    save.refresh()
    assert "simulated" in save.save_measured.text()


# Sessions


def test_a_session_is_reopened_as_it_was(
    ready: Workspace,
    slide: Slide,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    session = ready.session
    session.brush.restyle(mode="beside", size_um=14.0, log=True, percentiles=(2.0, 98.0))
    session.brush.paint_gene("EPCAM")
    session.brush.restyle(limits=Limits(0.5, 6.5))
    Camera(180.25, 220.75, 150.0, 150.0).show(session.viewer, slide.mpp)
    QApplication.processEvents()
    painting, looking, layers = session.brush.painting, on_screen(ready), names(ready)
    answer(monkeypatch, tmp_path / "mine")
    ready.save.save_session.trigger()
    wait(qtbot, ready)
    assert told == [f"Session saved: {tmp_path / 'mine.prts'}"]
    saved = session.study
    assert saved.kept.place == tmp_path / "mine.prts"
    assert saved.kept.holds(saved, "nuclei", "predicted", "measured")
    # Something else is done meanwhile.
    session.show(None)
    session.brush.restyle(mode="one", size_um=5.0, log=False, percentiles=(1.0, 99.0), limits=None)
    answer(monkeypatch, tmp_path / "mine.prts")
    ready.save.open_session.trigger()
    wait(qtbot, ready)
    assert session.study is not None
    assert session.study is not saved
    # A script copied now begins with the session.
    assert session.study.kept.holds(session.study, "nuclei", "predicted", "measured")
    assert session.brush.painting == painting
    assert names(ready) == layers
    again = on_screen(ready)
    pixel = looking.width / session.viewer.canvas.size[1]
    assert abs(again.row - looking.row) < pixel
    assert abs(again.column - looking.column) < pixel
    assert again.width == pytest.approx(looking.width, rel=1e-3)
    assert len(session.study.chosen) == 3
    assert "predicted" in session.study.clusters


def test_clusters_totals_and_bare_slides_come_back_too(
    ready: Workspace, tmp_path: Path, qtbot: QtBot, told: list[str]
) -> None:
    session = ready.session

    def paint(what: str) -> None:
        assert session.view is not None
        if what == "total":
            session.view.expression.paint(Painting(total=True))
        elif what == "clusters":
            session.brush.paint_clusters()
        else:
            session.brush.clear()

    for what in ("clusters", "total", "nothing"):
        paint(what)
        painting = session.brush.painting
        ready.save.sessions.save(tmp_path / f"{what}.prts")
        wait(qtbot, ready)
        session.show(None)
        ready.save.sessions.open(tmp_path / f"{what}.prts")
        wait(qtbot, ready)
        assert session.study is not None
        assert session.brush.painting == painting


def test_a_session_dropped_on_an_empty_window_opens_with_the_panels(
    make_napari_viewer: Callable[..., Any],
    slide: Slide,
    nuclei: Nuclei,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    from napari_prts.jobs import run
    from napari_prts.study.session_file import save_session
    from napari_prts.study.session_parts import SessionParts

    path = run(save_session(SessionParts.of(full_study(slide, nuclei)), tmp_path / "a.prts"))
    viewer = make_napari_viewer()
    assert viewer.open(str(path), plugin="napari-prts") == []

    def opened() -> Workspace | None:
        found = [w for w in viewer.window.dock_widgets.values() if isinstance(w, Workspace)]
        return found[0] if found and found[0].session.study is not None else None

    qtbot.waitUntil(lambda: opened() is not None, timeout=60_000)
    workspace = opened()
    assert workspace is not None
    wait(qtbot, workspace)
    assert workspace.session.study is not None
    assert len(workspace.session.study.nuclei) == 30
    workspace.session.close()


def drop(viewer: Any, path: Path) -> None:
    """Drop a file on the canvas, as the desktop does."""
    canvas = viewer.window._qt_viewer
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    where = canvas.rect().center()
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    action = Qt.DropAction.CopyAction
    entered = QDragEnterEvent(where, action, mime, buttons, keys)
    QApplication.sendEvent(canvas, entered)
    assert entered.isAccepted()
    QApplication.sendEvent(canvas, QDropEvent(where.toPointF(), action, mime, buttons, keys))


def test_a_session_file_is_dropped_on_the_window(
    ready: Workspace, tmp_path: Path, qtbot: QtBot, told: list[str]
) -> None:
    session = ready.session
    session.brush.paint_gene("EPCAM")
    ready.save.sessions.save(tmp_path / "mine.prts")
    wait(qtbot, ready)
    session.show(None)
    drop(session.viewer, tmp_path / "mine.prts")
    qtbot.waitUntil(lambda: session.study is not None, timeout=60_000)
    wait(qtbot, ready)
    assert session.brush.gene == "EPCAM"
    assert len(session.study.nuclei) == 30
    # Over a study that is open, it asks first.
    before, asked = session.study, list[str]()
    click_when_asked("Cancel", asked)
    drop(session.viewer, tmp_path / "mine.prts")
    qtbot.waitUntil(lambda: bool(asked), timeout=60_000)
    wait(qtbot, ready)
    assert session.study is before
    assert "Open mine.prts?" in asked[0]


def save_and_reopen(workspace: Workspace, path: Path, qtbot: QtBot) -> None:
    """Save, do something else meanwhile, open again."""
    session = workspace.session
    workspace.save.sessions.save(path)
    wait(qtbot, workspace)
    session.show(None)
    session.brush.restyle(mode="beside", swapped=False, limits=None, difference_limit=None)
    workspace.explore.pages.setCurrentIndex(0)
    workspace.save.sessions.open(path)
    wait(qtbot, workspace)


def test_how_sides_are_compared_comes_back(
    ready: Workspace, tmp_path: Path, qtbot: QtBot, told: list[str]
) -> None:
    session, pages = ready.session, ready.explore.pages
    session.brush.restyle(mode="swipe", swapped=True)
    session.brush.paint_gene("EPCAM")
    session.view.expression.stage.line.move_to(123.0)
    pages.setCurrentWidget(ready.explore.trust)
    save_and_reopen(ready, tmp_path / "swiped.prts", qtbot)
    stage = session.view.expression.stage
    assert (stage.mode, stage.line.column) == ("swipe", 123.0)
    assert stage.sides == ("predicted", "measured")
    assert pages.currentWidget() is ready.explore.trust

    session.brush.restyle(mode="difference")
    session.brush.restyle(difference_limit=0.5)
    save_and_reopen(ready, tmp_path / "difference.prts", qtbot)
    assert session.view.expression.difference_painted[1] == 0.5


def test_bins_come_back_while_their_folder_is_there(
    workspace: Workspace,
    tissue_slide: Slide,
    tissue_nuclei: Nuclei,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    warned: list[str] = []
    monkeypatch.setattr("napari_prts.widgets.export._export_sessions.show_warning", warned.append)
    path = tmp_path / "section.tif"
    imwrite(path, tissue_slide.read(0, 0, *tissue_slide.shape), photometric="rgb", tile=(256, 256))
    section = open_slide(path, 0.499)
    simulate_visium_hd(section, tissue_nuclei, tmp_path / "hd", genes=20)
    study = Study(section, autosave=False)
    study.set_nuclei(tissue_nuclei)
    study.measure(tmp_path / "hd", select_genes=False)
    session = workspace.session
    session.show(study)
    session.brush.paint_gene(str(study.measured.var_names[0]))
    workspace.explore.compare.bins.choose(16)
    wait(qtbot, workspace)
    save_and_reopen(workspace, tmp_path / "bins.prts", qtbot)
    assert session.view.expression.bins.bin_um == 16
    assert workspace.explore.compare.bins.choice.currentData() == 16
    assert not warned

    shutil.rmtree(tmp_path / "hd")
    session.show(None)
    workspace.save.sessions.open(tmp_path / "bins.prts")
    wait(qtbot, workspace)
    assert session.view.expression.bins is None
    assert "bins of 16 um; now it shows cells" in warned[0]
    assert str(tmp_path / "hd") in warned[0]


def test_files_from_before_open_too(ready: Workspace, tmp_path: Path, qtbot: QtBot) -> None:
    ready.session.brush.paint_gene("EPCAM")
    parts = parts_on_screen(ready.session)
    old = {name: dict(said) for name, said in parts.view.items() if name != "comparing"}
    for said in (old["painting"], old["style"]):
        del said["difference_limit"]
    path = run(save_session(replace(parts, view=old), tmp_path / "old.prts"))
    ready.session.show(None)
    ready.save.sessions.open(path)
    wait(qtbot, ready)
    assert ready.session.brush.gene == "EPCAM"
    assert comparing_from(old) == Comparing()


def test_a_study_folder_is_saved_and_opened(
    ready: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    folder = tmp_path / "study"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    ready.save.save_folder.trigger()
    wait(qtbot, ready)
    assert told == [f"Study saved: {folder}"]
    assert (folder / "study.json").exists()
    ready.session.show(None)
    ready.save.open_folder.trigger()
    wait(qtbot, ready)
    assert len(ready.session.study.nuclei) == 30


def click_when_asked(text: str, seen: list[str]) -> None:
    """Click a button of the question that is about to be asked."""

    def click() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(50, click)
            return
        seen.append(box.text())
        next(b for b in box.buttons() if text in b.text().replace("&", "")).click()

    QTimer.singleShot(50, click)


def test_what_is_open_and_where_a_moved_slide_is_are_asked(
    ready: Workspace,
    slide_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    before = ready.session.study
    ready.save.sessions.save(tmp_path / "a.prts")
    wait(qtbot, ready)
    # What is open is not closed unasked.
    asked: list[str] = []
    click_when_asked("Cancel", asked)
    ready.save.sessions.open(tmp_path / "a.prts")
    wait(qtbot, ready)
    assert "predicted expression (not saved)" in asked.pop()
    assert ready.session.study is before
    ready.session.show(None)
    there = tmp_path / "archive" / "renamed.tif"
    there.parent.mkdir()
    slide_path.rename(there)
    click_when_asked("Cancel", asked)
    ready.save.sessions.open(tmp_path / "a.prts")
    assert ready.session.jobs.running is None
    click_when_asked("Find it", asked)
    answer(monkeypatch, there)
    ready.save.sessions.open(tmp_path / "a.prts")
    wait(qtbot, ready)
    assert len(asked) == 2
    assert "section.tif any more" in asked[0]
    assert ready.session.study is not None
    assert ready.session.study.slide.path == there


def test_views_are_read_with_care(ready: Workspace, slide: Slide) -> None:
    from napari_prts.errors import PrtsError

    camera = Camera(1.0, 2.0, 3.0, 4.0)
    said = view_to_dict(camera, Painting("KRT5", limits=Limits(1, 2)), Painting())
    assert camera_from(said) == camera
    assert painting_from(said) == Painting("KRT5", limits=Limits(1, 2))
    assert camera_from({}) is None
    assert painting_from({"painting": None}) is None
    with pytest.raises(PrtsError, match="damaged"):
        camera_from({"camera": {"row": "left"}})
    assert comparing_from({"comparing": {"bins_um": 8, "line": 4, "page": "gene"}}) == Comparing(
        8, 4.0, "gene"
    )
    for damaged in ({"line": "left"}, {"line": float("nan")}, {"bins_um": []}, 7):
        with pytest.raises(PrtsError, match="damaged"):
            comparing_from({"comparing": damaged})
    with pytest.raises(PrtsError, match=r"not known here \(glow\)"):
        painting_from({"painting": {"gene": "KRT5", "glow": True}})
    with pytest.raises(PrtsError, match="damaged"):
        show_again(ready.session, {"painting": {"gene": "KRT5", "percentiles": 3}})
    # On a canvas of another shape all is seen that was.
    Camera(200.0, 200.0, 50.0, 150.0).show(ready.session.viewer, slide.mpp)
    now = on_screen(ready)
    assert now.height >= 49.9
    assert now.width >= 149.9
    assert (now.row, now.column) == pytest.approx((200.0, 200.0))


# Figures and pictures


def test_a_figure_of_what_is_in_view(
    ready: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    ready.session.brush.paint_gene("KRT5")
    Camera(200.0, 200.0, 150.0, 150.0).show(ready.session.viewer, ready.session.study.slide.mpp)

    def accept() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, FigureDialog):
            QTimer.singleShot(50, accept)
            return
        dialog.width_mm.setValue(100)
        dialog.dpi.setCurrentIndex(0)
        dialog.accept()

    answer(monkeypatch, tmp_path / "krt5", "PNG (*.png)")
    QTimer.singleShot(50, accept)
    ready.save.save_figure.trigger()
    wait(qtbot, ready)
    assert told == [f"Written: {tmp_path / 'krt5.png'}"]
    picture = Image.open(tmp_path / "krt5.png")
    assert picture.width == pytest.approx(100 / 25.4 * 150, abs=2)
    assert picture.text["Title"] == "Measured KRT5 and Predicted KRT5"
    # What was chosen is offered the next time.
    assert ready.save.dialogs.size == FigureSize(100.0, 150, False)


def test_the_picture_goes_to_the_clipboard(ready: Workspace, told: list[str], qtbot: QtBot) -> None:
    clipboard = QApplication.clipboard()
    clipboard.clear()
    ready.save.copy_picture.trigger()
    qtbot.waitUntil(lambda: not clipboard.image().isNull(), timeout=10_000)
    assert told == ["The picture is on the clipboard."]


# Tables


def test_tables_for_other_tools(
    ready: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    for side in ("predicted", "measured"):
        path = tmp_path / f"{side}.h5ad"
        answer(monkeypatch, path)
        getattr(ready.save, f"save_{side}").trigger()
        wait(qtbot, ready)
        assert told.pop() == f"Written: {path}"
        table = anndata.read_h5ad(path)
        assert "spatial" in table.uns
        assert side in table.uns["title"]
        assert ("leiden" in table.obs) == (side == "predicted")


def test_panels_save_and_open_by_the_same_words_as_the_menu(
    ready: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    save = ready.save
    save.refresh()
    for panel_button, action in (
        (ready.predict.save_button, save.save_predicted),
        (ready.slide.save_button, save.save_session),
        (ready.slide.load_button, save.open_session),
    ):
        assert panel_button.text() == action.text()
        assert panel_button.toolTip() == action.toolTip()
    answer(monkeypatch, tmp_path / "cells.h5ad")
    qtbot.mouseClick(ready.predict.save_button, Qt.MouseButton.LeftButton)
    wait(qtbot, ready)
    assert told == [f"Written: {tmp_path / 'cells.h5ad'}"]
    assert "spatial" in anndata.read_h5ad(tmp_path / "cells.h5ad").uns
    answer(monkeypatch, tmp_path / "here.prts")
    qtbot.mouseClick(ready.slide.save_button, Qt.MouseButton.LeftButton)
    wait(qtbot, ready)
    ready.session.show(None)
    qtbot.mouseClick(ready.slide.load_button, Qt.MouseButton.LeftButton)
    wait(qtbot, ready)
    assert len(ready.session.study.nuclei) == 30


def test_what_cannot_be_is_told(
    ready: Workspace,
    slide_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
    told: list[str],
) -> None:
    monkeypatch.setattr("napari_prts.study.spatialdata_export.spatialdata_there", lambda: False)
    ready.save.save_spatialdata.trigger()
    assert "napari-prts[spatialdata]" in told.pop()
    answer(monkeypatch, slide_path)
    ready.save.open_session.trigger()
    assert "not a session file" in told.pop()
    (tmp_path / "file").write_text("in the way")
    ready.save.exports.table("predicted", tmp_path / "file" / "cells.h5ad")
    wait(qtbot, ready)
    assert "cannot be written" in told.pop()
    ready.session.viewer.scene.camera.center = (0, -9e5, -9e5)
    ready.save.save_figure.trigger()
    assert "out of view" in told.pop()
