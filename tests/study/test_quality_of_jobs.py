"""What a model says of a slide that is unlike those it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_prts.expression import ModelBundle, TrainRequest
from napari_prts.features import FeatureStore
from napari_prts.h5ad import read_h5ad, write_h5ad
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import PredictionRequest, StudyTrainRequest
from napari_prts.study.jobs import predict_job, train_job
from napari_prts.visium_hd import measure, read_space_ranger, simulate_job


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return FeatureStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def trained(
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    store: FeatureStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> ModelBundle:
    folder = tmp_path_factory.mktemp("section") / "hd"
    run(simulate_job(demo_slide, demo_nuclei, folder, genes=20, seed=0))
    measured = run(measure(demo_slide, demo_nuclei, read_space_ranger(folder)))
    request = StudyTrainRequest(training=TrainRequest(epochs=2, batch=64, device="cpu"))
    return run(train_job(demo_slide, demo_nuclei, measured, request, store))


def test_training_keeps_stain_and_focus_of_its_slide(trained: ModelBundle) -> None:
    reference = trained.quality_reference
    assert reference is not None
    assert reference.haematoxylin[0] < 0.44 < reference.haematoxylin[1]
    assert reference.focus is not None
    assert reference.focus > 0.5


def test_its_own_slide_is_fine(
    demo_slide: Slide, demo_nuclei: Nuclei, trained: ModelBundle, store: FeatureStore
) -> None:
    request = PredictionRequest(trained, device="cpu")
    quality = run(predict_job(demo_slide, demo_nuclei, request, store)).uns["prts"]["quality"]
    assert quality["warnings"] == []
    assert quality["focus_word"] == "good"


def test_a_pale_and_blurred_slide_is_warned_of(
    demo_slide: Slide,
    demo_nuclei: Nuclei,
    trained: ModelBundle,
    store: FeatureStore,
    tmp_path: Path,
) -> None:
    faded = 245 * np.clip(np.asarray(demo_slide.levels[0]) / 245, 0, 1) ** 0.3
    pixels = np.asarray(cv2.GaussianBlur(faded.astype(np.uint8), (0, 0), 5), np.uint8)
    other = Slide.from_array(pixels, mpp=0.499)
    seen: list[Progress] = []
    predicted = run(
        predict_job(other, demo_nuclei, PredictionRequest(trained, device="cpu"), store),
        seen.append,
    )
    assert list(dict.fromkeys(p.unit for p in seen)) == ["nuclei", "cells", "windows"]

    write_h5ad(predicted, tmp_path / "predicted.h5ad")
    quality = read_h5ad(tmp_path / "predicted.h5ad").uns["prts"]["quality"]
    haematoxylin, *_, focus = quality["warnings"]
    assert haematoxylin.startswith("The haematoxylin of this slide")
    assert focus.startswith("The focus of this slide")
    assert quality["focus_word"] == "out of focus"


def test_an_older_model_predicts_without_a_word(
    demo_slide: Slide, demo_nuclei: Nuclei, trained: ModelBundle, store: FeatureStore
) -> None:
    card = {name: value for name, value in trained.card.items() if name != "quality_reference"}
    request = PredictionRequest(replace(trained, card=card), device="cpu")
    assert "quality" not in run(predict_job(demo_slide, demo_nuclei, request, store)).uns["prts"]
