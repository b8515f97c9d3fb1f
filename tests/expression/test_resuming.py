"""A training that is cancelled keeps its best model, and goes on later as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_prts.errors import ExpressionError
from napari_prts.expression import ModelBundle, SplitRequest, TrainRequest, load_bundle, train
from napari_prts.jobs import Job, Progress, run
from tests.expression.sections import make_section


def training(**options) -> Job[ModelBundle]:
    section = make_section(cells=250)
    request = TrainRequest(
        **{
            "epochs": 6,
            "batch": 32,
            "device": "cpu",
            "split": SplitRequest(gap_um=20),
            "checkpoint_every_s": 0.0,
            **options,
        }
    )
    return train(section.features, section.measured, section.nuclei, section.slide, request)


def go_on(job: Job[ModelBundle], epochs: int) -> list[Progress]:
    """Run a job until so many epochs are over."""
    seen: list[Progress] = []
    while sum(progress.partial is not None for progress in seen) < epochs:
        seen.append(next(job))
    return seen


@pytest.fixture(scope="module")
def uninterrupted() -> ModelBundle:
    return run(training())


@pytest.fixture
def states(tmp_path: Path) -> Path:
    return tmp_path / "states"


@pytest.mark.parametrize("every_s", [0.0, 3600.0])
def test_closed_and_begun_again_it_gives_exactly_the_same_model(
    uninterrupted: ModelBundle, states: Path, every_s: float
) -> None:
    # The state is written on closing too, however long the time between two writings.
    options = {"checkpoints": states, "checkpoint_every_s": every_s}
    job = training(**options)
    go_on(job, 2)
    job.close()
    assert len(list(states.iterdir())) == 1
    seen: list[Progress] = []
    again = run(training(**options), seen.append)
    assert again.hash == uninterrupted.hash
    # The curves are whole: the epochs of the first run are told again.
    assert [p.partial.epoch for p in seen if p.partial] == [1, 2, 3, 4, 5, 6]
    assert not list(states.iterdir()), "what has ended needs no state"


def test_interrupted_in_the_middle_of_an_epoch_it_goes_on_from_its_beginning(
    uninterrupted: ModelBundle, states: Path
) -> None:
    job = training(checkpoints=states)
    go_on(job, 3)
    with pytest.raises(KeyboardInterrupt):
        job.throw(KeyboardInterrupt)
    assert run(training(checkpoints=states)).hash == uninterrupted.hash


SCRIPT = """
import sys
from tests.expression.test_resuming import training
for progress in training(checkpoints=sys.argv[1]):
    if progress.partial is not None:
        print(progress.partial.epoch, flush=True)
        if progress.partial.epoch == 3:
            import time
            time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_killed_and_begun_again_it_gives_exactly_the_same_model(
    uninterrupted: ModelBundle, states: Path
) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(states)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert run(training(checkpoints=states)).hash == uninterrupted.hash


def test_another_training_has_a_state_of_its_own(states: Path) -> None:
    for options in ({}, {"seed": 1}, {"loss": "focal"}, {"use": "local"}):
        job = training(checkpoints=states, **options)
        seen = go_on(job, 1)
        assert [p.partial.epoch for p in seen if p.partial] == [1]
        job.close()
    assert len(list(states.iterdir())) == 4


def test_the_best_so_far_is_kept_and_says_that_it_was_cancelled(tmp_path: Path) -> None:
    job = training(keep=tmp_path / "kept")
    seen = go_on(job, 3)
    job.close()
    kept = load_bundle(tmp_path / "kept")
    assert kept.card["training"]["cancelled"] is True
    reports = [p.partial for p in seen if p.partial]
    best = min(reports, key=lambda report: report.validation_loss)
    metrics = kept.card["metrics"]
    assert (metrics["best_epoch"], metrics["epochs_run"]) == (best.epoch, 3)
    assert metrics["validation_loss"] == best.validation_loss
    assert metrics["test_pcc"] is not None
    assert run(training()).card["training"]["cancelled"] is False


def test_the_kept_model_is_that_of_a_training_of_so_many_epochs(tmp_path: Path) -> None:
    job = training(keep=tmp_path / "kept")
    go_on(job, 2)
    job.close()
    kept, short = load_bundle(tmp_path / "kept"), run(training(epochs=2))
    for name, array in short.arrays.items():
        assert (kept.arrays[name] == array).all(), name
    assert kept.card["metrics"] == short.card["metrics"]


def test_cancelled_before_an_epoch_is_over_nothing_is_kept(tmp_path: Path, states: Path) -> None:
    job = training(keep=tmp_path / "kept", checkpoints=states)
    next(job)
    job.close()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_damaged_state_is_named(states: Path) -> None:
    job = training(checkpoints=states)
    go_on(job, 1)
    job.close()
    (file,) = states.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ExpressionError, match=rf"{file.name} cannot be read.*begin again"):
        run(training(checkpoints=states))


def test_where_the_state_cannot_be_written_training_says_so_and_goes_on(
    uninterrupted: ModelBundle, tmp_path: Path
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    seen: list[Progress] = []
    bundle = run(training(checkpoints=blocked), seen.append)
    assert bundle.hash == uninterrupted.hash
    assert "the state cannot be kept" in seen[-1].note


def test_states_that_nobody_came_back_to_are_removed(states: Path) -> None:
    states.mkdir()
    old, young = states / "old.safetensors", states / "young.safetensors"
    for path in (old, young):
        path.write_bytes(b"")
    month_ago = time.time() - 30 * 86_400
    os.utime(old, (month_ago, month_ago))
    job = training(checkpoints=states)
    go_on(job, 1)
    job.close()
    assert young.is_file()
    assert not old.exists()
