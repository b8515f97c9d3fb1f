"""The Slide panel in a real window: open, drop, ask, mend, show what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import Notification, notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QInputDialog, QMessageBox

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide, open_slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.widgets import Workspace
from napari_prts.widgets._associated import PictureDialog
from napari_prts.widgets._other_slide import Answer, ask_about_other_slide, what_closes
from tests.slide.conftest import picture
from tests.widgets.conftest import names, wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def slide_layer(workspace: Workspace) -> Any:
    assert workspace.session.view is not None
    return workspace.session.view.book.get(Role.SLIDE)


def study_of(workspace: Workspace) -> Study:
    assert workspace.session.study is not None
    return workspace.session.study


@pytest.fixture
def said() -> list[Notification]:
    """What the window says from now on."""
    records: list[Notification] = notification_manager.records
    records.clear()
    return records


def write_tiff(path: Path, image: np.ndarray, mpp: float | None = 0.5) -> Path:
    unit = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": 3}
    tifffile.imwrite(path, image, photometric="rgb", tile=(128, 128), compression="zlib", **unit)
    return path


def test_a_slide_in_one_glance(workspace: Workspace, demo_slide_path: Path, qtbot: QtBot) -> None:
    workspace.slide.open(demo_slide_path)
    wait(qtbot, workspace)
    state = workspace.slide.state.text()
    assert state.startswith("CMU-1-Small-Region.svs, 2,220 x 2,967 px, 0.499 um/px (file")
    assert "tissue 4" in state
    assert "focus good" in state
    quality = workspace.slide.quality_view
    assert not quality.isHidden()
    assert "Focus good" in quality.line.text()
    assert "stain H 0." in quality.line.text()
    assert 100 < quality.picture.pixmap().height() <= 240


def test_the_layer_shows_the_slide_and_a_true_thumbnail(
    workspace: Workspace, demo_slide_path: Path, qtbot: QtBot
) -> None:
    workspace.slide.open(demo_slide_path)
    wait(qtbot, workspace)
    layer = slide_layer(workspace)
    slide = study_of(workspace).slide
    np.testing.assert_array_equal(layer.data[-1], slide.levels[-1].compute())
    # Pink tissue in the middle of the bottom, glass at the left.
    assert layer.thumbnail[20, 16, 1] < 220
    workspace.session.viewer.camera.zoom = 4.0
    exact = slide.read(1000, 900, 200, 300)
    qtbot.waitUntil(
        lambda: np.array_equal(layer.data[0][1000:1200, 900:1200], exact), timeout=20_000
    )


def test_a_dropped_slide_opens_the_panels(
    make_napari_viewer: Callable[..., Any], demo_slide_path: Path, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    viewer.open(str(demo_slide_path), plugin="napari-prts")
    assert [layer.name for layer in viewer.layers] == ["H&E"]
    np.testing.assert_allclose(viewer.layers[0].scale, (0.499, 0.499))
    qtbot.waitUntil(lambda: len(viewer.window.dock_widgets) == 1, timeout=20_000)
    (workspace,) = viewer.window.dock_widgets.values()
    assert isinstance(workspace, Workspace)
    assert study_of(workspace).slide.path == demo_slide_path
    wait(qtbot, workspace)
    assert names(workspace) == ["H&E"]
    workspace.session.close()


def test_any_file_can_be_dropped_on_the_panel(
    workspace: Workspace, tmp_path: Path, qtbot: QtBot
) -> None:
    path = write_tiff(tmp_path / "section.tif", picture(300, 400))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    nothing_held = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(10, 10), Qt.DropAction.CopyAction, data, *nothing_held)
    QApplication.sendEvent(workspace.slide, enter)
    assert enter.isAccepted()
    drop = QDropEvent(QPointF(10, 10), Qt.DropAction.CopyAction, data, *nothing_held)
    QApplication.sendEvent(workspace.slide, drop)
    wait(qtbot, workspace)
    assert study_of(workspace).slide.name == "section.tif"


def test_a_second_slide_is_asked_about(
    workspace: Workspace, tissue_slide: Slide, tmp_path: Path, qtbot: QtBot
) -> None:
    first = Study(tissue_slide)
    workspace.session.show(first)
    wait(qtbot, workspace)
    path = write_tiff(tmp_path / "other.tif", picture(300, 400))
    asked: list[tuple[str, str]] = []

    def answering(answer: Answer) -> Callable[[Study, Slide], Answer]:
        def ask(study: Study, slide: Slide) -> Answer:
            asked.append((study.slide.name, slide.name))
            return answer

        return ask

    workspace.session.ask = answering(Answer.CANCEL)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    assert workspace.session.study is first
    assert names(workspace) == ["H&E"]

    workspace.session.ask = answering(Answer.PICTURE)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    assert workspace.session.study is first
    assert names(workspace) == ["H&E", "other.tif"]

    workspace.session.ask = answering(Answer.SWITCH)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    assert study_of(workspace).slide.name == "other.tif"
    assert names(workspace) == ["H&E", "other.tif"]
    assert asked == [("skin", "other.tif")] * 3


def test_a_dropped_second_slide_is_asked_about_too(
    workspace: Workspace, tissue_slide: Slide, demo_slide_path: Path, qtbot: QtBot
) -> None:
    first = Study(tissue_slide)
    workspace.session.show(first)
    wait(qtbot, workspace)
    workspace.session.ask = lambda *_: Answer.CANCEL
    workspace.session.viewer.open(str(demo_slide_path), plugin="napari-prts")
    qtbot.waitUntil(lambda: names(workspace) == ["H&E"], timeout=20_000)
    assert workspace.session.study is first

    workspace.session.ask = lambda *_: Answer.PICTURE
    workspace.session.viewer.open(str(demo_slide_path), plugin="napari-prts")
    qtbot.waitUntil(lambda: names(workspace) == ["H&E", "CMU-1-Small-Region.svs"], timeout=20_000)
    assert workspace.session.study is first


def test_the_question_says_what_closes(
    tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot
) -> None:
    study = Study(tissue_slide)
    assert "nothing is lost" in what_closes(study)
    study.set_nuclei(tissue_nuclei)
    assert f"{len(tissue_nuclei):,} nuclei (kept" in what_closes(study)
    other = Slide.from_array(picture(64, 64), name="other")

    def press(text: str) -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        assert "skin is open" in box.text()
        next(button for button in box.buttons() if text in button.text()).click()

    for text, answer in (
        ("Work on other", Answer.SWITCH),
        ("picture", Answer.PICTURE),
        ("Cancel", Answer.CANCEL),
    ):
        QTimer.singleShot(200, lambda text=text: press(text))
        assert ask_about_other_slide(study, other) is answer


def test_a_missing_pixel_size_is_asked_for_and_remembered(
    workspace: Workspace,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    said: list[Notification],
) -> None:
    path = write_tiff(tmp_path / "no-size.tif", picture(300, 400), mpp=None)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    assert "enter microns per pixel" in workspace.slide.state.text()
    assert not workspace.session.viewer.canvas.overlays.scale_bar.visible
    notice = next(n for n in said if "No pixel size" in n.message)
    ((text, enter),) = notice.actions
    assert text == "Enter microns per pixel"
    monkeypatch.setattr(QInputDialog, "getDouble", lambda *_: (0.46, True))
    enter(None)
    assert study_of(workspace).slide.mpp == 0.46
    assert workspace.session.viewer.canvas.overlays.scale_bar.visible
    wait(qtbot, workspace)

    again = open_slide(path)
    assert (again.mpp, again.mpp_source) == (0.46, "user (remembered)")


def test_a_correction_can_be_taken_back(workspace: Workspace, tmp_path: Path, qtbot: QtBot) -> None:
    path = write_tiff(tmp_path / "wrong.tif", picture(300, 400), mpp=0.5)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    panel = workspace.slide
    assert panel.as_in_file.isHidden()
    panel.mpp.setValue(0.25)
    assert study_of(workspace).slide.mpp == 0.25
    assert "0.5 um/px" in panel.as_in_file.text()
    assert open_slide(path).mpp == 0.25
    panel.as_in_file.click()
    slide = study_of(workspace).slide
    assert (slide.mpp, slide.mpp_source) == (0.5, "file (TIFF resolution)")
    assert panel.as_in_file.isHidden()
    assert open_slide(path).mpp == 0.5
    wait(qtbot, workspace)


def test_the_label_is_shown_only_when_asked_for(
    workspace: Workspace, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def reader(name: str) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            read.append(name)
            return picture(80, 120)

        return make

    plain = Slide.from_array(picture(200, 300), mpp=0.5)
    associated = {"label": reader("label"), "macro": reader("macro")}
    slide = Slide(**{**_fields(plain), "associated": associated})
    workspace.session.show(Study(slide))
    wait(qtbot, workspace)
    offered = workspace.slide.associated.buttons
    assert list(offered) == ["label", "macro"]
    assert "patient" in offered["label"].toolTip()
    assert read == []

    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.No)
    offered["label"].click()
    wait(qtbot, workspace)
    assert read == []
    offered["macro"].click()
    wait(qtbot, workspace)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    offered["label"].click()
    wait(qtbot, workspace)
    assert read == ["macro", "label"]
    shown = workspace.slide.findChildren(PictureDialog)
    assert [dialog.windowTitle() for dialog in shown] == ["Macro of array", "Label of array"]
    assert shown[0].picture.pixmap().width() == 120


def _fields(slide: Slide) -> dict[str, Any]:
    return {
        name: getattr(slide, name)
        for name in ("path", "format", "stack", "mpp", "mpp_source", "fingerprint", "name")
    }


def test_a_broken_tile_is_striped_and_told(
    workspace: Workspace, tmp_path: Path, qtbot: QtBot, said: list[Notification]
) -> None:
    path = write_tiff(tmp_path / "broken.tif", picture(1300, 1100))
    with tifffile.TiffFile(path) as file:
        start, count = file.pages.first.dataoffsets[10], file.pages.first.databytecounts[10]
    data = bytearray(path.read_bytes())
    data[start : start + count] = bytes(count)
    path.write_bytes(data)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    assert "1 tile cannot be read" in workspace.slide.state.text()
    assert sum("shown striped" in n.message for n in said) == 1
    assert any("broken.tif: rows 128 to 256, columns 128 to 256" in n.message for n in said)
    level = slide_layer(workspace).data[0]
    stripes = {(255, 140, 0), (40, 40, 40)}

    def colours() -> set[tuple[int, ...]]:
        tile = level[128:256, 128:256].reshape(-1, 3)
        return {tuple(colour) for colour in np.unique(tile, axis=0)}

    qtbot.waitUntil(lambda: colours() == stripes, timeout=20_000)
    np.testing.assert_array_equal(study_of(workspace).slide.read(128, 128, 128, 128), 255)


def test_a_large_image_is_seen_while_its_pyramid_grows(
    workspace: Workspace, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_prts.slide.completing.SMALL_IMAGE", 500_000)
    image = np.full((2100, 1900, 3), (200, 120, 180), np.uint8)
    image[:, :900] = (240, 238, 240)
    import imagecodecs

    path = tmp_path / "large.jpg"
    path.write_bytes(imagecodecs.jpeg_encode(image, level=95))
    early: list[np.ndarray] = []

    def on_started(_: str, title: str) -> None:
        if title == "Preparing slide":
            growth = study_of(workspace).slide.growth if workspace.session.study else None
            assert growth is None or not growth.whole

    workspace.session.jobs.started.connect(on_started)
    workspace.session.study_changed.connect(
        lambda: early.append(np.array(slide_layer(workspace).data[-1]))
    )
    workspace.slide.open(path)
    wait(qtbot, workspace)
    slide = study_of(workspace).slide
    assert slide.growth is not None
    assert slide.growth.whole
    # What was there at once is already near to what came in the end.
    final = slide_layer(workspace).data[-1]
    assert np.abs(early[0].astype(int) - final).mean() < 3
    np.testing.assert_array_equal(final, slide.levels[-1].compute())
    assert "focus" in workspace.slide.state.text()
