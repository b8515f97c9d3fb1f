"""The section that improves the model, in a real window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.nuclei import Nuclei
from napari_prts.segmentation import load_model, save_model
from napari_prts.segmentation.user_models import user_models
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer.view_state import Camera
from napari_prts.widgets import Workspace
from napari_prts.widgets._fine_tune import DRAWN, VIEW, FineTuneSection
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def base(tmp_path: Path) -> str:
    """The embedded model at the slide's own scale, which is quicker."""
    return str(save_model(replace(load_model(), mpp=0.499, name="coarse"), tmp_path / "coarse"))


@pytest.fixture
def made() -> list[tuple[str, bool]]:
    """Models that were handed over to the list of models."""
    return []


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in notifications."""
    said: list[str] = []
    for how in ("show_info", "show_warning", "show_error"):
        monkeypatch.setattr(f"napari_prts.widgets._fine_tune.{how}", said.append)
    monkeypatch.setattr("napari_prts.widgets._jobs.show_error", said.append)
    return said


@pytest.fixture
def section(
    workspace: Workspace, base: str, made: list[tuple[str, bool]], told: list[str], qtbot: QtBot
) -> Iterator[FineTuneSection]:
    """The section beside the panels."""
    section = FineTuneSection(
        workspace.session, lambda: base, lambda name, better: made.append((name, better))
    )
    qtbot.addWidget(section)
    return section


@pytest.fixture
def ready(
    section: FineTuneSection, workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei
) -> FineTuneSection:
    """The section with a slide, its nuclei and a piece of the slide in view."""
    study = Study(tissue_slide)
    workspace.session.show(study)
    study.set_nuclei(tissue_nuclei)
    Camera(300.0, 300.0, 300.0, 300.0).show(workspace.session.viewer, 0.499)
    section.where.setCurrentText(VIEW)
    section.minutes.setValue(0.1)
    return section


def test_it_waits_for_a_slide_with_nuclei(
    section: FineTuneSection, workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei
) -> None:
    assert not section.start_button.isEnabled()
    study = Study(tissue_slide)
    workspace.session.show(study)
    assert not section.start_button.isEnabled()
    study.set_nuclei(tissue_nuclei)
    assert section.start_button.isEnabled()
    assert section.name.text() == "my-model"


def test_the_model_learns_from_the_view(
    ready: FineTuneSection,
    workspace: Workspace,
    made: list[tuple[str, bool]],
    told: list[str],
    qtbot: QtBot,
) -> None:
    ready.name.setText("skin-1")
    qtbot.mouseClick(ready.start_button, Qt.MouseButton.LeftButton)
    assert not ready.start_button.isEnabled()
    assert not ready.job_line.isHidden()
    wait(qtbot, workspace)
    (words,) = told
    assert words.startswith("F1 on the part held out: ")
    assert "'skin-1'" in words
    assert ready.words.text() == words
    assert [name for name, _ in made] == ["skin-1"]
    learned_from = load_model("skin-1").card["training"]
    assert learned_from["slide"]["name"] == "skin"
    ((_, _, height, width),) = learned_from["regions"]
    assert 250 < min(height, width) < 350, "what was in view"
    assert ready.name.text() == "skin-2", "the next one gets another name"
    assert ready.start_button.isEnabled()


def test_it_can_be_cancelled(ready: FineTuneSection, workspace: Workspace, qtbot: QtBot) -> None:
    ready.minutes.setValue(60)
    ready.start()
    qtbot.waitUntil(lambda: "steps" in ready.job_line.label.text(), timeout=120_000)
    ready.job_line.cancel.click()
    wait(qtbot, workspace)
    assert "Cancelled" in ready.words.text()
    assert ready.start_button.isEnabled()


def test_several_regions(ready: FineTuneSection, workspace: Workspace) -> None:
    view = workspace.session.view
    assert view is not None
    ready.add_region()
    workspace.session.viewer.camera.zoom *= 2
    ready.add_region()
    ready.add_region()
    assert "2 regions" in ready.chosen.text()
    assert ready.start_button.text() == "Improve the model on 2 regions"
    ready.forget_regions()
    assert ready.start_button.text() == "Improve the model on this region"


def test_what_is_wrong_is_said(ready: FineTuneSection, told: list[str]) -> None:
    ready.name.setText("he-open")
    ready.start()
    assert "'he-open-2'" in told[-1]
    ready.name.setText("mine")
    ready.where.blockSignals(True)
    ready.where.setCurrentText(DRAWN)
    ready.start()
    assert "No region is drawn" in told[-1]
    assert not user_models().exists()
