"""Predict, pan, correct, cancel and go on in a real window: nothing of it changes the result."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_prts.expression import ModelBundle, TrainRequest
from napari_prts.features import FeatureStore
from napari_prts.features.vit_network import VitNetwork
from napari_prts.focus import View
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import PredictionRequest, Study, StudyTrainRequest
from napari_prts.study.jobs import train_job
from napari_prts.study.predicting import predict_job
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job
from napari_prts.widgets import Workspace
from tests.features.conftest import TINY
from tests.widgets.canvas import Hand
from tests.widgets.conftest import wait

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
PATIENCE = 60_000


class Pace:
    """Lets the encoder look at as many batches as it is told to."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)
        self._free = threading.Event()

    def allow(self, batches: int) -> None:
        for _ in range(batches):
            self._allowed.release()

    def let_go(self) -> None:
        self._free.set()

    def hold(self) -> None:
        self._free.clear()

    def wait(self) -> None:
        while not self._free.is_set():
            if self._allowed.acquire(timeout=0.01):
                return


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pace]:
    pace, look = Pace(), VitNetwork.look

    def paced(self: VitNetwork, *tiles: np.ndarray) -> tuple:
        pace.wait()
        return look(self, *tiles)

    monkeypatch.setattr(VitNetwork, "look", paced)
    yield pace
    pace.let_go()


