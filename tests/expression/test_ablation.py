"""What each part brings, side by side."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from napari_prts.errors import ExpressionError
from napari_prts.expression import Ablation, AblationRow, Section, TrainRequest, ablate
from napari_prts.features import Features
from napari_prts.jobs import Progress, run
from tests.expression.sections import make_section


def with_encoder(section: Section, name: str, noise: float) -> Section:
    """The same section as another encoder sees it."""
    rng = np.random.default_rng(5)
    features = section.features
    return dataclasses.replace(
        section,
        features=dataclasses.replace(
            features,
            local=(features.local + noise * rng.normal(size=features.local.shape)).astype("f4"),
            context=(features.context + noise * rng.normal(size=features.context.shape)).astype(
                "f4"
            ),
            encoder=name,
            encoder_key=f"{name}-1",
        ),
    )


@pytest.fixture(scope="module")
def section() -> Section:
    drawn = make_section(cells=400)
    return Section(drawn.features, drawn.measured, drawn.nuclei, drawn.slide)


REQUEST = TrainRequest(epochs=8, batch=64, device="cpu")


@pytest.fixture(scope="module")
def seen() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def ablation(section: Section, seen: list[Progress]) -> Ablation:
    encoders = {
        "sharp": [with_encoder(section, "sharp", 0.0)],
        "morphology": [with_encoder(section, "morphology", 20.0)],
    }
    return run(ablate(encoders, REQUEST), seen.append)


def row(ablation: Ablation, encoder: str, use: str) -> AblationRow:
    return next(r for r in ablation.rows if (r.encoder, r.use) == (encoder, use))


def test_each_encoder_is_trained_on_each_part_the_baseline_first(ablation: Ablation) -> None:
    assert [(r.encoder, r.use) for r in ablation.rows] == [
        (encoder, use) for encoder in ("morphology", "sharp") for use in ("both", "local", "global")
    ]
    assert [r.baseline for r in ablation.rows] == [True] + [False] * 5
    assert [r.features for r in ablation.rows] == [20, 12, 8] * 2


def test_the_gain_is_over_the_morphology_baseline(ablation: Ablation) -> None:
    baseline, sharp = row(ablation, "morphology", "both"), row(ablation, "sharp", "both")
    assert baseline.gain == 0
    assert sharp.test_pcc is not None
    assert baseline.test_pcc is not None
    assert sharp.gain == pytest.approx(sharp.test_pcc - baseline.test_pcc)
    assert sharp.gain > 0.05
    assert sharp.share_of_ceiling is not None
    assert sharp.test_pcc < sharp.share_of_ceiling < 1


def test_each_row_is_the_model_that_training_alone_gives(
    section: Section, ablation: Ablation
) -> None:
    from napari_prts.expression import train_sections

    sharp = with_encoder(section, "sharp", 0.0)
    alone = run(train_sections([sharp], dataclasses.replace(REQUEST, use="local")))
    assert ablation.models["sharp", "local"].hash == alone.hash
    assert row(ablation, "sharp", "local").test_pcc == alone.card["metrics"]["test_pcc"]


def test_all_rows_are_scored_on_the_same_cells(ablation: Ablation) -> None:
    cells = [model.card["training"]["slides"] for model in ablation.models.values()]
    assert all(each == cells[0] for each in cells)


def test_progress_counts_the_epochs_of_all(ablation: Ablation, seen: list[Progress]) -> None:
    assert {progress.total for progress in seen} == {6 * REQUEST.epochs}
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert done[-1] == 6 * REQUEST.epochs
    finished = [p.partial for p in seen if p.partial is not None]
    assert [r.use for r in finished] == ["both", "local", "global"] * 2


def test_the_table_is_written_for_people_and_for_programs(
    ablation: Ablation, tmp_path: Path
) -> None:
    table, values = ablation.write(tmp_path / "model-ablation")
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = json.loads(values.read_text())["rows"]
    assert len(lines) == len(rows) == 6
    assert lines[0]["encoder"] == rows[0]["encoder"] == "morphology"
    assert float(lines[3]["test_pcc"]) == rows[3]["test_pcc"]
    assert json.loads(values.read_text())["sections"] == ["made-up"]


def test_a_part_that_an_encoder_does_not_give_is_said_and_left_out(section: Section) -> None:
    features = section.features
    blind = Features(
        features.ids,
        np.empty((len(features), 0), np.float32),
        features.context,
        *("blind", "blind-1", features.mpp, {}),
    )
    request = dataclasses.replace(REQUEST, epochs=1)
    only = run(
        ablate({"blind": [dataclasses.replace(section, features=blind)]}, request, ["local"])
    )
    (told,) = only.rows
    assert told.note == "encoder blind gives no local features"
    assert told.test_pcc is None
    assert not only.models


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ExpressionError, match="nothing to compare"):
        run(ablate({}))
