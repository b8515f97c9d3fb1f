"""One small section that goes the whole way, and a folder that must stay empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.cli.running import Chain, succeed, write_slide

# A strip of skin, epidermis and dermis: long enough for training, validation and test regions.
CROP = (slice(1700, 2940), slice(1000, 1400))


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    import napari_prts

    folder = Path(napari_prts.__file__).parent / "data"
    return tifffile.imread(folder / "CMU-1-Small-Region.svs")[CROP].copy()


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Chain:
    made = Chain(tmp_path_factory.mktemp("chain"), {})
    write_slide(made.slide, pixels)
    on_slide = ("--slide", made.slide, "--nuclei", made.nuclei)
    steps: list[tuple[Any, ...]] = [
        ("segment", made.slide, "-o", made.nuclei),
        ("simulate", made.slide, "--nuclei", made.nuclei, "-o", made.visium_hd, "--genes", 60),
        ("measure", made.visium_hd, *on_slide, "-o", made.measured),
        ("train", *on_slide, "--measured", made.measured, "-o", made.model, "--epochs", 4),
        ("predict", *on_slide[1:], "--model", made.model, "-o", made.predicted),
        ("evaluate", made.predicted, made.measured, "-o", made.report),
        ("cluster", made.predicted, "-o", made.clusters, "--resolution", 0.5),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("chain-cache")))
        for step in steps:
            made.said[step[0]] = succeed(*step).stdout
    return made


@pytest.fixture
def without_mpp(tmp_path: Path, pixels: np.ndarray) -> Path:
    import cv2

    path = tmp_path / "section.png"
    assert cv2.imwrite(str(path), pixels[..., ::-1])
    return path


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Folder for outputs that must stay empty."""
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []
