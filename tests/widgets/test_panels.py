"""The panels in a real napari window: the four-click story, by real clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role
from napari_prts.widgets import Workspace, open_workspace
from tests.widgets.conftest import names, wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def ready(workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei) -> Workspace:
    """A workspace with a slide and nuclei."""
    study = Study(tissue_slide)
    workspace.session.show(study)
    study.set_nuclei(tissue_nuclei)
    return workspace


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def layer(workspace: Workspace, role: Role) -> Any:
    assert workspace.session.view is not None
    return workspace.session.view.book.get(role)


def test_empty_panels_say_what_to_do(workspace: Workspace) -> None:
    assert "Open a slide" in workspace.slide.state.text()
    assert "Open a slide" in workspace.nuclei.state.text()
    assert not workspace.nuclei.find_button.isEnabled()
    assert not workspace.predict.predict_button.isEnabled()


def test_opening_the_panels_twice_gives_the_same(workspace: Workspace) -> None:
    assert open_workspace(workspace.session.viewer) is workspace


def test_open_a_slide(workspace: Workspace, demo_slide_path: Path, qtbot: QtBot) -> None:
    workspace.slide.open(demo_slide_path)
    wait(qtbot, workspace)
    assert names(workspace) == ["H&E"]
    state = workspace.slide.state.text()
    assert "CMU-1-Small-Region.svs" in state
    assert "0.499 um/px" in state
    assert "tissue" in state
    assert workspace.session.viewer.canvas.overlays.scale_bar.visible
    np.testing.assert_allclose(layer(workspace, Role.SLIDE).scale, (0.499, 0.499))


def test_a_slide_from_the_sample_menu_is_taken_over(workspace: Workspace, qtbot: QtBot) -> None:
    workspace.session.viewer.open_sample("napari-prts", "demo_slide")
    assert workspace.session.study is not None
    assert names(workspace) == ["H&E"]
    wait(qtbot, workspace)


def test_a_bad_slide_is_told_and_the_old_one_stays(
    ready: Workspace, tmp_path: Path, qtbot: QtBot, told: list[str]
) -> None:
    wait(qtbot, ready)
    before = ready.session.study
    (tmp_path / "broken.tif").write_bytes(b"II*\x00nothing here")
    ready.session.open(tmp_path / "broken.tif")
    wait(qtbot, ready)
    assert ready.session.study is before
    assert any("broken.tif" in message for message in told)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in notifications."""
    said: list[str] = []
    for module in ("_jobs", "_slide_panel", "_nuclei_panel", "_predict_panel"):
        monkeypatch.setattr(f"napari_prts.widgets.{module}.show_error", said.append)
    return said


def test_the_pixel_size_is_asked_for_and_taken(workspace: Workspace, qtbot: QtBot) -> None:
    pixels = np.full((200, 200, 3), 230, np.uint8)
    workspace.session.show_slide(Slide.from_array(pixels))
    wait(qtbot, workspace)
    assert "enter microns per pixel" in workspace.slide.state.text()
    assert "pixel size" in workspace.nuclei.state.text()
    assert not workspace.nuclei.find_button.isEnabled()
    assert not workspace.session.viewer.canvas.overlays.scale_bar.visible
    workspace.slide.mpp.setValue(0.5)
    assert workspace.session.study is not None
    assert workspace.session.study.slide.mpp == 0.5
    assert workspace.nuclei.find_button.isEnabled()
    np.testing.assert_allclose(layer(workspace, Role.SLIDE).scale, (0.5, 0.5))


def test_find_nuclei_by_a_click_and_correct_one(
    workspace: Workspace, tissue_slide: Slide, qtbot: QtBot
) -> None:
    workspace.session.show(Study(tissue_slide))
    wait(qtbot, workspace)
    workspace.tabs.setCurrentWidget(workspace.nuclei)
    click(qtbot, workspace.nuclei.find_button)
    wait(qtbot, workspace)
    study = workspace.session.study
    assert study is not None
    found = len(study.nuclei)
    assert found > 20
    editing = layer(workspace, Role.EDITING)
    assert editing.nshapes == found

    click(qtbot, workspace.nuclei.select_button)
    assert str(editing.mode) == "select"
    editing.selected_data = {0}
    editing.remove_selected()
    assert len(study.nuclei) == found - 1
    assert "1 removed" in workspace.nuclei.state.text()
    click(qtbot, workspace.nuclei.undo_button)
    assert len(study.nuclei) == found
    assert editing.nshapes == found
    wait(qtbot, workspace)
    assert study.autosave.wait().at is not None


