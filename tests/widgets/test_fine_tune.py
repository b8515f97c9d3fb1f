"""Improving the nucleus model from the window: region, name, progress, cancel."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from napari_prts.nuclei import Nuclei
from napari_prts.segmentation.user_models import Origin, list_models
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.widgets import Workspace
from napari_prts.widgets._fine_tune import DRAWN, VIEW
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def ready(
    workspace: Workspace, tissue_slide: Slide, tissue_nuclei: Nuclei, qtbot: QtBot
) -> Workspace:
    """A slide with nuclei, seen whole."""
    study = Study(tissue_slide)
    workspace.session.show(study)
    study.set_nuclei(tissue_nuclei)
    wait(qtbot, workspace)
    return workspace


def names() -> list[str]:
    return [entry.name for entry in list_models() if entry.origin is Origin.USER]


def test_without_nuclei_there_is_nothing_to_learn_from(workspace: Workspace) -> None:
    improve = workspace.nuclei.improve
    assert not improve.start_button.isEnabled()
    assert not improve.add_button.isEnabled()


def test_a_region_has_to_be_drawn_first(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_prts.widgets._fine_tune.show_error", told.append)
    improve = ready.nuclei.improve
    improve.where.setCurrentText(DRAWN)
    improve.start_button.click()
    assert len(told) == 1
    assert "draw" in told[0].lower()
    assert names() == []


def test_a_name_is_proposed_and_a_taken_one_refused(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_prts.widgets._fine_tune.show_error", told.append)
    improve = ready.nuclei.improve
    assert improve.name.text() == "my-model"
    improve.where.setCurrentText(VIEW)
    improve.name.setText("he-open")
    improve.start_button.click()
    assert any("he-open" in message for message in told)


def test_the_model_learns_from_the_view(
    ready: Workspace, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    for tell in ("show_info", "show_warning"):
        monkeypatch.setattr(f"napari_prts.widgets._fine_tune.{tell}", told.append)
    improve = ready.nuclei.improve
    improve.where.setCurrentText(VIEW)
    improve.name.setText("skin-1")
    improve.minutes.setValue(0.1)
    improve.start_button.click()
    wait(qtbot, ready)
    assert len(told) == 1
    assert "F1" in told[0]
    assert "skin-1" in told[0]
    # Saved either way; nothing is switched unasked.
    assert names() == ["skin-1"]
    assert ready.nuclei.model.findText("skin-1") >= 0
    assert ready.nuclei.model.currentText() == "he-open"
    assert improve.name.text() == "skin-2"
