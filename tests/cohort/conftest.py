"""Two small slides with nuclei, and a model trained for an epoch: a slide takes seconds."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_prts.cohort import BatchRequest, BatchSettings, SlideEntry
from napari_prts.cohort.request import resolved
from tests.cli.running import write_slide

MPP = 0.499
SIDE = 360
CORNERS = {"a": (900, 1300), "b": (1300, 1300)}


@dataclass(frozen=True)
class Cohort:
    """Slides ``a`` and ``b``, squares for nuclei, and a model."""

    folder: Path
    settings: BatchSettings

    def slide(self, name: str) -> Path:
        return self.folder / f"{name}.tif"

    @property
    def nuclei(self) -> Path:
        return self.folder / "nuclei.geojson"

    def entry(self, name: str) -> SlideEntry:
        return SlideEntry(str(self.slide(name)), name, nuclei=str(self.nuclei))

    def request(self, output: Path, *entries: SlideEntry | str) -> BatchRequest:
        slides = tuple(self.entry(each) if isinstance(each, str) else each for each in entries)
        return BatchRequest(slides, self.settings, output)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slides' processes interpret what groups cells: compiling takes 15 s, grouping 64 one.

    Clusters are the same; the compiled code is tested elsewhere. Bins cannot be measured so.
    """
    # Loaded before, it goes on compiling in this process.
    importlib.import_module("numba")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")


def squares(height: int, width: int) -> np.ndarray:
    """Outlines of 12 x 12 px, 40 px apart: (row, column) of each vertex."""
    rows, columns = np.mgrid[30 : height - 30 : 40, 30 : width - 30 : 40]
    centres = np.stack([rows.ravel(), columns.ravel()], axis=1)
    return centres[:, None] + np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory, demo_slide_path: Path) -> Cohort:
    from napari_prts.nuclei import Nuclei, write_nuclei
    from napari_prts.slide import open_slide

    folder = tmp_path_factory.mktemp("cohort")
    whole = open_slide(demo_slide_path)
    for name, corner in CORNERS.items():
        write_slide(folder / f"{name}.tif", whole.read(*corner, SIDE, SIDE), MPP)
    nuclei = Nuclei.from_polygons(squares(SIDE, SIDE))
    write_nuclei(nuclei, folder / "nuclei.geojson")
    settings = BatchSettings(str(folder / "model"), clusters=False, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("cohort-cache")))
        train_model(folder / "model", whole.read(1700, 1000, 1240, 400))
        return Cohort(folder, resolved(settings))


def train_model(folder: Path, pixels: np.ndarray) -> None:
    from napari_prts.expression import TrainRequest, train
    from napari_prts.features import ExtractRequest, extract
    from napari_prts.jobs import run
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide
    from tests.expression.sections import measure

    slide = Slide.from_array(pixels, mpp=MPP, name="strip")
    nuclei = Nuclei.from_polygons(squares(*pixels.shape[:2]))
    features = run(extract(slide, nuclei, ExtractRequest(device="cpu")))
    rng = np.random.default_rng(0)
    measured = measure(slide, nuclei, rng.normal(size=(len(nuclei), 2)), rng, rng, True)
    request = TrainRequest(epochs=1, device="cpu")
    run(train(features, measured, nuclei, slide, request)).save(folder)
