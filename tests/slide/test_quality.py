"""Focus, exposure, stain and what a model has to say about them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_prts.errors import ModelError, SlideError
from napari_prts.jobs import run
from napari_prts.slide import Slide, open_slide
from napari_prts.slide.quality import (
    QualityRequest,
    SlideQuality,
    region_quality,
    slide_quality,
    slide_quality_job,
)
from napari_prts.slide.quality_reference import QualityReference

Image = NDArray[np.uint8]
WORDS = {0.0: "good", 1.5: "soft", 3.0: "out of focus"}


def pixels_of(slide: Slide) -> Image:
    return np.asarray(slide.levels[0])


def blurred(pixels: Image, um: float, mpp: float) -> Slide:
    """Blur by a Gaussian of so many um."""
    sigma = um / mpp
    image = np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8) if um else pixels
    return Slide.from_array(np.ascontiguousarray(image), mpp=mpp)


def restained(pixels: Image, times: float) -> Image:
    """Make the stain weaker or stronger: optical density times a number."""
    light = np.clip(pixels / 245, 1 / 245, 1)
    return (245 * light**times).astype(np.uint8)


@pytest.mark.parametrize("um", WORDS)
def test_focus_of_the_embedded_slide(demo_slide: Slide, um: float) -> None:
    assert slide_quality(blurred(pixels_of(demo_slide), um, 0.499)).focus_word == WORDS[um]


@pytest.mark.parametrize("um", WORDS)
@pytest.mark.parametrize("name", ["B4", "C2"])
def test_focus_of_real_sections(sections: dict[str, Slide], name: str, um: float) -> None:
    # 2.4 x 2.4 mm of the section, with glass around it.
    top, left = {"B4": (4500, 1000), "C2": (4000, 4500)}[name]
    piece = sections[name].read(top, left, 3500, 3500)
    quality = slide_quality(blurred(piece, um, 0.69))
    assert quality.focus_word == WORDS[um]
    assert quality.windows > 20


@pytest.mark.parametrize("um", WORDS)
def test_focus_of_tiles(shared_data: Path, um: float) -> None:
    paths = [
        path
        for path in sorted((shared_data / "nuclei" / "tnbc").glob("*.png"))
        if not path.stem.endswith("_labels")
    ]
    assert len(paths) == 43
    for path in paths:
        quality = slide_quality(blurred(pixels_of(open_slide(path)), um, 0.25))
        assert quality.focus_word == WORDS[um], (path.name, quality.focus)


@pytest.mark.parametrize("um", WORDS)
@pytest.mark.parametrize("mpp", [0.3, 0.5, 0.8])
def test_focus_of_a_lung(shared_data: Path, mpp: float, um: float) -> None:
    # Its pixel size is not known.
    pixels = pixels_of(open_slide(shared_data / "xenium_ncbi858" / "NCBI858.jpg"))
    assert slide_quality(blurred(pixels, um, mpp)).focus_word == WORDS[um]


@pytest.mark.parametrize("um", [0.5, 1.0, 2.0])
def test_focus_hardly_depends_on_the_stain(demo_slide: Slide, um: float) -> None:
    soft = pixels_of(blurred(pixels_of(demo_slide), um, 0.499))
    usual = slide_quality(Slide.from_array(soft, mpp=0.499))
    pale = slide_quality(Slide.from_array(restained(soft, 0.6), mpp=0.499))
    assert usual.haematoxylin is not None
    assert pale.haematoxylin == pytest.approx(0.6 * usual.haematoxylin, rel=0.2)
    assert pale.focus == pytest.approx(usual.focus, abs=0.05)


def test_focus_hardly_depends_on_the_scanner(demo_slide: Slide) -> None:
    soft = pixels_of(blurred(pixels_of(demo_slide), 1.0, 0.499))
    small = cv2.resize(soft, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    fine, coarse = (
        slide_quality(Slide.from_array(np.asarray(each, np.uint8), mpp=mpp)).focus
        for each, mpp in ((soft, 0.499), (small, 0.499 / 0.7))
    )
    assert fine == pytest.approx(coarse, abs=0.06)


def test_a_slide_in_numbers(demo_slide: Slide) -> None:
    quality = slide_quality(demo_slide)
    assert quality.tissue == pytest.approx(demo_slide.survey().tissue.fraction)
    assert quality.windows == len(quality.regions) > 5
    assert quality.haematoxylin is not None
    assert quality.eosin is not None
    assert 0.3 < quality.haematoxylin < 0.6
    assert 0.1 < quality.eosin < 0.3
    assert quality.overexposed < 0.01
    assert quality.underexposed < 0.02
    assert (quality.pen, quality.blurred, quality.notes) == (0, 0, ())
    values = json.loads(json.dumps(quality.as_dict()))
    assert values["focus_word"] == "good"
    assert values["regions"][0]["height"] == pytest.approx(256 / 0.499, abs=0.1)
    assert "regions" not in quality.as_dict(regions=False)


def test_windows_are_a_map(demo_slide: Slide) -> None:
    # The right half out of focus: the windows tell where.
    pixels = pixels_of(demo_slide).copy()
    pixels[:, 1100:] = pixels_of(blurred(pixels, 3, 0.499))[:, 1100:]
    quality = slide_quality(Slide.from_array(pixels, mpp=0.499), QualityRequest(30, 128))
    left = [r.focus_word for r in quality.regions if r.column + r.width < 1100]
    right = [r.focus_word for r in quality.regions if r.column > 1100]
    assert (set(left), set(right)) == ({"good"}, {"out of focus"})
    assert quality.blurred is not None
    assert 0.2 < quality.blurred < 0.8


def test_a_rectangle(demo_slide: Slide) -> None:
    dermis = region_quality(demo_slide, 2000, 900, 300, 300)
    assert (dermis.tissue, dermis.focus_word) == (1, "good")
    glass = region_quality(demo_slide, 100, 1700, 300, 300)
    assert (glass.tissue, glass.focus, glass.haematoxylin) == (0, None, None)
    whole = region_quality(demo_slide, 0, 0, 2967, 2220)
    assert whole.focus_word == "good"
    assert 0 < whole.tissue < 1
    assert region_quality(demo_slide, -500, 1000, 1000, 1e6).row == 0
    with pytest.raises(SlideError, match="has no pixels at row 5000"):
        region_quality(demo_slide, 5000, 0, 100, 100)


def test_clipped_pixels(demo_slide: Slide) -> None:
    pixels = pixels_of(demo_slide)
    bright = np.clip(pixels * 1.6, 0, 255).astype(np.uint8)
    assert slide_quality(Slide.from_array(bright, mpp=0.499)).overexposed > 0.05
    dark = np.clip(pixels.astype(int) - 90, 0, 255).astype(np.uint8)
    assert slide_quality(Slide.from_array(dark, mpp=0.499)).underexposed > 0.2


def test_unknown_and_coarse_pixels(demo_slide: Slide) -> None:
    pixels = pixels_of(demo_slide)
    unknown = slide_quality(Slide.from_array(pixels))
    assert "unknown" in unknown.notes[0]
    assert unknown.focus_word == "good"
    coarse = slide_quality(Slide.from_array(pixels, mpp=2.0))
    assert "too coarse" in coarse.notes[0]
    assert (coarse.focus, coarse.focus_word) == (None, "unknown")
    assert coarse.haematoxylin is not None


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (600, 500)])
def test_nothing_to_see(shape: tuple[int, int]) -> None:
    quality = slide_quality(Slide.from_array(np.full((*shape, 3), 240, np.uint8), mpp=0.25))
    assert (quality.focus, quality.haematoxylin, quality.windows) == (None, None, 0)
    grey = np.full((*shape, 3), (150, 90, 160), np.uint8)
    assert slide_quality(Slide.from_array(grey, mpp=0.25)).focus is None


def test_a_job_that_can_be_cancelled_and_is_remembered(demo_slide: Slide) -> None:
    job = slide_quality_job(demo_slide)
    assert next(job).unit == "windows"
    next(job)
    job.close()
    seen: list[int] = []
    found = run(slide_quality_job(demo_slide), lambda progress: seen.append(progress.done))
    assert seen == list(range(found.windows + 1))
    assert slide_quality(demo_slide) is found
    with pytest.raises(SlideError, match="0 windows"):
        QualityRequest(windows=0)


def test_a_model_knows_what_it_was_trained_on(demo_slide: Slide) -> None:
    pixels = pixels_of(demo_slide)
    reference = QualityReference.of([slide_quality(demo_slide)])
    assert QualityReference.from_dict(json.loads(json.dumps(reference.as_dict()))) == reference
    assert reference.compare(slide_quality(demo_slide)) == ()

    pale = Slide.from_array(restained(pixels, 0.25), mpp=0.499)
    assert said(reference, pale)[0].startswith("The haematoxylin of this slide (0.")
    assert "is paler than anything the model was trained on (0." in said(reference, pale)[0]
    dark = Slide.from_array(restained(pixels, 3), mpp=0.499)
    assert "darker" in said(reference, dark)[0]
    soft = said(reference, blurred(pixels, 1.5, 0.499))[-1]
    assert soft.startswith("The focus of this slide (0.")
    assert "soft" in soft


def said(reference: QualityReference, slide: Slide) -> tuple[str, ...]:
    return reference.compare(slide_quality(slide))


def test_training_on_varied_stain_widens_the_range() -> None:
    reference = QualityReference((0.2, 0.4), (0.1, 0.2), 0.5)
    wider = reference.widened(0.5)
    assert (wider.haematoxylin, wider.eosin) == ((0.1, 0.6), (0.05, 0.3))
    assert wider.focus == 0.5


def test_no_reference_without_stain_or_from_a_damaged_card() -> None:
    empty: SlideQuality = slide_quality(Slide.from_array(np.full((90, 90, 3), 240, np.uint8)))
    with pytest.raises(SlideError, match="no stained tissue"):
        QualityReference.of([empty])
    reference = QualityReference((0.2, 0.4), (0.1, 0.2), None)
    assert reference.compare(empty) == ()
    for damage in ({"focus": "x"}, {"eosin": [1]}, {"mpp": None}):
        with pytest.raises(ModelError, match="reference cannot be read"):
            QualityReference.from_dict({**reference.as_dict(), **damage})