@pytest.fixture(scope="module")
def model(
    demo_slide: Slide, demo_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> ModelBundle:
    """Trained for two epochs on simulated counts; its encoder has weights at random."""
    folder = tmp_path_factory.mktemp("model")
    run(simulate_job(demo_slide, demo_nuclei, folder / "hd", genes=20, seed=0))
    measured = run(measure(demo_slide, demo_nuclei, read_space_ranger(folder / "hd")))
    request = StudyTrainRequest(TINY, TrainRequest(epochs=2))
    job = train_job(demo_slide, demo_nuclei, measured, request, FeatureStore(folder / "store"))
    return run(job)


@pytest.fixture
def study(
    workspace: Workspace,
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    model: ModelBundle,
    tmp_path: Path,
    qtbot: QtBot,
) -> Study:
    study = Study(demo_slide, FeatureStore(tmp_path / "store"), autosave=False)
    workspace.session.show(study)
    study.set_nuclei(demo_nuclei)
    workspace.tabs.setCurrentWidget(workspace.predict)
    return study


def arrived(study: Study) -> np.ndarray:
    """Ids of the cells predicted so far by the running job, in the order they came."""
    return np.empty(0, int) if study.arriving is None else study.arriving.total()[0]


def inside(study: Study, view: View, ids: np.ndarray) -> np.ndarray:
    return view.holds(study.nuclei.centroids[study.nuclei.positions_of(ids)])


def looked_at(workspace: Workspace) -> View:
    view = workspace.session.focus.view
    assert view is not None
    return view


def test_predict_pan_correct_cancel_and_go_on(
    workspace: Workspace,
    study: Study,
    model: ModelBundle,
    pace: Pace,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    panel, hand = workspace.predict, Hand(workspace)
    study.set_model(model)
    pace.let_go()
    wait(qtbot, workspace)
    qtbot.waitUntil(lambda: panel.getting_ready.readiness is not None, timeout=PATIENCE)
    assert study.encoders.ready(TINY)
    pace.hold()

    rows, columns = study.slide.shape[:2]
    hand.look(rows * 0.3, columns * 0.3, 400)
    qtbot.waitUntil(lambda: looked_at(workspace).centre[1] < columns / 2, timeout=PATIENCE)
    first = looked_at(workspace)
    qtbot.mouseClick(panel.predict_button, Qt.MouseButton.LeftButton)
    # The first four batches are of one tile.
    pace.allow(6)
    qtbot.waitUntil(lambda: len(arrived(study)) >= 8, timeout=PATIENCE)
    assert inside(study, first, arrived(study)).all(), "what is on screen comes first"

    before = set(arrived(study).tolist())
    hand.look(rows * 0.7, columns * 0.7, 400)
    qtbot.waitUntil(lambda: looked_at(workspace).centre[1] > columns / 2, timeout=PATIENCE)
    second = looked_at(workspace)
    in_second = int(second.holds(study.nuclei.centroids).sum())
    pace.allow(4 + in_second // 4)
    qtbot.waitUntil(
        lambda: inside(study, second, arrived(study)).sum() >= min(8, in_second), timeout=PATIENCE
    )
    since = np.array([i for i in arrived(study) if int(i) not in before])
    # Batches that were under way when the user panned are of the first view.
    assert inside(study, second, since).sum() >= len(since) - 24

    chosen = study.nuclei.ids[np.flatnonzero(second.holds(study.nuclei.centroids))[-3:]]
    edited = {
        int(i): study.nuclei.polygon(int(study.nuclei.positions_of([i])[0])) * 0.999 for i in chosen
    }
    study.edit(replaced=edited, label="move outlines")
    pace.allow(20)
    qtbot.waitUntil(lambda: study.arriving is not None and len(study.arriving) > 40)
    done = len(study.arriving)
    assert done < len(study.nuclei), "the job is under way"
    qtbot.mouseClick(panel.job_line.cancel, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace)
    assert study.predicted is None
    assert "Predict goes on from there" in panel.state.text()

    pace.let_go()
    qtbot.mouseClick(panel.predict_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: study.predicted is not None, timeout=4 * PATIENCE)
    wait(qtbot, workspace)

    alone = run(
        predict_job(
            study.slide, study.nuclei, PredictionRequest(model), FeatureStore(tmp_path / "other")
        )
    )
    assert study.predicted.obs_names.equals(alone.obs_names)
    assert np.array_equal(study.predicted.X, alone.X)
    assert np.array_equal(study.predicted.layers["p_expressed"], alone.layers["p_expressed"])
    assert study.predicted.obs.equals(alone.obs)


def test_cancelled_right_after_a_correction_it_does_not_begin_again(
    workspace: Workspace, study: Study, model: ModelBundle, pace: Pace, qtbot: QtBot
) -> None:
    panel = workspace.predict
    study.set_model(model)
    pace.let_go()
    wait(qtbot, workspace)
    qtbot.waitUntil(lambda: panel.getting_ready.readiness is not None, timeout=PATIENCE)
    pace.hold()
    qtbot.mouseClick(panel.predict_button, Qt.MouseButton.LeftButton)
    pace.allow(6)
    qtbot.waitUntil(lambda: len(arrived(study)) >= 8, timeout=PATIENCE)
    # It takes a moment to end, as the network is in the middle of a batch.
    study.edit(replaced={int(study.nuclei.ids[0]): study.nuclei.polygon(0) * 0.999})
    qtbot.mouseClick(panel.job_line.cancel, Qt.MouseButton.LeftButton)
    wait(qtbot, workspace, seconds=20)
    qtbot.wait(200)
    assert workspace.session.jobs.running is None
    assert study.predicted is None
    assert "Predict goes on from there" in panel.state.text()


def test_a_corrected_nucleus_is_predicted_again_and_no_other_encoded(
    workspace: Workspace,
    study: Study,
    model: ModelBundle,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    study.set_model(model)
    wait(qtbot, workspace)
    qtbot.mouseClick(workspace.predict.predict_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: study.predicted is not None, timeout=4 * PATIENCE)
    wait(qtbot, workspace)
    before = study.predicted
    seen: list[int] = []
    look = VitNetwork.look

    def counting(self: VitNetwork, pixels: np.ndarray, *tokens: np.ndarray) -> tuple:
        seen.append(len(pixels))
        return look(self, pixels, *tokens)

    monkeypatch.setattr(VitNetwork, "look", counting)
    outline = study.nuclei.polygon(100)
    study.edit(replaced={int(study.nuclei.ids[100]): outline + 6}, label="move outline")
    qtbot.waitUntil(lambda: study.predicted is not before, timeout=PATIENCE)
    wait(qtbot, workspace)
    assert sum(seen) == 1
    assert study.predicted is not None
    changed = np.flatnonzero((study.predicted.X != before.X).any(axis=1))
    assert changed.tolist() == [100]
