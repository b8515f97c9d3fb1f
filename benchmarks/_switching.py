"""How long it takes to see another model's prediction, when all nuclei have been encoded.

Made up are a slide, the features of 60,000 nuclei as a ViT-S/16 gives them (576 numbers, of
which some dozen directions hold most of what differs) and two untrained models of the paper's
size (1,820 genes) for the same encoder. Timed is from the feature store on disk to the table
of the second model, the first one's still being shown.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from _figures import in_fresh_process
from numpy.typing import NDArray

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.features import FeatureTable
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

CELLS, GENES = 60_000, 1820
LOCAL, CONTEXT = 192, 384
TRAINING_CELLS = 2000
MPP = 0.5
ENCODER_KEY = "made-up-vit"
# Directions in which looks differ much, and how much each number differs besides.
_DIRECTIONS, _NOISE = 40, 0.3
# As in sections of Visium HD, in which some 7 % of the counts of selected genes are above zero,
# and as a trained network has it, for which a gene's probability differs from cell to cell.
_MEAN_LOGIT, _SPREAD_LOGIT, _CONTRAST = -4.2, 1.2, 80.0
_SETTINGS = {"extraction": "exact", "slide_mpp": MPP, "mpp": MPP, "tile": 256}


@dataclass(frozen=True)
class Switch:
    """What it costs to change the model.

    Parameters
    ----------
    seconds : float
        From the store to the second model's table.
    reading_seconds : float
        Of these, for reading the features.
    few_seconds : float
        Predicting ten cells with a model that is ready, median.
    peak_bytes : int
        Most memory that the process had resident (its own high-water mark), with both
        tables in the end.
    precision : str
        Of the network's products.
    """

    seconds: float
    reading_seconds: float
    few_seconds: float
    peak_bytes: int
    precision: str


def measure_switch(cells: int = CELLS, precision: str = "auto") -> Switch:
    """Measure in a fresh process.

    Parameters
    ----------
    cells : int
        Nuclei of the slide.
    precision : str
        See :class:`napari_prts.expression.PredictRequest`.
    """
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(_fill_store, Path(folder), cells)
        return in_fresh_process(_switch, Path(folder), cells, precision)


def looks(cells: int, seed: int) -> NDArray[np.float32]:
    """Made-up features, shape (cells, 576), float32."""
    nature = np.random.default_rng(0).standard_normal((_DIRECTIONS, LOCAL + CONTEXT), np.float32)
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((cells, _DIRECTIONS), np.float32) @ nature
    found /= np.float32(np.sqrt(_DIRECTIONS))
    found += np.float32(_NOISE) * rng.standard_normal(found.shape, np.float32)
    return found


def made_up_bundle(seed: int, genes: int = GENES) -> ModelBundle:
    """Make an untrained model for the made-up encoder."""
    import torch

    from napari_prts.expression import ModelBundle, WholePlan
    from napari_prts.expression.network import WIDTHS, PrtsNetwork
    from napari_prts.expression.similarity import TrainingCells

    torch.manual_seed(seed)
    network = PrtsNetwork(LOCAL + CONTEXT, genes)
    with torch.no_grad():
        network.expressed.bias.normal_(_MEAN_LOGIT, _SPREAD_LOGIT)
        network.expressed.weight *= _CONTRAST
    state = network.state_dict()
    training = TrainingCells.fit(looks(TRAINING_CELLS, seed + 1), looks(500, seed + 2), seed)
    zeros, ones = np.zeros(LOCAL + CONTEXT, np.float32), np.ones(LOCAL + CONTEXT, np.float32)
    arrays: dict[str, NDArray[Any]] = {
        **{f"network.{name}": value.numpy() for name, value in state.items()},
        "features.mean": zeros,
        "features.std": ones,
        "genes.minimum": np.ones(genes, np.float32),
        "genes.span": np.full(genes, 5, np.float32),
        "training.rows": training.rows,
    }
    slide = {
        "fingerprint": f"training-{seed}",
        "name": "training",
        "mpp": MPP,
        "split": WholePlan("train").as_dict(),
    }
    card = {
        "genes": [f"GENE{number}" for number in range(genes)],
        "encoder": "made-up",
        "encoder_key": ENCODER_KEY,
        "encoder_settings": _SETTINGS,
        "features": {
            "count": LOCAL + CONTEXT,
            "use": "both",
            "local": LOCAL,
            "context": CONTEXT,
            "standardise": "all",
        },
        "network": {"widths": list(WIDTHS)},
        "threshold": 0.2,
        "distance": training.as_card(),
        "training": {"simulated": True, "slides": [slide]},
    }
    return ModelBundle(card, arrays)


def _slide() -> Slide:
    from napari_prts.slide import Slide

    return Slide.from_array(np.full((8, 8, 3), 200, np.uint8), mpp=MPP, name="made-up")


def _nuclei(cells: int) -> Nuclei:
    from napari_prts.nuclei import Nuclei

    centres = np.random.default_rng(0).uniform(20, 20_000, (cells, 2))
    square = np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])
    return Nuclei.from_polygons(centres[:, None] + square)


def _table(folder: Path) -> FeatureTable:
    from napari_prts.features import FeatureStore

    store = FeatureStore(folder)
    return store.table(_slide().fingerprint, ENCODER_KEY, _SETTINGS, LOCAL, CONTEXT)


def _fill_store(folder: Path, cells: int) -> None:
    table, hashes, features = _table(folder), _nuclei(cells).hashes, looks(cells, 9)
    # As they come from an encoder.
    for start in range(0, cells, 1024):
        rows = slice(start, start + 1024)
        table.put(hashes[rows], features[rows, CONTEXT:], features[rows, :CONTEXT])


def _switch(folder: Path, cells: int, precision: str) -> Switch:
    from napari_prts.expression import Predictor, PredictRequest

    slide, nuclei = _slide(), _nuclei(cells)
    first, second = made_up_bundle(1), made_up_bundle(2)
    request = PredictRequest(device="cpu", precision=precision)
    _warm_memory(2 * 2 * 4 * cells * GENES)
    _, shown = _predicted(folder, first, request, slide, nuclei)
    started = perf_counter()
    reading, table = _predicted(folder, second, request, slide, nuclei)
    seconds = perf_counter() - started
    assert shown.shape == table.shape == (cells, GENES)
    predictor = Predictor(second, request)
    few = [_few_seconds(predictor, slide.fingerprint) for _ in range(15)]
    peak, said = _peak_bytes(), str(table.uns["prts"]["precision"])
    return Switch(seconds, reading, float(np.median(few)), peak, said)


def _warm_memory(size: int) -> None:
    """Use so many bytes once, and give them back.

    A virtual machine gets memory that it never used, or not for some minutes, from its host:
    here 437 MB took 1.3 s the first time, 0.06 s from then on.
    """
    np.ones(size // 8)


def _predicted(
    folder: Path, bundle: ModelBundle, request: Any, slide: Slide, nuclei: Nuclei
) -> tuple[float, AnnData]:
    """Seconds for reading, and the table."""
    from napari_prts.expression import predict
    from napari_prts.features import Features
    from napari_prts.jobs import run

    started = perf_counter()
    found, local, context = _table(folder).get(nuclei.hashes)
    reading = perf_counter() - started
    assert found.all()
    features = Features(nuclei.ids, local, context, "made-up", ENCODER_KEY, MPP, dict(_SETTINGS))
    return reading, run(predict(features, nuclei, slide, bundle, request))


def _few_seconds(predictor: Any, fingerprint: str) -> float:
    from napari_prts.features import Features

    few = looks(10, 5)
    features = Features(
        np.arange(10), few[:, CONTEXT:], few[:, :CONTEXT], "made-up", ENCODER_KEY, MPP, {}
    )
    started = perf_counter()
    predictor.cells(features, fingerprint)
    return perf_counter() - started


def _peak_bytes() -> int:
    """High-water mark of this process's resident memory, as the system keeps it."""
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
