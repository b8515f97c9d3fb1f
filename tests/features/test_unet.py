"""The encoder made of the segmentation network's own activations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_prts.errors import ModelError
from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder
from napari_prts.features import unet as module
from napari_prts.features import unet_activations as activations
from napari_prts.features.unet import UnetEncoder
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, rasterise
from napari_prts.segmentation import Normalisation, StarDistConfig, StarDistNetwork
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.model import StarDistModel, weights_hash
from napari_prts.segmentation.runtimes import Window
from napari_prts.slide import Slide
from tests.features.conftest import encode, octagon

REQUEST = ExtractRequest("unet", device="cpu")


def small_model(seed: int = 0, **shape: object) -> StarDistModel:
    """A network of few filters with weights at random: milliseconds a block."""
    config = StarDistConfig(**{"filters": 8, "features": 16, "n_rays": 8, **shape})  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = StarDistNetwork(config).eval()
    return StarDistModel("small", network, config, 0.5, 0.3, 0.5, {}, weights_hash(network))


def normalised(slide: Slide, model: StarDistModel) -> tuple[np.ndarray, Normalisation]:
    limits = measure_limits(slide, model.mpp, model.percentiles)
    return limits.apply(np.asarray(slide.levels[0])), limits


@pytest.fixture
def blobs() -> Nuclei:
    """Nuclei on the slide of noise: inside, over a border of blocks, and at the slide's edge."""
    centres = [(100, 120), (64, 64), (128, 200), (3, 350), (497, 697), (255, 256)]
    return Nuclei.from_polygons([octagon(*centre, radius=8) for centre in centres])


