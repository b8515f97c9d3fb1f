"""Fixtures for all rooms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# Machines are busy: tests never depend on time.
settings.register_profile("napari-prts", deadline=None)
settings.load_profile("napari-prts")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides, nuclei and counts beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the test data are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's cache and data."""
    monkeypatch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("NAPARI_PRTS_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def demo_slide_path() -> Path:
    """The real slide that ships with the package (CC0, Aperio SVS, 0.499 um/px)."""
    from napari_prts.sample_data import demo_slide_path

    return demo_slide_path()


@pytest.fixture(scope="session")
def tissue_slide(demo_slide_path: Path) -> Slide:
    """A piece of real skin, 700 x 900 px at 0.499 um/px, dense with nuclei."""
    from napari_prts.slide import Slide, open_slide

    pixels = open_slide(demo_slide_path).read(*TISSUE_CORNER, 700, 900)
    return Slide.from_array(pixels, mpp=0.499, name="skin")


@pytest.fixture(scope="session")
def demo_slide(demo_slide_path: Path) -> Slide:
    """The whole embedded slide, large enough for a spatial split."""
    from napari_prts.slide import open_slide

    slide: Slide = open_slide(demo_slide_path)
    return slide


TISSUE_CORNER = (900, 1300)


@pytest.fixture(scope="session")
def tissue_nuclei(tissue_slide: Slide) -> Nuclei:
    """Nuclei of :func:`tissue_slide`, outlined by a threshold on haematoxylin."""
    return outlined_by_threshold(tissue_slide)


@pytest.fixture(scope="session")
def demo_nuclei(demo_slide: Slide) -> Nuclei:
    """About a thousand nuclei of :func:`demo_slide`, outlined by a threshold."""
    return outlined_by_threshold(demo_slide)


def outlined_by_threshold(slide: Slide) -> Nuclei:
    """Outline dark blue blobs: quick, and good enough to be nuclei in a test."""
    from skimage.color import rgb2hed
    from skimage.filters import gaussian, threshold_otsu
    from skimage.measure import label
    from skimage.morphology import remove_small_objects

    from napari_prts.nuclei import read_labels

    pixels = np.asarray(slide.levels[0])
    stain = gaussian(rgb2hed(pixels)[..., 0], 1.5)
    labels = remove_small_objects(label(stain > threshold_otsu(stain)), max_size=40)
    nuclei: Nuclei = read_labels(labels.astype(np.int32))
    return nuclei
