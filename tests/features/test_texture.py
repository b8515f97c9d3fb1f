"""The encoder of colour and texture around a nucleus."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder
from napari_prts.features import texture as module
from napari_prts.features.texture import TextureEncoder
from napari_prts.features.texture_maps import MARGIN, NAMES, texture_maps
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from tests.features.conftest import encode, octagon

REQUEST = ExtractRequest("texture")
WHITE = (255, 255, 255)


def maps(inner: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures of an image, its margin by reflection."""
    padded = np.pad(inner, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect")
    return dict(zip(NAMES, texture_maps(padded, WHITE), strict=True))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (64, 96, 3), dtype=np.uint8)


def test_pictures_are_what_their_names_say(noise: np.ndarray) -> None:
    found = maps(noise)
    assert {picture.shape for picture in found.values()} == {(64, 96)}
    np.testing.assert_allclose(found["green"], noise[..., 1] / 255, rtol=1e-6)
    np.testing.assert_allclose(found["green²"], (noise[..., 1] / 255) ** 2, rtol=1e-5)
    grey = cv2.cvtColor(noise, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(found["grey_0"] > 0, grey < 70)
    np.testing.assert_array_equal(found["grey_5"] > 0, grey >= 225)
    for name in ("haematoxylin", "eosin", "grey"):
        np.testing.assert_array_equal(sum(found[f"{name}_{i}"] for i in range(6)), 1)


def test_patterns_are_the_uniform_local_binary_patterns() -> None:
    """In scikit-image neighbours lie on a circle: where the image is made of squares of 9 px,
    both see the same at the squares' middles and beside their straight borders."""
    dark, light = 60, 200
    squares = np.kron(np.array([[dark, light], [light, dark]]), np.ones((9, 9))).astype(np.uint8)
    found = maps(np.dstack([squares] * 3))
    kind = np.argmax([found[f"pattern_{i}"] for i in range(10)], axis=0)
    assert kind[4, 4] == 8, "all neighbours as light as the middle"
    assert kind[4, 8] == 8, "darker beside lighter"
    assert kind[4, 9] == 5, "lighter beside darker: three of eight are darker"
    assert kind[8, 8] == 8


def test_an_even_image_has_no_texture() -> None:
    found = maps(np.full((32, 32, 3), 180, np.uint8))
    for name in NAMES:
        if name.startswith(("gradient", "contrast", "step")):
            np.testing.assert_allclose(found[name], 0, atol=2e-3)
    np.testing.assert_allclose(found["homogeneity"], 1)


def test_each_row_is_the_mean_over_its_squares(noise_slide: Slide) -> None:
    """By hand, on a slide as sharp as the finest scale, far from its border."""
    slide = noise_slide.with_mpp(0.7)
    nuclei = Nuclei.from_polygons([octagon(255.5, 351.5)])
    features = run(extract(slide, nuclei, REQUEST))
    assert features.local.shape == (1, 49)
    assert features.context.shape == (1, 147)
    # Centre 256, 352: the square of 224 px begins at 144, 240, that of 64 px at 224, 320.
    for part, (row, column, side) in (
        (features.context[0, :49], (144, 240, 224)),
        (features.local[0], (224, 320, 64)),
    ):
        pixels = slide.read(row - MARGIN, column - MARGIN, *[side + 2 * MARGIN] * 2)
        pictures = list(texture_maps(pixels, slide.background))
        means = dict(zip(NAMES, (picture.mean() for picture in pictures), strict=True))
        for index, name in enumerate(NAMES):
            if "²" in name:
                mean = means[name.replace("²", "")]
                expected = np.sqrt(max(means[name] - mean**2, 0))
            else:
                expected = means[name]
            assert part[index] == pytest.approx(expected, rel=2e-3, abs=2e-3), name


def test_blocks_and_company_change_nothing(
    noise_slide: Slide, scattered: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(extract(noise_slide, scattered, REQUEST))
    monkeypatch.setattr(module, "BLOCK", 64)
    in_blocks = run(extract(noise_slide, scattered, REQUEST))
    np.testing.assert_allclose(in_blocks.matrix, whole.matrix, rtol=1e-3, atol=2e-3)
    some = np.array([7, 30])
    found = encode(TextureEncoder(), noise_slide, scattered, some)
    np.testing.assert_array_equal(found, in_blocks.matrix[some])


def test_it_tells_tissue_from_glass(tissue_slide: Slide) -> None:
    pixels = np.asarray(tissue_slide.levels[0])
    glass = np.full_like(pixels, 240)
    slide = Slide.from_array(np.hstack([pixels, glass, glass]), mpp=0.499)
    nuclei = Nuclei.from_polygons([octagon(350, 300), octagon(350, 2400)])
    features = run(extract(slide, nuclei, REQUEST))
    haematoxylin = features.local[:, NAMES.index("haematoxylin")]
    assert haematoxylin[0] > 0.1
    assert haematoxylin[1] < 0.02


def test_the_store_and_cancelling(
    noise_slide: Slide, scattered: Nuclei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GROUP", 20)
    store = FeatureStore(tmp_path)
    job = extract(noise_slide, scattered, REQUEST, store)
    done = 0
    while done < 10:
        done = next(job).done
    job.close()
    again = extract(noise_slide, scattered, REQUEST, store)
    assert next(p.done for p in again if " on " in p.note) == 20
    rest = run(again)
    assert np.array_equal(rest.matrix, run(extract(noise_slide, scattered, REQUEST)).matrix)


def test_it_needs_no_weights_and_no_nuclei(noise_slide: Slide) -> None:
    encoder = load_encoder("texture")
    assert encoder.key == TextureEncoder().key
    assert "no weights" in encoder.licence
    assert encoder.where(REQUEST) == "CPU"
    with pytest.raises(ModelError, match="Device 'tpu' is unknown"):
        encoder.where(ExtractRequest("texture", device="tpu"))
    assert run(extract(noise_slide, Nuclei.empty(), REQUEST)).matrix.shape == (0, 196)
