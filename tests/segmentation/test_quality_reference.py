"""The nucleus model knows what its training tiles looked like."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_prts.segmentation import load_model, provenance
from napari_prts.segmentation.datasets import read_labelled_folder
from napari_prts.segmentation.model_folder import add_reference, read_model_folder
from napari_prts.segmentation.recipe import training_reference
from napari_prts.slide import Slide
from napari_prts.slide.quality_reference import QualityReference

EMBEDDED = Path(__file__).resolve().parents[2] / "src/napari_prts/data/models/he-open"


def test_the_embedded_model_is_fine_with_the_embedded_slide(demo_slide: Slide) -> None:
    quality = provenance(demo_slide)["quality"]
    assert quality["warnings"] == []
    assert quality["haematoxylin"] == pytest.approx(0.44, abs=0.03)


def test_it_warns_of_an_overstained_slide(demo_slide: Slide) -> None:
    dark = 245 * np.clip(np.asarray(demo_slide.levels[0]) / 245, 0, 1) ** 2
    slide = Slide.from_array(dark.astype(np.uint8), mpp=0.499)
    warnings = json.loads(json.dumps(provenance(slide)))["quality"]["warnings"]
    assert any("haematoxylin" in warning and "darker" in warning for warning in warnings)


def test_the_reference_is_measured_on_the_training_tiles(shared_data: Path) -> None:
    tiles = tuple(read_labelled_folder(shared_data / "nuclei" / "tnbc")[:8])
    reference = training_reference(tiles, {"tnbc": 0.25})
    assert 0.05 < reference.haematoxylin[0] < reference.haematoxylin[1] < 0.4
    assert reference.focus is not None
    assert reference.focus > 0.7


def test_a_reference_is_added_to_an_existing_model(tmp_path: Path) -> None:
    folder = tmp_path / "he-open"
    shutil.copytree(EMBEDDED, folder)
    reference = QualityReference((0.2, 0.4), (0.1, 0.2), 0.5)
    model = read_model_folder(add_reference(folder, reference))
    assert QualityReference.from_card(model.card) == reference
    assert model.hash == load_model().hash
