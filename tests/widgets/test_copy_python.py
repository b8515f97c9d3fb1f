"""Copy as Python, in a real window: the script that a panel copies does what its button does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

import napari_prts
from napari_prts.errors import PrtsError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, write_geojson
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer.painting import Limits
from napari_prts.visium_hd import simulate_job
from napari_prts.widgets import Workspace
from napari_prts.widgets._copy_python import CopyPython
from tests.widgets.asked import ask_about, settle
from tests.widgets.canvas import Hand
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def copied(button: CopyPython, qtbot: QtBot) -> str:
    """Click the button; what it shows is what is on the clipboard."""
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    popup = button.shown
    assert popup is not None
    assert popup.isVisible()
    clipboard = QApplication.clipboard().text()
    assert popup.text.toPlainText() == clipboard.rstrip("\n")
    qtbot.keyClick(popup, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: button.shown is None)
    return clipboard


def ran(source: str, **names: Any) -> dict[str, Any]:
    """Run a script as a file of its own would be; return its names."""
    exec(compile(source, "copied.py", "exec"), names)
    return names


def same_nuclei(one: Nuclei, other: Nuclei) -> bool:
    return np.array_equal(one.ids, other.ids) and np.array_equal(one.hashes, other.hashes)


def study_of(workspace: Workspace) -> Study:
    study = workspace.session.study
    assert study is not None
    return study


@pytest.fixture
def skin(workspace: Workspace, tissue_slide: Slide, tmp_path: Path, qtbot: QtBot) -> Study:
    """A small real slide of a file, opened by the panel; the user states its pixel size."""
    path = tmp_path / "skin of O'Neill.png"
    Image.fromarray(np.asarray(tissue_slide.levels[0])[:500, :500]).save(path)
    workspace.slide.open(path)
    wait(qtbot, workspace)
    workspace.slide.mpp.setValue(0.499)
    wait(qtbot, workspace)
    workspace.session.viewer.window.show()
    return study_of(workspace)


@pytest.fixture
def measured(
    workspace: Workspace, demo_slide: Slide, demo_nuclei: Nuclei, tmp_path: Path, qtbot: QtBot
) -> Study:
    """The embedded slide, nuclei of a file, and simulated counts of a folder, by the panels."""
    nuclei = demo_nuclei.take(np.arange(0, len(demo_nuclei), 3))
    write_geojson(nuclei, tmp_path / "nuclei.geojson")
    run(simulate_job(demo_slide, nuclei, tmp_path / "hd", genes=20, seed=0))
    workspace.slide.open(demo_slide.path)
    wait(qtbot, workspace)
    workspace.nuclei.import_nuclei(tmp_path / "nuclei.geojson")
    wait(qtbot, workspace)
    workspace.predict.measure(tmp_path / "hd")
    wait(qtbot, workspace)
    workspace.session.viewer.window.show()
    workspace.tabs.setCurrentWidget(workspace.predict)
    return study_of(workspace)


def test_every_panel_has_the_button_and_says_what_it_does(workspace: Workspace) -> None:
    explore = workspace.explore
    pages = (explore.gene, explore.cell, explore.region, explore.trust, explore.clusters)
    for panel in (workspace.slide, workspace.nuclei, workspace.predict, *pages):
        tooltip = panel.copy_python.toolTip()
        assert tooltip.startswith("Copy as Python: puts a script on the clipboard that ")
        # Without a slide it shows the way.
        assert 'napari_prts.open("slide.svs")' in panel.as_python()
        compile(panel.as_python(), "copied.py", "exec")


def test_the_slide_panel_opens_the_slide_with_the_pixel_size_that_was_stated(
    skin: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    workspace.tabs.setCurrentWidget(workspace.slide)
    found = ran(copied(workspace.slide.copy_python, qtbot))["study"]
    assert found.slide.fingerprint == skin.slide.fingerprint
    assert found.slide.mpp == 0.499


def test_the_nuclei_panel_finds_the_same_nuclei(
    skin: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    panel = workspace.nuclei
    workspace.tabs.setCurrentWidget(panel)
    panel.probability.setValue(0.55)
    source = copied(panel.copy_python, qtbot)
    assert source.endswith("study.segment(prob_threshold=0.55)\n")
    qtbot.mouseClick(panel.find_button, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    assert len(skin.nuclei) > 20
    assert same_nuclei(ran(source)["study"].nuclei, skin.nuclei)


def test_in_the_view_nuclei_elsewhere_stay(skin: Study, workspace: Workspace, qtbot: QtBot) -> None:
    panel = workspace.nuclei
    workspace.tabs.setCurrentWidget(panel)
    qtbot.mouseClick(panel.find_button, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    Hand(workspace).look(250, 250, 200)
    panel.where.setCurrentText("the view")
    panel.probability.setValue(0.8)
    source = copied(panel.copy_python, qtbot)
    qtbot.mouseClick(panel.find_button, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    assert same_nuclei(ran(source)["study"].nuclei, skin.nuclei)


def test_training_and_prediction_come_out_the_same_bit_for_bit(
    measured: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    panel, training = workspace.predict, workspace.predict.training
    training.epochs.setValue(2)
    training.seed.setValue(5)
    train = copied(training.copy_python, qtbot)
    qtbot.mouseClick(training.start_button, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    panel.device.setCurrentIndex(panel.device.findData("cpu"))
    predict = copied(panel.copy_python, qtbot)
    qtbot.mouseClick(panel.predict_button, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    assert ran(train)["study"].model.hash == measured.model.hash
    again = ran(predict)["study"].predicted
    assert np.array_equal(again.obs["id"], measured.predicted.obs["id"])
    assert np.array_equal(np.asarray(again.X), np.asarray(measured.predicted.X))


def test_a_saved_study_is_opened_from_its_folder(
    measured: Study, workspace: Workspace, tmp_path: Path, qtbot: QtBot
) -> None:
    measured.save(tmp_path / "kept")
    workspace.tabs.setCurrentWidget(workspace.explore)
    again = ran(copied(workspace.explore.trust.copy_python, qtbot).replace("study.trust", "#"))
    assert again["study"].kept.place == tmp_path / "kept"


def test_what_is_painted_is_painted_in_another_window(
    workspace: Workspace, demo_slide: Slide, demo_nuclei: Nuclei, qtbot: QtBot
) -> None:
    study = ask_about(workspace, demo_slide, demo_nuclei)
    settle(workspace, qtbot)
    brush, gene = workspace.session.brush, str(study.predicted.var_names[0])
    workspace.explore.gene.paint_gene(gene)
    brush.restyle(mode="swipe", log=True, limits=Limits(0.5, 2.0))
    source = copied(workspace.explore.gene.copy_python, qtbot)
    line = source[source.index("window = ") :]
    found = ran(f"import napari_prts\n{line}", study=study)["window"]
    try:
        # The window that shows the study is taken; another one need not open.
        assert found is workspace
        assert brush.painting.gene == gene
    finally:
        settle(workspace, qtbot)
    brush.restyle(mode="beside", log=False, limits=None)
    brush.clear()
    ran(f"import napari_prts\n{line}", study=study)
    painting = brush.painting
    assert (painting.gene, painting.mode, painting.log) == (gene, "swipe", True)
    assert painting.limits == Limits(0.5, 2.0)


def test_a_study_made_by_a_script_is_shown_in_a_window(
    make_napari_viewer: Any, tissue_slide: Slide, tissue_nuclei: Nuclei
) -> None:
    study = Study(tissue_slide, autosave=False)
    study.set_nuclei(tissue_nuclei)
    shown = napari_prts.show(study, viewer=make_napari_viewer())
    try:
        assert shown.session.study is study
        with pytest.raises(PrtsError, match="No cells have the gene 'Apoe'"):
            napari_prts.show(study, gene="Apoe")
        with pytest.raises(PrtsError, match="There are no clusters to paint"):
            napari_prts.show(study, clusters=True)
    finally:
        shown.session.close()


def test_a_region_and_clusters_are_found_again(
    measured: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    explore = workspace.explore
    workspace.tabs.setCurrentWidget(explore)
    explore.pages.setCurrentWidget(explore.clusters)
    explore.clusters.controls.sliders["measured"].setValue(1.2)
    settle(workspace, qtbot)
    group = copied(explore.clusters.copy_python, qtbot)
    assert group.endswith('resolutions={"measured": 1.2})\n')
    qtbot.mouseClick(explore.clusters.cluster_button, Qt.MouseButton.LeftButton)
    # A process of its own has to start.
    wait(qtbot, workspace)
    explore.pages.setCurrentWidget(explore.region)
    Hand(workspace).look(1000, 1200, 900)
    qtbot.mouseClick(explore.region.source.view_button, Qt.MouseButton.LeftButton)
    settle(workspace, qtbot)
    names = ran(copied(explore.region.copy_python, qtbot))
    assert names["answer"].cells == explore.region.answer.cells
    assert names["answer"].genes.equals(explore.region.answer.genes)
    again = ran(group)["study"].clusters["measured"]
    assert list(again.obs["leiden"]) == list(measured.clusters["measured"].obs["leiden"])


def test_the_study_on_screen_is_given_to_the_console(skin: Study, workspace: Workspace) -> None:
    """The console itself is napari's, and made when it is first opened: it is told in advance."""
    told = workspace.session.viewer.window._qt_viewer.console_backlog

    def known() -> Study:
        return [each["study"]() for each in told if "study" in each][-1]

    assert known() is skin
    other = Study(skin.slide, autosave=False)
    workspace.session.show(other)
    assert known() is other
