"""Small slides, nuclei and encoders for the features room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_prts.features import Encoder, ExtractRequest, load_encoder
from napari_prts.features.worklist import Worklist
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide

if TYPE_CHECKING:
    from napari_prts.features.vit import VitEncoder

# A tile of 64 px, 4 x 4 patches, 64 channels: encodes hundreds of tiles a second.
TINY = "random-vit:test_vit,img_size=64"


def octagon(row: float, column: float, radius: float = 6.0) -> np.ndarray:
    """Outline around a centre, (row, column)."""
    angle = np.arange(8) * np.pi / 4
    return np.stack([row + radius * np.sin(angle), column + radius * np.cos(angle)], axis=1)


def encode(
    encoder: Encoder, slide: Slide, nuclei: Nuclei, which: object = None, **how: object
) -> np.ndarray:
    """Context, then local part, of some nuclei; each must be given once."""
    positions = np.arange(len(nuclei)) if which is None else np.asarray(which)
    size = encoder.stored_context_size
    rows = np.full((len(nuclei), size + encoder.local_size), np.nan, np.float32)
    work = Worklist(nuclei.centroids, positions, block=256.0)
    request = ExtractRequest(encoder.name, **{"device": "cpu", **how})
    for part in encoder.encode(slide, nuclei, work, request):
        assert np.isnan(rows[part.positions]).all(), "each once"
        rows[part.positions] = np.hstack([part.context, part.local])
    return rows[positions]


@pytest.fixture(scope="session")
def tiny() -> VitEncoder:
    """A vision transformer with weights at random."""
    return load_encoder(TINY)


@pytest.fixture(scope="session")
def noise_slide() -> Slide:
    """500 x 700 px at 0.5 um/px, every pixel different from its neighbours."""
    pixels = np.random.default_rng(1).integers(0, 200, (500, 700, 3), dtype=np.uint8)
    return Slide.from_array(pixels, mpp=0.5, name="noise")


@pytest.fixture(scope="session")
def scattered() -> Nuclei:
    """60 nuclei on the slide of noise, some of them at its border."""
    rng = np.random.default_rng(2)
    centres = np.stack([rng.uniform(2, 498, 60), rng.uniform(2, 698, 60)], axis=1)
    return Nuclei.from_polygons([octagon(*centre) for centre in centres])
