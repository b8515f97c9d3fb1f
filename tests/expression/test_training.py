"""Training learns, stops, repeats itself, and can be cancelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_prts.correlation import pcc_per_gene
from napari_prts.errors import ExpressionError
from napari_prts.expression import (
    EpochReport,
    ModelBundle,
    PredictRequest,
    SplitRequest,
    TrainRequest,
    predict,
    train,
)
from napari_prts.expression.fitting import even_parts
from napari_prts.jobs import Job, Progress, run
from tests.expression.sections import Section, make_section


def training(section: Section, **options) -> Job[ModelBundle]:
    request = TrainRequest(device="cpu", **options)
    return train(section.features, section.measured, section.nuclei, section.slide, request)


def test_it_learns_what_the_looks_tell(section: Section, bundle: ModelBundle) -> None:
    # The card's scores are those of float32.
    exactly = PredictRequest(precision="float32")
    predicted = run(predict(section.features, section.nuclei, section.slide, bundle, exactly))
    held_out = (predicted.obs["split"] == "test").to_numpy()
    counts = np.log1p(section.measured.X.toarray()[held_out])
    rates = np.log1p(np.asarray(section.measured.layers["true_rate"])[held_out])
    found = pcc_per_gene(np.log1p(predicted.X[held_out]), counts).mean()
    ceiling = pcc_per_gene(rates, counts).mean()
    assert found > 0.6 * ceiling
    assert bundle.card["metrics"]["test_pcc"] == pytest.approx(found, abs=1e-4)
    assert bundle.card["metrics"]["validation_pcc"] > 0.6 * ceiling
    # Simulated counts have a ceiling, and the card says how near to it the model comes.
    assert bundle.card["metrics"]["test_ceiling"] == pytest.approx(ceiling, abs=1e-4)
    assert bundle.card["metrics"]["test_share_of_ceiling"] == pytest.approx(
        found / ceiling, abs=1e-3
    )


def test_the_best_epoch_is_kept_and_training_stops_when_it_gets_no_better(
    section: Section, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fifth of what it really waits.
    least = 100
    monkeypatch.setattr("napari_prts.expression.fitting._LEAST_PATIENCE", least)
    seen: list[Progress] = []
    bundle = run(training(section, epochs=100, patience=1, batch=8), seen.append)
    reports = [p.partial for p in seen if p.partial is not None]
    assert all(isinstance(r, EpochReport) for r in reports)
    assert [r.epoch for r in reports] == list(range(1, len(reports) + 1))
    assert seen[0].unit == "epochs"
    losses = [r.validation_loss for r in reports]
    metrics = bundle.card["metrics"]
    assert metrics["best_epoch"] == 1 + int(np.argmin(losses))
    assert metrics["validation_loss"] == min(losses)
    # One epoch without progress would do, but on a small section at least so many steps.
    steps = -(-bundle.card["training"]["cells"]["train"] // 8)
    waited = -(-least // steps)
    assert waited > 1
    assert metrics["epochs_run"] == len(reports) == metrics["best_epoch"] + waited < 100


def test_the_same_seed_gives_the_same_model_and_leaves_other_random_numbers_alone() -> None:
    section = make_section(cells=250)
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    options = {"epochs": 2, "batch": 32, "split": SplitRequest(gap_um=20)}
    hashes = [run(training(section, seed=seed, **options)).hash for seed in (3, 3, 4)]
    assert hashes[0] == hashes[1] != hashes[2]
    torch.testing.assert_close(torch.rand(3), wanted)


def test_the_number_of_threads_that_others_left_behind_makes_no_difference() -> None:
    section = make_section(cells=250)
    options = {"epochs": 2, "batch": 32, "split": SplitRequest(gap_um=20)}
    before = torch.get_num_threads()
    hashes = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            hashes.add(run(training(section, **options)).hash)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(hashes) == 1


@pytest.mark.parametrize("options", [{"loss": "focal"}, {"use": "local"}, {"use": "global"}])
def test_the_scripts_loss_and_the_ablations_train(section: Section, options) -> None:
    bundle = run(training(section, epochs=2, batch=128, **options))
    assert np.isfinite(bundle.card["metrics"]["validation_loss"])
    assert bundle.use == options.get("use", "both")
    assert bundle.card["loss"] == options.get("loss", "paper")


def test_a_cancelled_training_ends_at_once_and_writes_nothing(
    section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = training(section, epochs=5)
    while next(job).partial is None:
        pass
    job.close()
    with pytest.raises(StopIteration):
        next(job)
    assert not list(tmp_path.iterdir())


def test_too_few_cells_are_refused_with_the_numbers() -> None:
    with pytest.raises(ExpressionError, match=r"Too few of the 60 .* 20 are needed"):
        run(training(make_section(cells=60)))


def test_a_rate_that_makes_training_diverge_is_named() -> None:
    with pytest.raises(ExpressionError, match="learning_rate"):
        run(
            training(
                make_section(cells=250),
                learning_rate=1e30,
                epochs=3,
                split=SplitRequest(gap_um=20),
            )
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "other"},
        {"use": "left"},
        {"genes": "few"},
        {"epochs": 0},
        {"batch": 1},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"seed": -1},
        {"standardise": "slide"},
    ],
)
def test_impossible_requests_are_refused(wrong) -> None:
    with pytest.raises(ExpressionError, match=next(iter(wrong))):
        TrainRequest(**wrong)


@pytest.mark.parametrize("count", [20, 255, 256, 257, 513])
def test_no_batch_is_too_small_for_batch_norm(count: int) -> None:
    parts = even_parts(np.arange(count), 256)
    sizes = [len(part) for part in parts]
    assert sum(sizes) == count
    assert max(sizes) <= 256
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1
