"""Scores are what matching by hand gives, and thresholds are chosen where they should be."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.io import imsave

from napari_prts.errors import ModelError
from napari_prts.segmentation import (
    LabelledTile,
    StarDistConfig,
    StarDistNetwork,
    choose_thresholds,
    load_model,
    read_labelled_folder,
    score,
)
from napari_prts.segmentation.recipe import main
from napari_prts.segmentation.scoring import score_labels
from tests.segmentation.oracle import draw_discs, oracle, scattered

SHAPE, RADIUS = (160, 192), 9.0


def discs(name: str, seed: int, shape: tuple[int, int] = SHAPE) -> LabelledTile:
    centres = scattered(shape, RADIUS, seed)
    rows, columns = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, column) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= RADIUS**2] = number
    return LabelledTile(name, "discs/fold0", draw_discs(shape, centres, RADIUS), labels)


def test_a_score_counts_matches():
    outlined, found = np.zeros((2, 40, 40), np.int32)
    outlined[0:10, 0:10], outlined[20:30, 20:30], outlined[0:10, 30:40] = 1, 2, 5
    found[0:10, 0:10] = 1  # exact
    found[20:30, 20:27] = 2  # intersection over union 0.7
    found[35:40, 0:5] = 3  # nowhere
    result = score_labels([(outlined, found), (outlined, np.zeros_like(outlined))])
    assert (result.tiles, result.outlined, result.found) == (2, 6, 3)
    assert result.f1[0.5] == pytest.approx(2 * 2 / (2 * 2 + 1 + 4))
    assert result.ap[0.5] == pytest.approx(2 / (2 + 1 + 4))
    assert result.f1[0.9] == pytest.approx(2 * 1 / (2 * 1 + 2 + 5))
    assert result.as_dict()["ap"]["0.8"] == round(1 / 8, 4)


@pytest.mark.parametrize("mpp", [0.25, 0.4, 0.5])
def test_a_perfect_network_scores_one(mpp):
    result = score(oracle(0.4), [discs("a", 1), discs("b", 2)], mpp)
    assert result.f1[0.5] == result.f1[0.8] == 1
    assert result.f1[0.9] > 0.9


def test_thresholds_are_chosen_where_the_nuclei_are():
    tile = discs("a", 1)
    chosen = choose_thresholds(
        oracle(), [tile], {"discs": 0.4}, probs=(0.5, 0.99), nms=(0.4,), mpps=(0.4, 3.0)
    )
    # No grid point of a disc reaches 0.99, and at 3 um/px there is nothing left to see.
    assert (chosen.prob, chosen.nms, chosen.mpp) == (0.5, 0.4, 0.4)
    assert chosen.figure > 0.9
    model = chosen.of(oracle())
    assert (model.prob_threshold, model.mpp) == (0.5, 0.4)


def test_choosing_finds_the_same_figure_as_scoring():
    """One pass over many thresholds gives what a pass for each would give."""
    torch.manual_seed(3)
    tiles = [discs("a", 1)]
    model = load_model()
    chosen = choose_thresholds(model, tiles, 0.4, probs=(0.3, 0.5), nms=(0.3, 0.5), mpps=(0.4,))
    figures = []
    for prob in (0.3, 0.5):
        for nms in (0.3, 0.5):
            one = replace(model, prob_threshold=prob, nms_threshold=nms, mpp=0.4)
            ap = score(one, tiles, 0.4).ap
            figures.append(np.mean([ap[0.5], ap[0.6], ap[0.7]]))
    assert chosen.figure == pytest.approx(max(figures))


def test_what_is_missing_is_said():
    with pytest.raises(ModelError, match="no tiles"):
        score(oracle(), [], 0.5)
    with pytest.raises(ModelError, match="no validation tiles"):
        choose_thresholds(oracle(), [], 0.5)
    with pytest.raises(ModelError, match="microns per pixel of discs"):
        score(oracle(), [discs("a", 1)], {"tnbc": 0.25})


@pytest.fixture
def folder(tmp_path):
    """Three patients of drawn discs."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    for patient in ("01", "02", "03"):
        tile = discs(patient, int(patient), (96, 80))
        imsave(folder / f"{patient}_1.png", tile.image, check_contrast=False)
        labels = tile.labels.astype(np.uint16)
        imsave(folder / f"{patient}_1_labels.png", labels, check_contrast=False)
    return folder


def arguments(folder, output, *more):
    fixed = ["--validation", "drawn/02", "--test", "drawn/03", "--mpp", "0.4"]
    return [str(folder), "-o", str(output), *fixed, *map(str, more)]


def test_the_recipe_makes_a_model_with_its_card(folder, tmp_path, capsys):
    output = tmp_path / "made"
    assert main(arguments(folder, output, "--steps", 2, "--licence", "CC0-1.0")) == 0
    assert "test drawn/03: F1" in capsys.readouterr().out
    model = load_model(output)
    assert model.name == "made"
    assert model.card["licence"] == "CC0-1.0"
    assert model.card["training"]["train"]["groups"] == ["drawn/01"]
    assert model.card["training"]["steps"] == 2
    assert set(model.card["metrics"]["test"]["drawn/03"]) >= {"f1", "ap", "outlined"}
    # The weights that training left behind finish to the same model.
    state = tmp_path / "made.state.pt"
    again = tmp_path / "again"
    assert main(arguments(folder, again, "--from-state", state, "--name", "made")) == 0
    assert load_model(again).hash == model.hash


def test_the_recipe_says_what_is_wrong(folder, tmp_path, capsys):
    wrong = tmp_path / "wrong.pt"
    wrong.write_bytes(b"not weights")
    assert main(arguments(folder, tmp_path / "m", "--from-state", wrong)) == 2
    assert "wrong.pt holds no state dict" in capsys.readouterr().err
    torch.save(StarDistNetwork(StarDistConfig(n_rays=8)).state_dict(), wrong)
    assert main(arguments(folder, tmp_path / "m", "--from-state", wrong)) == 2
    assert "configuration asks for" in capsys.readouterr().err
    assert main(arguments(folder, tmp_path / "m", "--weights", "drawn=often")) == 2
    assert "FOLDER=NUMBER" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_left_out_patients(shared_data):
    """A tile of a patient that the embedded weights have not seen."""
    tiles = [t for t in read_labelled_folder(shared_data / "nuclei/tnbc") if t.group == "tnbc/05"]
    assert score(load_model(), tiles[:1], 0.25).f1[0.5] > 0.6


def test_the_benchmark_prints_one_figure_a_line(folder):
    script = Path(__file__).parents[2] / "benchmarks" / "nuclei_accuracy.py"
    if not script.exists():
        pytest.skip("the benchmarks are not beside the tests")
    command = [sys.executable, str(script), str(folder), "--mpp", "0.4", "--groups", "drawn/03"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"name", "ours", "baseline", "ratio", "unit", "target"} == set(lines[0])
    assert lines[0]["name"] == "nuclei f1 at IoU 0.5"
    assert lines[0]["target"] == 0.83
