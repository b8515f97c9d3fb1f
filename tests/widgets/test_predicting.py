"""Prediction from the window: what is looked at comes first, and it can be stopped any time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from superqt import QCollapsible

from napari_prts.expression import ModelBundle
from napari_prts.features import FeatureStore
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import PredictionRequest, Study
from napari_prts.study.predicting import predict_job
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job
from napari_prts.widgets import Workspace
from napari_prts.widgets._store_line import size_words
from tests.widgets.canvas import Hand
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Weights at random; large enough that a test can act while the slide is looked at.
LOOKING = "random-vit:vit_tiny_patch16_224,img_size=128,depth=2"


@pytest.fixture(scope="module")
def some_nuclei(demo_nuclei: Nuclei) -> Nuclei:
    """Every fourth nucleus."""
    return demo_nuclei.take(np.arange(0, len(demo_nuclei), 4))


@pytest.fixture(scope="module")
def models(
    demo_slide: Slide, some_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, ModelBundle]:
    """One model that looks at tiles, and one that does not."""
    folder = tmp_path_factory.mktemp("section") / "hd"
    run(simulate_job(demo_slide, some_nuclei, folder, genes=20, seed=0))
    measured = run(measure(demo_slide, some_nuclei, read_space_ranger(folder)))
    made = {}
    for encoder in (LOOKING, "morphology"):
        store = FeatureStore(tmp_path_factory.mktemp("features"))
        study = Study(demo_slide, store, autosave=False)
        study.set_nuclei(some_nuclei)
        study.set_measured(measured)
        made[encoder] = study.train(encoder, epochs=2)
    return made


@pytest.fixture
def study(workspace: Workspace, demo_slide: Slide, some_nuclei: Nuclei, qtbot: QtBot) -> Study:
    """A study on screen, with nuclei but without a model."""
    study = Study(demo_slide, autosave=False)
    workspace.session.show(study)
    study.set_nuclei(some_nuclei)
    workspace.tabs.setCurrentWidget(workspace.predict)
    wait(qtbot, workspace)
    return study


@pytest.fixture
def looking(
    study: Study, workspace: Workspace, models: dict[str, ModelBundle], qtbot: QtBot
) -> Study:
    """The same with a model that looks at tiles, ready."""
    study.set_model(models[LOOKING])
    ready(qtbot, workspace)
    return study


@pytest.fixture
def hand(workspace: Workspace) -> Hand:
    return Hand(workspace)


def ready(qtbot: QtBot, workspace: Workspace) -> None:
    panel = workspace.predict
    qtbot.waitUntil(lambda: panel.getting_ready.readiness is not None, timeout=60_000)


def click(qtbot: QtBot, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def begin(qtbot: QtBot, workspace: Workspace, cells: int = 1) -> None:
    """Click Predict and wait until some cells are there."""
    study = workspace.session.study
    assert study is not None
    click(qtbot, workspace.predict.predict_button)
    qtbot.waitUntil(
        lambda: study.arriving is not None and len(study.arriving) >= cells, timeout=60_000
    )


def alone(study: Study, store: FeatureStore) -> np.ndarray:
    """The expression that one run without a window gives."""
    assert study.model is not None
    job = predict_job(study.slide, study.nuclei, PredictionRequest(study.model), store)
    return np.asarray(run(job).X)


def larger(nuclei: Nuclei, position: int) -> np.ndarray:
    """A nucleus's outline, drawn a little larger."""
    outline = nuclei.polygon(position)
    centre = outline.mean(axis=0)
    return centre + (outline - centre) * 1.2


def looks_at(workspace: Workspace, row: float, column: float) -> bool:
    """Whether jobs are told that this is in the middle of the view."""
    view = workspace.session.focus.view
    return view is not None and view.centre == pytest.approx((row, column), abs=2)