def test_local_is_the_mean_over_the_nucleus_and_context_that_over_the_tile(
    noise_slide: Slide, blobs: Nuclei
) -> None:
    """One block with the context that it has, by hand."""
    model = small_model()
    encoder = UnetEncoder(model)
    found = encode(encoder, noise_slide, blobs)
    assert encoder.tile == 256

    reach, height, width = encoder._context, 512, 704
    image = noise_slide.read(-reach, -reach, height + 2 * reach, width + 2 * reach, mpp=0.5)
    pixels = normalised(noise_slide, model)[1].apply(image)
    looked = activations.TorchActivations(model.network, torch.device("cpu"))
    window = Window(reach // 2, reach // 2, (reach + height) // 2, (reach + width) // 2)
    seen = looked.look(pixels, window)
    labels = rasterise(blobs, height // 2, width // 2, scale=0.5)
    for row in range(len(blobs)):
        mean = seen.features[:, labels == row + 1].mean(axis=1)
        np.testing.assert_allclose(found[row, -16:], mean, rtol=1e-3, atol=1e-4)
    steps = slice(reach // 16, (reach + height) // 16), slice(reach // 16, (reach + width) // 16)
    low = seen.bottleneck[:, steps[0], steps[1]]
    # Around (100.5, 120.5): from step (-27.5 / 16 -> -2) on, 16 steps, as far as there are any.
    np.testing.assert_allclose(found[0, :-16], low[:, :14, :16].mean(axis=(1, 2)), rtol=1e-3)


def test_blocks_and_company_change_nothing(
    noise_slide: Slide, blobs: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    whole = encode(UnetEncoder(model), noise_slide, blobs)
    monkeypatch.setattr(module, "BLOCK", 128)
    encoder = UnetEncoder(model)
    in_blocks = encode(encoder, noise_slide, blobs)
    np.testing.assert_allclose(in_blocks, whole, rtol=0.05, atol=0.05)
    alone = np.concatenate([encode(encoder, noise_slide, blobs, [row]) for row in range(6)])
    assert np.array_equal(alone, in_blocks), "a nucleus depends on no other"


def test_the_shipped_network_tells_nuclei_from_stroma(
    tissue_slide: Slide, tissue_nuclei: Nuclei
) -> None:
    """Real skin: the outlines' own features differ from those of the same outlines moved off."""
    pixels = np.asarray(tissue_slide.levels[0])[70:350, 308:588]
    piece = Slide.from_array(np.ascontiguousarray(pixels), mpp=0.499)
    there = tissue_nuclei.take(tissue_nuclei.in_rectangle(85, 323, 335, 573))
    corner = np.array([70, 308])
    inside = Nuclei.from_polygons([there.polygon(i) - corner for i in range(len(there))])
    features = run(extract(piece, inside, REQUEST))
    assert len(features) > 20
    assert features.local.shape == features.context.shape == (len(inside), 128)
    assert np.isfinite(features.matrix).all()
    step = np.array([9, 9])
    moved = Nuclei.from_polygons([inside.polygon(i) + step for i in range(len(inside))])
    beside = run(extract(piece, moved, REQUEST))
    gap = np.abs(features.local.mean(0) - beside.local.mean(0)) / features.local.std(0).clip(1e-3)
    assert (gap > 0.5).mean() > 0.2


def test_ncnn_gives_what_pytorch_gives(noise_slide: Slide) -> None:
    for shape in ({}, {"features": 0}, {"depth": 1}, {"grid": (1, 1), "depth": 2}):
        model = small_model(**shape)
        pixels = normalised(noise_slide, model)[0][:320, :448]
        grid = model.config.grid
        window = Window(3, 5, 300 // grid[0], 400 // grid[1])
        quick = activations.NcnnActivations(model.network).look(pixels, window)
        exact = activations.TorchActivations(model.network, torch.device("cpu")).look(
            pixels, window
        )
        assert quick.features.shape == exact.features.shape
        assert activations.sizes(model.config) == (len(exact.features), len(exact.bottleneck))
        np.testing.assert_allclose(quick.features, exact.features, atol=1e-3)
        np.testing.assert_allclose(quick.bottleneck, exact.bottleneck, atol=1e-3)


def test_where_ncnn_fails_it_says_so_and_goes_on(
    noise_slide: Slide, blobs: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = UnetEncoder(small_model())
    quick = encode(encoder, noise_slide, blobs)

    def broken(*_: object) -> None:
        raise ImportError("no module named ncnn")

    monkeypatch.setattr(activations, "NcnnActivations", broken)
    with pytest.warns(RuntimeWarning, match="runs on the CPU with PyTorch"):
        assert encoder.where(REQUEST).endswith("torch")
    with pytest.warns(RuntimeWarning, match="no module named ncnn"):
        slow = encode(encoder, noise_slide, blobs)
    np.testing.assert_allclose(slow, quick, atol=1e-3)


def test_its_key_is_that_of_its_weights(tmp_path: Path) -> None:
    shipped = load_encoder("unet")
    assert shipped.name == "unet"
    assert shipped.key == load_encoder("unet:he-open").key
    assert "TNBC" in shipped.licence
    first, second = UnetEncoder(small_model(0)), UnetEncoder(small_model(1))
    assert first.name == "unet:small"
    assert len({shipped.key, first.key, second.key}) == 3
    assert small_model(0).hash[:16] in first.key
    with pytest.raises(ModelError, match="There is no StarDist model 'nothing'"):
        load_encoder("unet:nothing")


def test_the_second_time_no_block_is_looked_at(
    noise_slide: Slide, blobs: Nuclei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    model = small_model()
    monkeypatch.setattr("napari_prts.features.unet.load_model", lambda name: model)
    first = run(extract(noise_slide, blobs, REQUEST, store))
    monkeypatch.setattr(activations, "activations_on", None)
    monkeypatch.setattr(module, "measure_limits", None)
    second = run(extract(noise_slide, blobs, REQUEST, store))
    assert np.array_equal(first.matrix, second.matrix)


def test_it_can_be_cancelled_between_blocks_and_keeps_what_is_done(
    noise_slide: Slide, scattered: Nuclei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 128)
    monkeypatch.setattr("napari_prts.features.unet.load_model", lambda name: small_model())
    store = FeatureStore(tmp_path)
    job = extract(noise_slide, scattered, REQUEST, store)
    done = 0
    while done < 10:
        done = next(job).done
    job.close()
    again = extract(noise_slide, scattered, REQUEST, store)
    assert 10 <= next(p.done for p in again if " on " in p.note) < len(scattered)
    again.close()


def test_no_nuclei_need_no_network(noise_slide: Slide) -> None:
    features = run(extract(noise_slide, Nuclei.empty(), REQUEST))
    assert features.matrix.shape == (0, 256)
