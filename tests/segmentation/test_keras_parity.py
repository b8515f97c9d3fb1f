"""StarDist under Keras and this package give the same.

What Keras computed was written by ``make_keras_fixtures.py`` with a real StarDist;
``test_keras.py`` covers the layouts of files and what may be wrong with them.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from napari_prts.errors import ModelError
from napari_prts.segmentation import Normalisation, load_model
from napari_prts.segmentation.runner import Runner
from napari_prts.segmentation.runtime_ncnn import NcnnNetwork
from napari_prts.segmentation.runtime_torch import TorchNetwork
from napari_prts.segmentation.runtimes import Window
from tests.segmentation.agreement import f1

FIXTURES = Path(__file__).parent / "fixtures"
NETWORKS = sorted(path.stem for path in FIXTURES.glob("*.npz") if path.stem != "picture_keras")
# StarDist drops what lies within two grid points of an image's border.
BORDER = 4


def test_there_are_networks_of_many_shapes():
    shapes = [load_model(FIXTURES / f"{name}.zip").config for name in NETWORKS]
    assert {shape.n_rays for shape in shapes} == {8, 16, 32}
    assert {shape.grid for shape in shapes} == {(1, 1), (2, 2), (4, 4), (4, 2)}
    assert {shape.depth for shape in shapes} == {2, 3}
    assert {shape.n_channel_in for shape in shapes} == {1, 3}


@pytest.mark.parametrize("runtime", ["torch", "ncnn"])
@pytest.mark.parametrize("name", NETWORKS)
def test_random_networks_give_what_keras_gives(name, runtime):
    model = load_model(FIXTURES / f"{name}.zip")
    keras = np.load(FIXTURES / f"{name}.npz")
    network = (
        TorchNetwork(model.network, "cpu") if runtime == "torch" else NcnnNetwork(model.network)
    )
    rows, columns = keras["prob"].shape
    logit, dist = network.look(keras["image"], Window(0, 0, rows, columns))
    # An image that leaves the network cold would prove nothing.
    assert keras["prob"].std() > 0.005
    np.testing.assert_allclose(torch.sigmoid(logit), keras["prob"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(dist.permute(1, 2, 0), keras["dist"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "what"), [("batch_norm", "unet_batch_norm"), ("elu", "unet_activation")]
)
def test_networks_of_another_kind_are_refused(name, what):
    with pytest.raises(ModelError, match=f"{what} .*only .* is possible"):
        load_model(FIXTURES / f"{name}.zip")


@pytest.mark.parametrize("device", ["torch-cpu", "ncnn"])
def test_the_same_polygons_as_keras_on_real_tissue(device):
    """More than a hundred nuclei of the embedded slide, each nearly the same to the last pixel."""
    note = json.loads((FIXTURES / "picture.json").read_text())
    model = load_model()
    if model.hash != note["model_hash"]:
        pytest.skip("the embedded model is a newer one: run make_keras_fixtures.py again")
    keras = np.load(FIXTURES / "picture_keras.npz")
    pixels = cv2.cvtColor(cv2.imread(str(FIXTURES / "picture.png")), cv2.COLOR_BGR2RGB)
    image = Normalisation(tuple(note["low"]), tuple(note["high"])).apply(pixels)
    inner = tuple(slice(BORDER, side - BORDER) for side in image.shape[:2])
    found = Runner(model, device).candidates(image, note["prob_threshold"], inner)
    found = found.suppressed(note["nms_threshold"])
    assert len(keras["polygons"]) > 100
    assert f1(found.polygons(), keras["polygons"], 0.9) >= 0.99
    order = np.lexsort((keras["points"][:, 1], keras["points"][:, 0]))
    np.testing.assert_array_equal(found.in_rows().points, keras["points"][order])
    np.testing.assert_allclose(found.in_rows().prob, keras["prob"][order], rtol=0, atol=1e-4)
