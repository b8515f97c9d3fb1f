"""Weights trained with Keras give here what they give there."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import torch

from napari_prts.errors import ModelError
from napari_prts.segmentation import load_model
from tests.segmentation.keras_reference import (
    Graph,
    KerasSettings,
    write_folder,
    write_keras2,
    write_keras3,
)

IMAGE = np.random.default_rng(3).normal(0.5, 0.4, (32, 48, 3)).astype(np.float32)


def made(settings: KerasSettings | None = None, seed: int = 0):
    settings = settings or KerasSettings()
    graph = Graph(settings, seed)
    return graph, graph.run(IMAGE[..., : settings.n_channel_in])


def ours(model, image=IMAGE):
    pixels = torch.from_numpy(image[..., : model.config.n_channel_in].transpose(2, 0, 1))[None]
    with torch.inference_mode():
        logit, dist = model.network(pixels)
    return torch.sigmoid(logit[0, 0]).numpy(), dist[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    "settings",
    [
        KerasSettings(),
        KerasSettings(grid=(1, 1), unet_n_depth=3, n_rays=32),
        KerasSettings(grid=(4, 2), unet_n_depth=1, unet_n_conv_per_depth=3),
        KerasSettings(n_channel_in=1, net_conv_after_unet=0, unet_kernel_size=(5, 5)),
    ],
)
def test_the_same_numbers_as_the_keras_graph(tmp_path, settings):
    graph, (prob, dist) = made(settings)
    model = load_model(write_folder(tmp_path / "model", graph))
    found_prob, found_dist = ours(model)
    np.testing.assert_allclose(found_prob, prob, atol=1e-4)
    np.testing.assert_allclose(found_dist, dist, atol=1e-4)
    assert (model.prob_threshold, model.nms_threshold) == (0.692478, 0.3)


LAYOUTS = {
    "keras 2 weights": lambda file, weights: write_keras2(file, weights),
    "keras 2 whole model": lambda file, weights: write_keras2(
        file.create_group("model_weights"), weights
    ),
    "keras 3 .h5": lambda file, weights: write_keras2(file, weights, suffix=""),
    "keras 3 .weights.h5": lambda file, weights: write_keras3(file, weights, named=False),
    "later keras 3 .weights.h5": lambda file, weights: write_keras3(file, weights, named=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_that_keras_has_written(tmp_path, layout):
    graph, (prob, _) = made(KerasSettings(unet_n_conv_per_depth=3, grid=(4, 4)))
    folder = write_folder(tmp_path / "model", graph)
    (folder / "weights_best.h5").unlink()
    with h5py.File(folder / "weights_last.h5", "w") as file:
        LAYOUTS[layout](file, graph.weights)
    np.testing.assert_allclose(ours(load_model(folder))[0], prob, atol=1e-4)


def test_unnamed_convolutions_counted_from_another_number(tmp_path):
    """In a session's second model the convolutions before the U-Net are conv2d_9, conv2d_10."""
    graph, (prob, _) = made()
    graph.weights = {
        {"conv2d": "conv2d_9", "conv2d_1": "conv2d_10"}.get(name, name): layer
        for name, layer in graph.weights.items()
    }
    model = load_model(write_folder(tmp_path / "model", graph))
    np.testing.assert_allclose(ours(model)[0], prob, atol=1e-4)


def test_layer_names_split_over_several_attributes(tmp_path):
    graph, (prob, _) = made()
    folder = write_folder(tmp_path / "model", graph)
    with h5py.File(folder / "weights_best.h5", "r+") as file:
        names = list(file.attrs.pop("layer_names"))
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:5], names[5:]
    np.testing.assert_allclose(ours(load_model(folder))[0], prob, atol=1e-4)


def test_the_head_of_a_multi_class_model_is_left_out(tmp_path):
    graph, (prob, _) = made()
    head = (np.zeros((1, 1, 6, 4), np.float32), np.zeros(4, np.float32))
    graph.weights["prob_class"] = head
    model = load_model(write_folder(tmp_path / "model", graph))
    np.testing.assert_allclose(ours(model)[0], prob, atol=1e-4)