def test_cancel_keeps_what_was_there(ready: Workspace, qtbot: QtBot) -> None:
    study = ready.session.study
    assert study is not None
    wait(qtbot, ready)
    before = study.nuclei
    click(qtbot, ready.nuclei.find_button)
    qtbot.waitUntil(lambda: ready.session.jobs.running is not None)
    ready.nuclei.job_line.cancel.click()
    wait(qtbot, ready)
    assert study.nuclei is before


def test_nuclei_go_out_and_come_in(ready: Workspace, tmp_path: Path, qtbot: QtBot) -> None:
    study = ready.session.study
    assert study is not None
    count = len(study.nuclei)
    ready.nuclei.export_nuclei(tmp_path / "n.geojson")
    wait(qtbot, ready)
    study.set_nuclei(Nuclei.empty())
    assert layer(ready, Role.EDITING).nshapes == 0
    ready.nuclei.import_nuclei(tmp_path / "n.geojson")
    wait(qtbot, ready)
    assert len(study.nuclei) == count
    assert layer(ready, Role.EDITING).nshapes == count


def test_measure_train_predict_and_paint(
    workspace: Workspace,
    grouped_beside: None,
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    import napari_prts

    ready, study = workspace, Study(demo_slide)
    ready.session.show(study)
    study.set_nuclei(demo_nuclei)
    wait(qtbot, ready)
    napari_prts.simulate_visium_hd(study.slide, study.nuclei, tmp_path / "hd", genes=60)
    ready.predict.measure(tmp_path / "hd")
    wait(qtbot, ready)
    assert "Simulated" in ready.predict.measured_label.text()

    ready.predict.training.epochs.setValue(4)
    click(qtbot, ready.predict.training.start_button)
    wait(qtbot, ready)
    assert "simulated" in ready.predict.model_label.text()
    click(qtbot, ready.predict.predict_button)
    wait(qtbot, ready)
    assert study.predicted is not None
    assert study.predicted.n_obs == len(study.nuclei)

    explore = ready.explore
    ready.tabs.setCurrentWidget(explore)
    gene = explore.gene.genes.names[0]
    qtbot.keyClicks(explore.gene.genes.search, gene[:3].lower())
    assert all(gene[:3].lower() in shown.lower() for shown in explore.gene.genes.shown())
    explore.gene.genes.search.setText(gene)
    qtbot.keyClick(explore.gene.genes.search, Qt.Key.Key_Return)
    assert f"Simulated {gene}" in names(ready)
    assert f"Predicted {gene} (simulated training)" in names(ready)
    viewer = ready.session.viewer
    assert viewer.canvas.grid.enabled
    grid, layers = viewer.canvas.grid, viewer.layers
    sides = {
        role: grid.position(layers.index(layer(ready, role)), layers)
        for role in (Role.MEASURED, Role.PREDICTED, Role.SLIDE, Role.SLIDE_COPY)
    }
    assert sides[Role.MEASURED] == sides[Role.SLIDE] == (0, 0)
    assert sides[Role.PREDICTED] == sides[Role.SLIDE_COPY] == (0, 1)
    painted = np.asarray(layer(ready, Role.PREDICTED).data[0])
    assert np.isfinite(painted[tuple(np.rint(study.nuclei.centroids).astype(int).T)]).all()

    explore.compare.mode.setCurrentIndex(explore.compare.mode.findData("one"))
    assert not viewer.canvas.grid.enabled

    click(qtbot, explore.clusters.cluster_button)
    wait(qtbot, ready)
    assert "Predicted clusters (simulated training)" in names(ready)
    click(qtbot, explore.compare.clear_button)
    assert layer(ready, Role.PREDICTED) is None

    # A corrected nucleus is predicted again by itself.
    gone = int(study.nuclei.ids[0])
    study.edit(removed=[gone], label="delete nucleus")
    qtbot.waitUntil(lambda: gone not in study.predicted.obs["id"].to_numpy(), timeout=60_000)
    wait(qtbot, ready)
