"""A model folder comes back as it was saved, or says what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_prts.errors import ModelError
from napari_prts.segmentation import (
    StarDistConfig,
    StarDistNetwork,
    export_model,
    load_model,
    save_model,
)
from napari_prts.segmentation.model import weights_hash
from napari_prts.segmentation.model_folder import rounded_to_half

SMALL = StarDistConfig(n_rays=8, depth=1, filters=4, features=6)


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    return export_model(
        StarDistNetwork(SMALL),
        tmp_path / "small",
        name="small",
        prob_threshold=0.55,
        nms_threshold=0.3,
        mpp=0.4,
        licence="CC0-1.0",
        training={"groups": ["tnbc/01"]},
        metrics={"test": {"f1": 0.8}},
    )


def test_what_the_card_says_comes_back(model, tmp_path):
    found = load_model(tmp_path / "small")
    assert found.config == SMALL
    assert (found.name, found.prob_threshold, found.nms_threshold) == ("small", 0.55, 0.3)
    assert (found.mpp, found.percentiles) == (0.4, (1.0, 99.8))
    assert found.hash == model.hash
    assert found.card["licence"] == "CC0-1.0"
    assert found.card["training"] == {"groups": ["tnbc/01"]}
    assert found.card["metrics"] == {"test": {"f1": 0.8}}
    assert set(found.card["versions"]) == {"napari-prts", "torch", "stardist"}


def test_half_precision_rounds_once(tmp_path):
    torch.manual_seed(1)
    network = StarDistNetwork(SMALL)
    full = replace(load_model(), network=network, config=SMALL, hash=weights_hash(network))
    exact = load_model(save_model(full, tmp_path / "full", half=False))
    assert exact.hash == full.hash
    half = load_model(save_model(full, tmp_path / "half"))
    assert half.hash == weights_hash(rounded_to_half(network)) != full.hash
    again = load_model(save_model(half, tmp_path / "again"))
    assert again.hash == half.hash
    sizes = [(tmp_path / n / "weights.safetensors").stat().st_size for n in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]


def test_saving_again_replaces_the_whole_folder(model, tmp_path):
    save_model(replace(model, name="renamed"), tmp_path / "small")
    assert load_model(tmp_path / "small").name == "renamed"
    names = sorted(p.name for p in (tmp_path / "small").iterdir())
    assert names == ["card.json", "weights.safetensors"]
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def edited(folder, **entries):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **entries}))


def without(folder, key):
    card = json.loads((folder / "card.json").read_text())
    del card[key]
    (folder / "card.json").write_text(json.dumps(card))


def flip_a_bit(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(data))


def not_a_tensor_file(folder):
    (folder / "weights.safetensors").write_bytes(b"pickle")
    edited(folder, sha256=hashlib.sha256(b"pickle").hexdigest())


DAMAGES = {
    "weights missing": (lambda f: (f / "weights.safetensors").unlink(), "cannot be read"),
    "weights damaged": (flip_a_bit, "SHA-256"),
    "weights of another kind": (not_a_tensor_file, "not a safetensors file"),
    "card no JSON": (lambda f: (f / "card.json").write_text("{"), "not JSON"),
    "card of another program": (lambda f: edited(f, format="x"), "not the card"),
    "later version": (lambda f: edited(f, format_version=2), "format version 2"),
    "key missing": (lambda f: without(f, "mpp"), "lacks mpp"),
    "other network": (
        lambda f: edited(f, config={"n_rays": 32, "grid": [2, 2]}),
        "configuration",
    ),
    "unknown setting": (lambda f: edited(f, config={"grid": [2, 2], "layers": 3}), "layers"),
    "threshold": (lambda f: edited(f, prob_threshold=7), "prob_threshold is 7"),
    "scale": (lambda f: edited(f, mpp=0.0), "um/px"),
    "text for a number": (lambda f: edited(f, nms_threshold="low"), "does not describe"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_says_what_is_wrong(model, tmp_path, damage):
    shutil.copytree(tmp_path / "small", tmp_path / "bad")
    harm, words = DAMAGES[damage]
    harm(tmp_path / "bad")
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "bad")


def test_the_embedded_model():
    model = load_model("he-open")
    assert model.config == StarDistConfig()
    assert sum(p.numel() for p in model.network.parameters()) == 1_425_761
    assert model.network.prob.weight.dtype == torch.float32
    assert 0.25 <= model.mpp <= 0.5
    assert "CC BY 4.0" in model.card["licence"]


def test_importing_the_room_loads_no_heavy_library():
    code = (
        "import sys, napari_prts.segmentation;"
        "print(sorted({'torch', 'stardist', 'skimage', 'cv2', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_network_is_that_of_the_official_model():
    """Depth, filters and parameters as published for 2D_versatile_he."""
    network = StarDistNetwork(StarDistConfig())
    logit, dist = network(torch.zeros(1, 3, 32, 48))
    assert logit.shape == (1, 1, 16, 24)
    assert dist.shape == (1, 32, 16, 24)
    assert np.isfinite(logit.detach().numpy()).all()