@pytest.mark.parametrize("inside", ["", "2D_versatile_he/"])
def test_a_zip_of_the_folder(tmp_path, inside):
    graph, (prob, _) = made()
    folder = write_folder(tmp_path / "model", graph)
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, inside + file.name)
    np.testing.assert_allclose(ours(load_model(tmp_path / "model.zip"))[0], prob, atol=1e-4)


def test_a_bare_weights_file_is_taken_for_the_official_network(tmp_path):
    official = KerasSettings(
        n_rays=32, unet_n_depth=3, unet_n_filter_base=32, net_conv_after_unet=128
    )
    graph = Graph(official, seed=1)
    graph.run(np.zeros((16, 16, 3)))
    with h5py.File(tmp_path / "weights_best.h5", "w") as file:
        write_keras2(file, graph.weights)
    model = load_model(tmp_path / "weights_best.h5")
    assert sum(p.numel() for p in model.network.parameters()) == 1_425_761
    assert model.mpp == 0.5
    assert (model.prob_threshold, model.nms_threshold) == (0.5, 0.4)
    assert model.card["thresholds"] == "defaults of stardist"


def test_a_bare_weights_file_uses_the_config_beside_it(tmp_path):
    graph, (prob, _) = made()
    folder = write_folder(tmp_path / "model", graph)
    model = load_model(folder / "weights_best.h5")
    np.testing.assert_allclose(ours(model)[0], prob, atol=1e-4)
    assert model.prob_threshold == 0.692478


def changed(folder, **settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"unet_n_filter_base": 8}, "asks for"),
        ({"n_rays": 32}, "asks for"),
        ({"unet_n_depth": 3}, "lacks the layer"),
        ({"unet_n_depth": 1}, "layers more"),
        ({"grid": [4, 4]}, "unnamed convolutions"),
        ({"grid": [3, 3]}, "powers of two"),
        ({"unet_batch_norm": True}, "unet_batch_norm"),
        ({"backbone": "resnet", "n_dim": 3}, "n_dim"),
        ({"unet_last_activation": "linear"}, "unet_last_activation"),
        ({"unet_kernel_size": [3, 5]}, "square"),
        ({"n_rays": "many"}, "damaged"),
    ],
)
def test_a_configuration_of_another_network(tmp_path, settings, what):
    folder = write_folder(tmp_path / "model", made()[0])
    with pytest.raises(ModelError, match=what):
        load_model(changed(folder, **settings))


def test_damaged_and_incomplete_models(tmp_path):
    folder = write_folder(tmp_path / "whole", made()[0])
    data = (folder / "weights_best.h5").read_bytes()

    def broken(name, action):
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        action(copy)
        with pytest.raises(ModelError) as caught:
            load_model(copy)
        return str(caught.value)

    half = broken("half", lambda f: (f / "weights_best.h5").write_bytes(data[: len(data) // 2]))
    assert "not a whole Keras weights file" in half
    assert "needs config.json" in broken("no config", lambda f: (f / "config.json").unlink())
    assert "weights_last.h5" in broken("no weights", lambda f: (f / "weights_best.h5").unlink())
    assert "not JSON" in broken("no json", lambda f: (f / "thresholds.json").write_text("prob"))
    words = broken("text", lambda f: (f / "thresholds.json").write_text('{"prob": "high"}'))
    assert "thresholds.json" in words

    def poison(copy):
        with h5py.File(copy / "weights_best.h5", "r+") as file:
            file["prob/prob/bias:0"][:] = np.nan

    assert "NaN" in broken("nan", poison)


def test_a_file_that_is_no_model(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("weights")
    with pytest.raises(ModelError, match=r"notes\.txt"):
        load_model(text)
    empty = io.BytesIO()
    with h5py.File(empty, "w") as file:
        file.create_dataset("data", data=[1])
    (tmp_path / "data.h5").write_bytes(empty.getvalue())
    with pytest.raises(ModelError, match="no layers of Keras"):
        load_model(tmp_path / "data.h5")
    with pytest.raises(ModelError, match="There is no StarDist model"):
        load_model(tmp_path / "nowhere")
