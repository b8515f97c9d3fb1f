"""Pen, edges of glass and folds, drawn on the real slide that ships with the package."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_prts.slide import Slide, tissue_mask
from napari_prts.slide.quality import slide_quality

Image = NDArray[np.uint8]
Line = tuple[tuple[int, int], ...]

# Light that felt pens let through, red, green, blue.
INKS = {
    "blue": (40, 70, 200),
    "pale blue": (120, 150, 235),
    "green": (30, 150, 70),
    "red": (215, 40, 50),
    "pale red": (240, 130, 130),
    "black": (40, 40, 45),
    "worn black": (90, 90, 95),
}
# (column, row): above the tissue, along the slide's edge, and right across the tissue.
ON_GLASS: Line = ((150, 1400), (300, 300), (700, 150))
ALONG_EDGE: Line = ((0, 0), (2219, 0))
ACROSS: Line = ((100, 900), (2100, 1900))


@pytest.fixture
def pixels(demo_slide: Slide) -> Image:
    return np.asarray(demo_slide.levels[0])


def drawn(pixels: Image, line: Line, light: tuple[int, int, int], width: int) -> Image:
    """Draw a translucent stroke: its light is multiplied onto the picture."""
    stroke = painted(pixels, line, width)
    ink = cv2.GaussianBlur(stroke, (0, 0), 6)[..., None] / 255.0
    return (pixels * (1 - ink * (1 - np.array(light) / 255))).astype(np.uint8)


def painted(pixels: Image, line: Line, width: int) -> Image:
    stroke = np.zeros(pixels.shape[:2], np.uint8)
    cv2.polylines(stroke, [np.array(line, np.int32)], False, 255, width)
    return stroke


def cells_of(stroke: Image, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Cells of the tissue mask that lie wholly in a stroke."""
    padded = np.zeros((shape[0] * 16, shape[1] * 16), np.uint8)
    padded[: stroke.shape[0], : stroke.shape[1]] = stroke
    means = cv2.resize(padded, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(means == 255)


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("line", [ON_GLASS, ALONG_EDGE, ACROSS], ids=["glass", "edge", "across"])
def test_pen_is_no_tissue(demo_slide: Slide, pixels: Image, line: Line, ink: str) -> None:
    before = tissue_mask(demo_slide).mask
    marked = Slide.from_array(drawn(pixels, line, INKS[ink], 240), mpp=0.499)
    quality = slide_quality(marked)
    stroke = cells_of(painted(pixels, line, 240), before.shape)
    tissue, pen = tissue_mask(marked).mask, quality.pen_mask.mask

    assert tissue[stroke].mean() < 0.2
    assert tissue[stroke & ~before].mean() < 0.02
    assert pen[stroke].mean() > 0.8
    assert quality.pen == pytest.approx(stroke.mean(), rel=0.5)
    # Beside the stroke hardly any tissue is lost.
    away = before & ~(cv2.dilate(stroke.astype(np.uint8), np.ones((9, 9))) > 0)
    assert tissue[away].mean() > 0.94


def test_the_green_ink_on_the_margin_of_the_skin_is_no_pen(demo_slide: Slide) -> None:
    # A surgeon's ink lies on the specimen, a few um thick.
    assert slide_quality(demo_slide).pen == 0


def test_the_edge_of_a_coverslip_is_no_tissue(demo_slide: Slide, pixels: Image) -> None:
    line = ((150, 0), (170, 2966))
    edged = drawn(pixels, line, (150, 150, 150), 20)
    tissue = tissue_mask(Slide.from_array(edged, mpp=0.499)).mask
    before = tissue_mask(demo_slide).mask
    on_glass = cells_of(painted(pixels, line, 60), before.shape) & ~before
    assert on_glass.sum() > 300
    assert tissue[on_glass].mean() < 0.1
    assert (tissue & before).sum() > 0.99 * before.sum()


@pytest.mark.parametrize("grey", [0, 25, 45])
def test_the_black_rim_of_a_scan_is_no_tissue(demo_slide: Slide, pixels: Image, grey: int) -> None:
    rim = pixels.copy()
    rim[:, :100], rim[:150] = grey, grey
    # Compression blurs the step to the glass.
    rim = np.asarray(cv2.GaussianBlur(rim, (0, 0), 2), np.uint8)
    slide = Slide.from_array(rim, mpp=0.499)
    assert tissue_mask(slide).covers(0, 0, 2967, 110) == 0
    assert tissue_mask(slide).covers(0, 0, 160, 900) == 0
    # Away from the rim nothing is lost.
    kept, before = (tissue_mask(each).mask[12:, 9:] for each in (slide, demo_slide))
    assert (kept & before).sum() > 0.99 * before.sum()


def test_a_fold_is_found_and_stays_tissue(demo_slide: Slide, pixels: Image) -> None:
    # A band of dermis with a shifted copy of itself over it: light goes through both.
    light = pixels[1700:2500, 900:1040].astype(float)
    folded = pixels.copy()
    folded[1700:2500, 900:1040] = light * pixels[1900:2700, 900:1040] / 243
    slide = Slide.from_array(folded, mpp=0.499)
    quality = slide_quality(slide)
    # The dark horn of the skin is suspected too.
    already = slide_quality(demo_slide).folds
    assert already < 0.02
    assert quality.folds > already + 0.01
    assert quality.fold_mask.covers(1700, 900, 800, 140) > 0.4
    assert tissue_mask(slide).covers(1700, 900, 800, 140) > 0.95


@pytest.mark.parametrize("name", ["B4", "C2"])
def test_real_sections_have_no_pen(sections: dict[str, Slide], name: str) -> None:
    # Their nuclei are navy, nearly as a blue pen.
    survey = sections[name].survey()
    assert survey.pen.fraction == 0
    assert survey.folds.mask.sum() < 0.02 * survey.tissue.mask.sum()
