"""The section that trains a model, in a real window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.expression import EpochReport
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job
from napari_prts.widgets import Workspace
from napari_prts.widgets._training import TrainingSection
from napari_prts.widgets._training_curves import TrainingCurves
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def measured(demo_slide: Slide, demo_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("section") / "hd"
    run(simulate_job(demo_slide, demo_nuclei, folder, genes=20, seed=0))
    return run(measure(demo_slide, demo_nuclei, read_space_ranger(folder)))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in notifications."""
    said: list[str] = []
    for how in ("show_info", "show_error"):
        monkeypatch.setattr(f"napari_prts.widgets._training.{how}", said.append)
    monkeypatch.setattr("napari_prts.widgets._jobs.show_error", said.append)
    return said


@pytest.fixture
def section(workspace: Workspace, told: list[str], qtbot: QtBot) -> Iterator[TrainingSection]:
    section = TrainingSection(workspace.session)
    qtbot.addWidget(section)
    section.show()
    return section


@pytest.fixture
def study(
    section: TrainingSection,
    workspace: Workspace,
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    measured,
) -> Study:
    study = Study(demo_slide, autosave=False)
    workspace.session.show(study)
    study.set_nuclei(demo_nuclei)
    study.set_measured(measured)
    return study


def shown(curves: TrainingCurves, name: str) -> list[float]:
    return list(curves._lines[name].get_ydata())


def test_it_waits_for_measured_cells(
    section: TrainingSection,
    workspace: Workspace,
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    measured,
) -> None:
    assert not section.start_button.isEnabled()
    study = Study(demo_slide, autosave=False)
    workspace.session.show(study)
    study.set_nuclei(demo_nuclei)
    assert not section.start_button.isEnabled()
    study.set_measured(measured)
    assert section.start_button.isEnabled()


def test_training_draws_its_curves_and_gives_the_study_its_model(
    section: TrainingSection, workspace: Workspace, study: Study, told: list[str], qtbot: QtBot
) -> None:
    section.epochs.setValue(4)
    assert section.curves.isHidden()
    qtbot.mouseClick(section.start_button, Qt.MouseButton.LeftButton)
    assert not section.start_button.isEnabled()
    wait(qtbot, workspace)
    assert study.model is not None
    metrics = study.model.card["metrics"]
    assert shown(section.curves, "validation_loss")[metrics["best_epoch"] - 1] == pytest.approx(
        metrics["validation_loss"]
    )
    for name in ("train_loss", "validation_loss", "validation_pcc"):
        assert len(shown(section.curves, name)) == 4
    assert section.curves.isVisible()
    (words,) = told
    assert words.startswith(f"Model of {len(study.model.genes)} genes from epoch ")
    assert f"mean PCC {metrics['test_pcc']:.3f}" in words
    assert section.words.text() == words
    assert section.start_button.isEnabled()


def test_stopped_it_hands_over_the_best_so_far_and_goes_on_from_there_later(
    section: TrainingSection, workspace: Workspace, study: Study, told: list[str], qtbot: QtBot
) -> None:
    section.epochs.setValue(1000)
    section.train()
    qtbot.waitUntil(lambda: len(section.curves.reports) >= 3, timeout=120_000)
    assert section.job_line.cancel.text() == "Stop"
    qtbot.mouseClick(section.job_line.cancel, Qt.MouseButton.LeftButton)
    assert "stopping" in section.job_line.label.text()
    wait(qtbot, workspace)
    model = study.model
    assert model is not None
    assert model.card["training"]["cancelled"] is True
    assert "stopped by you" in told[-1]
    run_before = model.card["metrics"]["epochs_run"]

    section.train()
    qtbot.waitUntil(lambda: len(section.curves.reports) > run_before, timeout=120_000)
    section.stop()
    wait(qtbot, workspace)
    assert [r.epoch for r in section.curves.reports][:3] == [1, 2, 3]
    assert study.model is not model
    assert study.model.card["metrics"]["epochs_run"] > run_before


def test_stopped_before_an_epoch_is_over_there_is_no_model(
    section: TrainingSection, workspace: Workspace, study: Study, told: list[str], qtbot: QtBot
) -> None:
    section.train()
    section.stop()
    wait(qtbot, workspace)
    assert study.model is None
    assert "no model was made" in told[-1]
    assert section.start_button.isEnabled()


def test_settings_reach_the_training(section: TrainingSection) -> None:
    section.use.setCurrentText("nucleus alone")
    section.loss.setCurrentText("the authors' scripts'")
    section.standardise.setCurrentText("each section's own")
    section.seed.setValue(7)
    section.tiles.setCurrentText("Shared")
    request = section._request().training
    assert (request.use, request.loss, request.standardise) == ("local", "focal", "section")
    assert request.seed == 7
    assert section._request().tiles == "grid"


def test_a_saved_study_trains_too(
    section: TrainingSection,
    workspace: Workspace,
    study: Study,
    told: list[str],
    qtbot: QtBot,
    tmp_path: Path,
) -> None:
    section.add_section(tmp_path)
    assert "holds no saved study" in told[-1]
    study.save(tmp_path / "the same")
    section.add_section(tmp_path / "the same")
    assert "the same" in section.others_label.text()
    section.epochs.setValue(1)
    section.train()
    wait(qtbot, workspace)
    # It was found and read: it is this very section, which is refused.
    assert "given twice" in told[-1]
    section.only_this_slide()
    assert section.others_label.isHidden()


def test_the_curves_follow_each_epoch(qtbot: QtBot) -> None:
    curves = TrainingCurves()
    qtbot.addWidget(curves)
    curves.show()
    # A window busy with one report handles the next before it is done with the first.
    for epoch, loss, pcc in ((1, 5.0, 0.1), (3, 4.0, 0.25), (2, 3.0, 0.2)):
        curves.add(EpochReport(epoch, loss + 1, loss, pcc, best=epoch < 3))
    assert shown(curves, "validation_loss") == [5.0, 3.0, 4.0]
    assert shown(curves, "train_loss") == [6.0, 4.0, 5.0]
    assert shown(curves, "validation_pcc") == [0.1, 0.2, 0.25]
    assert {tuple(mark.get_xdata()) for mark in curves._marks} == {(2, 2)}
    curves.canvas.draw()
    pixels = np.asarray(curves.canvas.buffer_rgba())
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 10, "there is something to see"
    curves.clear()
    assert curves.isHidden()
    curves.add(EpochReport(1, 9.0, 8.0, 0.0, best=True))
    assert shown(curves, "validation_loss") == [8.0]
