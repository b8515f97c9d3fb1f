"""Telling tissue from glass on real and made slides."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_prts.slide import Slide, TissueMask, open_slide, tissue_mask


def test_the_embedded_slide(demo_slide: Slide) -> None:
    mask = tissue_mask(demo_slide)
    assert mask.mask.shape == (186, 139)
    assert mask.downsample == 16
    # Counted by eye on a picture of it: skin in the middle, glass on both sides.
    assert 0.38 < mask.fraction < 0.46
    assert mask.covers(2000, 900, 300, 300) == 1
    assert mask.covers(100, 1700, 300, 300) == 0
    assert 0 < mask.covers(2000, 400, 300, 600) < 1
    assert mask is tissue_mask(demo_slide)


@pytest.mark.parametrize("name", ["C2", "B4"])
def test_sections_on_stained_glass(sections: dict[str, Slide], name: str) -> None:
    # The glass of B4 is darker than the stroma of other scanners and smeared with eosin.
    mask = tissue_mask(sections[name])
    inside, smear, share = {
        "C2": ((6000, 5500), (3000, 7900), (0.15, 0.20)),
        "B4": ((6500, 2000), (2700, 2000), (0.24, 0.31)),
    }[name]
    assert share[0] < mask.fraction < share[1]
    assert mask.covers(*inside, 500, 500) == 1
    assert mask.covers(*smear, 500, 500) == 0


@pytest.mark.parametrize(("name", "share"), [("B4", 0.2734), ("C2", 0.1768)])
def test_looking_for_pen_costs_no_tissue(
    sections: dict[str, Slide], name: str, share: float
) -> None:
    # The shares were found before pen marks and edges of coverslips were looked for.
    assert tissue_mask(sections[name]).fraction == pytest.approx(share, rel=0.01)


def test_nor_does_it_on_the_embedded_slide(demo_slide: Slide) -> None:
    assert tissue_mask(demo_slide).mask.sum() == pytest.approx(10_810, rel=0.01)


def test_pictures_full_of_tissue(shared_data: Path) -> None:
    for name in ("05_1", "06_1", "07_1", "08_1"):
        path = shared_data / "nuclei" / "tnbc" / f"{name}.png"
        assert tissue_mask(open_slide(path, mpp=0.25)).fraction == 1


def test_hardly_a_nucleus_lies_outside_the_tissue(shared_data: Path) -> None:
    inside = []
    for path in sorted((shared_data / "nuclei" / "tnbc").glob("*_labels.png")):
        labels = imagecodecs.imread(path)
        slide = open_slide(path.with_name(path.name.replace("_labels", "")), mpp=0.25)
        mask = tissue_mask(slide)
        for row, column in ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1)):
            inside.append(mask.covers(row - 1, column - 1, 2, 2) > 0)
    assert len(inside) > 3000
    assert np.mean(inside) > 0.999


@pytest.mark.parametrize("glass", [(255, 255, 255), (243, 243, 243), (220, 207, 223)])
@pytest.mark.parametrize("noise", [0, 4])
def test_bare_glass(glass: tuple[int, int, int], noise: int) -> None:
    rng = np.random.default_rng(0)
    pixels = np.clip(np.array(glass) + rng.normal(0, noise, (900, 1200, 3)), 0, 255)
    slide = Slide.from_array(pixels.astype(np.uint8), mpp=0.25)
    assert tissue_mask(slide).fraction == 0
    assert slide.background == pytest.approx(glass, abs=2.5)


def made_slide(mpp: float | None = 0.5) -> Slide:
    """Make glass with a textured piece of tissue, a piece of dust and a black void."""
    rng = np.random.default_rng(0)
    pixels = np.full((1600, 1200, 3), 240, np.uint8)
    tissue = rng.integers(0, 2, (100, 80, 1), np.uint8).repeat(8, 0).repeat(8, 1)
    pixels[400:1200, 320:960] = np.where(tissue > 0, (150, 80, 160), (230, 170, 200))
    pixels[100:130, 100:130] = (90, 60, 90)
    pixels[1400:] = 0
    return Slide.from_array(pixels, mpp=mpp)


@pytest.mark.parametrize("mpp", [0.25, 0.5, None])
def test_tissue_but_neither_dust_nor_what_was_not_scanned(mpp: float | None) -> None:
    slide = made_slide(mpp)
    mask = tissue_mask(slide)
    assert mask.fraction == pytest.approx(800 * 640 / (1600 * 1200), abs=0.04)
    assert mask.covers(420, 340, 760, 600) == 1
    assert mask.covers(90, 90, 60, 60) == 0
    assert mask.covers(1450, 0, 150, 1200) == 0
    assert slide.background == (240, 240, 240)


def test_no_glass_no_background_to_measure() -> None:
    rng = np.random.default_rng(0)
    slide = Slide.from_array(rng.integers(0, 255, (400, 300, 3), dtype=np.uint8), mpp=0.5)
    assert tissue_mask(slide).fraction == 1
    assert slide.background == (255, 255, 255)


def test_another_pixel_size_means_another_look() -> None:
    slide = made_slide(0.5)
    assert tissue_mask(slide).downsample == 16
    assert tissue_mask(slide.with_mpp(0.25)).downsample == 32


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (17, 33)])
def test_tiny_and_narrow_images(shape: tuple[int, int]) -> None:
    slide = Slide.from_array(np.full((*shape, 3), 240, np.uint8), mpp=0.25)
    assert tissue_mask(slide).fraction == 0
    assert tissue_mask(slide).covers(0, 0, *shape) == 0
    assert slide.read(-1, -1, 3, 3).shape == (3, 3, 3)


@settings(max_examples=100, deadline=None)
@given(
    row=st.floats(-100, 200),
    column=st.floats(-100, 200),
    height=st.floats(0.5, 200),
    width=st.floats(0.5, 200),
    seed=st.integers(0, 9),
)
def test_share_of_a_rectangle(
    row: float, column: float, height: float, width: float, seed: int
) -> None:
    cells = np.random.default_rng(seed).random((8, 11)) < 0.5
    overlaps = []
    for start, length, count in ((row, height, 8), (column, width, 11)):
        edges = np.arange(count + 1) * 16.0
        overlap = np.minimum(edges[1:], start + length) - np.maximum(edges[:-1], start)
        overlaps.append(np.clip(overlap, 0, None))
    expected = overlaps[0] @ cells @ overlaps[1] / (height * width)
    mask = TissueMask(cells, 16.0)
    assert mask.covers(row, column, height, width) == pytest.approx(expected, abs=1e-6)


def test_slides_of_gigapixels_are_looked_at_from_a_coarser_level(
    demo_slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = demo_slide.with_mpp(2.0)
    fine = tissue_mask(slide)
    monkeypatch.setattr("napari_prts.slide.tissue._AFFORDABLE", 500_000)
    coarse = tissue_mask(slide.with_mpp(2.0))
    assert (fine.downsample, coarse.downsample) == (4.0, 8.0)
    assert coarse.mask.shape == (371, 278)
    assert coarse.fraction == pytest.approx(fine.fraction, abs=0.06)
