"""The window says how far corrections are saved, and offers what a crash left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Saved, Study
from napari_prts.widgets import Workspace
from napari_prts.widgets._saving import saving_words
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


def test_saving_in_words() -> None:
    now = datetime(2026, 11, 21, 15, 4, tzinfo=UTC)
    assert saving_words(Saved()) == ""
    assert saving_words(Saved(pending=True)) == "saving…"
    assert saving_words(Saved(now), now) == "saved"
    assert saving_words(Saved(now - timedelta(seconds=2.5)), now) == "saved 2 s ago"
    assert saving_words(Saved(now - timedelta(minutes=5)), now) == "saved 5 min ago"
    assert saving_words(Saved(now - timedelta(hours=2)), now).startswith("saved at ")
    assert saving_words(Saved(now + timedelta(hours=1)), now) == "saved"
    assert saving_words(Saved(now, problem="full")).startswith("not saved")


def test_the_panel_says_when_corrections_are_saved(
    workspace: Workspace, tissue_slide: Slide, qtbot: QtBot
) -> None:
    study = Study(tissue_slide)
    workspace.session.show(study)
    assert "sav" not in workspace.nuclei.state.text()
    study.edit(added=[SQUARE])
    qtbot.waitUntil(lambda: "saved" in workspace.nuclei.state.text(), timeout=60_000)
    assert "1 nuclei" in workspace.nuclei.state.text()


def test_a_disk_that_takes_nothing_is_told_once_and_shown(
    workspace: Workspace,
    tissue_slide: Slide,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_prts.widgets._session.show_warning", told.append)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NAPARI_PRTS_DATA", str(tmp_path / "file"))
    study = Study(tissue_slide)
    workspace.session.show(study)
    study.edit(added=[SQUARE])
    qtbot.waitUntil(lambda: "not saved" in workspace.nuclei.state.text(), timeout=60_000)
    study.edit(added=[SQUARE + 20])
    study.autosave.wait()
    assert len(told) == 1
    assert "NAPARI_PRTS_DATA" in told[0]

    (tmp_path / "file").unlink()
    qtbot.waitUntil(lambda: "\nsaved" in workspace.nuclei.state.text(), timeout=60_000)
    assert len(Study(tissue_slide).restore()) == 2


def test_the_restore_button_brings_back_nuclei_and_undo(
    workspace: Workspace, tissue_slide: Slide, qtbot: QtBot
) -> None:
    crashed = Study(tissue_slide)
    crashed.set_nuclei(Nuclei.from_polygons([SQUARE]), {"model": "he-open"})
    crashed.edit(added=[SQUARE + 30], label="draw nucleus")
    crashed.autosave.wait()

    study = Study(tissue_slide)
    workspace.session.show(study)
    workspace.tabs.setCurrentWidget(workspace.nuclei)
    button = workspace.nuclei.restore_button
    assert not button.isHidden()
    assert button.text().startswith("Restore nuclei of ")
    assert button.text().endswith("(1 edit)")
    button.click()
    wait(qtbot, workspace)
    assert len(study.nuclei) == 2
    assert button.isHidden()
    assert workspace.nuclei.undo_button.isEnabled()
    assert study.undo() == "draw nucleus"
    assert study.nuclei_provenance["model"] == "he-open"