def test_the_focus_follows_the_camera(
    study: Study, workspace: Workspace, qtbot: QtBot, hand: Hand
) -> None:
    focus = workspace.session.focus
    hand.look(1000, 1500, 400)
    qtbot.waitUntil(lambda: looks_at(workspace, 1000, 1500))
    assert min(focus.view.height, focus.view.width) == pytest.approx(400, rel=0.01)
    hand.look(600, 700, 200)
    qtbot.waitUntil(lambda: looks_at(workspace, 600, 700))
    assert min(focus.view.height, focus.view.width) == pytest.approx(200, rel=0.01)
    # Beside the slide nothing of it is in view.
    hand.look(-20_000, -20_000, 400)
    qtbot.waitUntil(lambda: focus.view is None)


def test_side_by_side_each_canvas_shows_half_of_what_one_did(
    study: Study, workspace: Workspace, qtbot: QtBot, hand: Hand
) -> None:
    viewer, focus = workspace.session.viewer, workspace.session.focus
    hand.look(1000, 1500, 200)
    qtbot.waitUntil(lambda: looks_at(workspace, 1000, 1500))
    width, camera = focus.view.width, viewer.scene.camera
    center, zoom = camera.center, camera.zoom
    viewer.canvas.grid.shape = (1, 2)
    viewer.canvas.grid.enabled = True
    # Grid mode may fit the view to the canvas: the same place at the same size again.
    camera.center, camera.zoom = center, zoom
    qtbot.waitUntil(lambda: focus.view.width == pytest.approx(width / 2, rel=0.02))
    assert looks_at(workspace, 1000, 1500)


def test_a_larger_window_shows_more(
    study: Study, workspace: Workspace, qtbot: QtBot, hand: Hand
) -> None:
    focus, canvas = workspace.session.focus, workspace.session.viewer.canvas
    hand.look(1000, 1500, 200)
    qtbot.waitUntil(lambda: looks_at(workspace, 1000, 1500))
    before = focus.view.height
    canvas.size = (canvas.size[0] + 100, canvas.size[1])
    qtbot.waitUntil(lambda: focus.view.height > before)


def test_a_model_is_made_ready_before_it_is_asked_for(
    study: Study, workspace: Workspace, models: dict[str, ModelBundle], qtbot: QtBot
) -> None:
    panel = workspace.predict
    assert not study.encoders.ready(LOOKING)
    study.set_model(models[LOOKING])
    # Nothing that the user asked for has to wait for it.
    assert workspace.session.jobs.running is None
    ready(qtbot, workspace)
    assert workspace.session.jobs.running is None
    assert study.encoders.ready(LOOKING)
    assert "Ready on CPU" in panel.model_label.text()
    devices = [panel.device.itemData(index) for index in range(panel.device.count())]
    assert devices[:2] == ["auto", "cpu"]


def test_why_a_model_cannot_be_made_ready_stands_in_the_panel(
    study: Study, workspace: Workspace, models: dict[str, ModelBundle], qtbot: QtBot
) -> None:
    model = models[LOOKING]
    study.set_model(replace(model, card={**model.card, "encoder": "no-such-encoder"}))
    label = workspace.predict.model_label
    qtbot.waitUntil(lambda: "There is no encoder 'no-such-encoder'" in label.text())
    assert workspace.predict.tiles.isHidden()


