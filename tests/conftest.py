"""Fixtures for all rooms."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from napari_prts.analysis import Apart
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# Machines are busy: tests never depend on time.
settings.register_profile("napari-prts", deadline=None)
settings.load_profile("napari-prts")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files that share what takes long to make go to one worker, where it is made once."""
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.sharing_out import SharedOut

    return SharedOut(config, log)


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides, nuclei and counts beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the test data are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> None:
    """Leave what is loaded to stay out of Python's search for garbage.

    napari searches several times for each window, among all of PyTorch and scanpy for 0.2 s.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's cache and data."""
    monkeypatch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("NAPARI_PRTS_DATA", str(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def process_beside() -> Iterator[Apart]:
    """A process beside this one that has its compilation behind it: 15 s, once for all tests.

    Closing it does nothing: it finishes what it is doing, unheard. That a closed process ends
    is tested with others.
    """
    from napari_prts.analysis import Apart

    class Kept(Apart):
        def close(self) -> None:
            """Stay for the next test."""

    kept = Kept()
    yield kept
    Apart.close(kept)


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