def test_the_trade_is_shown_with_its_times(
    looking: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    tiles = workspace.predict.tiles
    assert not tiles.isHidden()
    exact, shared = (tiles.box.itemText(index) for index in range(2))
    assert exact.startswith("One for each nucleus (exact): about ")
    assert exact.endswith("(as trained)")
    assert shared.startswith("Shared (grid): about ")
    assert tiles.chosen is None, "as it was trained, unless the user says otherwise"
    assert tiles.warning.isHidden()

    tiles.box.setCurrentIndex(1)
    assert tiles.chosen == "grid"
    assert "trained with exact tiles" in tiles.warning.text()
    assert not tiles.warning.isHidden()
    click(qtbot, workspace.predict.predict_button)
    wait(qtbot, workspace)
    about = looking.predicted.uns["prts"]
    assert (about["tiles"], about["trained_tiles"]) == ("grid", "exact")
    # Another model is used as it was trained.
    looking.set_model(looking.model)
    assert tiles.box.currentData() == "exact"


def test_where_there_are_no_tiles_there_is_nothing_to_choose(
    study: Study, workspace: Workspace, models: dict[str, ModelBundle], qtbot: QtBot
) -> None:
    study.set_model(models["morphology"])
    ready(qtbot, workspace)
    assert workspace.predict.tiles.isHidden()
    assert workspace.predict.tiles.chosen is None


def test_cells_in_view_arrive_first_and_are_painted(
    looking: Study, workspace: Workspace, qtbot: QtBot, hand: Hand
) -> None:
    hand.look(1000, 1500, 450)
    workspace.session.looking.look()
    view = workspace.session.focus.view
    inside = np.flatnonzero(view.holds(looking.nuclei.centroids))
    assert 5 < len(inside) < len(looking.nuclei) / 3
    begin(qtbot, workspace, len(inside))
    came = looking.arriving.positions[: len(inside)]
    assert np.isin(came, inside).mean() > 0.8
    assert any("Predicted total" in layer.name for layer in workspace.session.viewer.layers)
    qtbot.waitUntil(lambda: "CPU" in workspace.predict.job_line.label.text())
    assert "Predicting" in workspace.predict.state.text()
    wait(qtbot, workspace)
    assert looking.arriving is None
    assert looking.predicted.n_obs == len(looking.nuclei)


def test_stopped_it_goes_on_from_there(
    looking: Study, workspace: Workspace, qtbot: QtBot, tmp_path: Path
) -> None:
    panel = workspace.predict
    begin(qtbot, workspace, 20)
    click(qtbot, panel.job_line.cancel)
    wait(qtbot, workspace)
    assert looking.predicted is None
    came = len(looking.arriving)
    assert panel.state.text() == (
        f"Stopped: {came:,} of {len(looking.nuclei):,} cells predicted; Predict goes on from there."
    )
    assert any("Predicted total" in layer.name for layer in workspace.session.viewer.layers)
    click(qtbot, panel.predict_button)
    wait(qtbot, workspace)
    assert panel.state.text().startswith("Predicted ")
    once = alone(looking, FeatureStore(tmp_path))
    np.testing.assert_array_equal(np.asarray(looking.predicted.X), once)


def test_paused_it_waits_and_takes_up_corrections_when_resumed(
    looking: Study, workspace: Workspace, qtbot: QtBot, tmp_path: Path
) -> None:
    jobs, line = workspace.session.jobs, workspace.predict.job_line
    begin(qtbot, workspace, 5)
    click(qtbot, line.pause)
    came = -1
    while came != len(looking.arriving):
        came = len(looking.arriving)
        qtbot.wait(400)
    assert "paused" in line.label.text()
    looking.edit(replaced={int(looking.nuclei.ids[0]): larger(looking.nuclei, 0)})
    qtbot.wait(300)
    assert jobs.held("predict"), "corrected, but still paused"
    assert len(looking.arriving) == came
    click(qtbot, line.pause)
    wait(qtbot, workspace)
    once = alone(looking, FeatureStore(tmp_path))
    np.testing.assert_array_equal(np.asarray(looking.predicted.X), once)


def test_corrections_while_it_runs_are_predicted_too(
    looking: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    begin(qtbot, workspace, 20)
    arriving = looking.arriving
    looking.edit(replaced={int(looking.nuclei.ids[3]): larger(looking.nuclei, 3)})
    looking.edit(removed=[int(looking.nuclei.ids[5])])
    qtbot.wait(200)
    assert looking.arriving is arriving, "what is painted stays"
    (new,) = looking.edit(added=[larger(looking.nuclei, 8) + 3])
    wait(qtbot, workspace)
    np.testing.assert_array_equal(looking.predicted.obs["id"], looking.nuclei.ids)
    assert new in looking.predicted.obs["id"].to_numpy()
    assert "not predicted" not in workspace.predict.state.text()


def test_after_corrections_it_is_predicted_again_unless_told_not_to(
    looking: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    click(qtbot, workspace.predict.predict_button)
    wait(qtbot, workspace)
    first = looking.predicted
    (new,) = looking.edit(added=[larger(looking.nuclei, 8) + 3])
    qtbot.waitUntil(lambda: looking.predicted is not first, timeout=60_000)
    assert new in looking.predicted.obs["id"].to_numpy()
    wait(qtbot, workspace)

    workspace.predict.automatic.setChecked(False)
    second = looking.predicted
    looking.edit(removed=[new])
    qtbot.wait(400)
    wait(qtbot, workspace)
    assert looking.predicted is second


def test_other_nuclei_or_none_end_what_runs(
    looking: Study, workspace: Workspace, some_nuclei: Nuclei, qtbot: QtBot
) -> None:
    begin(qtbot, workspace)
    looking.set_nuclei(some_nuclei.take(np.arange(30)))
    wait(qtbot, workspace)
    assert looking.predicted.n_obs == 30
    workspace.predict.predict()
    looking.set_nuclei(Nuclei.empty())
    wait(qtbot, workspace)
    assert looking.predicted is None
    assert "Find nuclei first" in workspace.predict.state.text()


def test_another_model_takes_over_what_runs(
    looking: Study, workspace: Workspace, models: dict[str, ModelBundle], qtbot: QtBot
) -> None:
    begin(qtbot, workspace)
    looking.set_model(models["morphology"])
    wait(qtbot, workspace)
    assert looking.predicted.uns["prts"]["model_hash"] == models["morphology"].hash


def test_another_slide_stops_what_runs(
    looking: Study, workspace: Workspace, tissue_slide: Slide, qtbot: QtBot
) -> None:
    begin(qtbot, workspace)
    workspace.session.show(Study(tissue_slide, autosave=False))
    wait(qtbot, workspace)
    assert looking.predicted is None
    assert "Find nuclei first" in workspace.predict.state.text()


def test_what_is_kept_on_disk_is_shown_and_cleared(
    looking: Study, workspace: Workspace, qtbot: QtBot
) -> None:
    panel, line = workspace.predict, workspace.predict.kept
    asked: list[str] = []
    line.ask = lambda question: bool(asked.append(question)) or len(asked) > 1
    # It is measured when it is looked at.
    workspace.session.viewer.window.show()
    advanced = line.parentWidget()
    while not isinstance(advanced, QCollapsible):
        advanced = advanced.parentWidget()
    advanced.expand(animate=False)
    qtbot.waitUntil(lambda: line.kept is not None)
    assert line.label.text().startswith("Features kept on this computer: nothing of 20 GB")
    assert not line.clear_all_button.isEnabled()

    click(qtbot, panel.predict_button)
    assert not line.clear_all_button.isEnabled()
    wait(qtbot, workspace)
    qtbot.waitUntil(lambda: line.kept.slide > 0)
    assert line.kept.everything >= line.kept.slide
    other = looking.store.table("another slide", "e", {}, 1, 1)
    other.put(np.array(["0" * 16]), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))

    click(qtbot, line.clear_slide_button)
    assert len(asked) == 1
    assert looking.slide.name in asked[0]
    assert workspace.session.beside.running is None, "nothing happens without a yes"
    click(qtbot, line.clear_slide_button)
    qtbot.waitUntil(lambda: line.kept.slide == 0)
    assert line.kept.everything > 0
    click(qtbot, line.clear_all_button)
    qtbot.waitUntil(lambda: line.kept.everything == 0)
    assert looking.store.size() == 0
    assert "all slides" in asked[-1]


def test_sizes_in_words() -> None:
    sizes = (0, 5, 3.2e6, 1.23e9, 20e9)
    expected = ["nothing", "less than 1 MB", "3.2 MB", "1.23 GB", "20 GB"]
    assert [size_words(size) for size in sizes] == expected
