"""From pixels to expression: nuclei on screen are encoded, predicted and handed on first."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.errors import ExpressionError
from napari_prts.expression import PredictorShelf, PredictRequest, load_bundle
from napari_prts.expression import predict as predict_expression
from napari_prts.features import ExtractRequest, FeatureStore, extract
from napari_prts.jobs import Job, Progress
from napari_prts.slide.quality import slide_quality_job
from napari_prts.study.early_cells import EarlyCells

_TILES_WORDS = {"exact": "a tile for each nucleus", "grid": "tiles that they share"}

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.features import EncoderShelf, Features
    from napari_prts.focus import Focus
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True)
class PredictionRequest:
    """Predict with a model.

    Parameters
    ----------
    model : path or ModelBundle
        The model, or the folder that holds it.
    batch : int, optional
        Tiles encoded at once; by default what suits the device.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    tiles : str, optional
        ``"exact"``, a tile for each nucleus, or ``"grid"``, shared ones; by default as
        the model was trained.
    precision : str
        ``"auto"``, the quickest that the device computes itself, or ``"float32"``.
    """

    model: ModelBundle | Path | str
    batch: int | None = None
    device: str = "auto"
    tiles: str | None = None
    precision: str = "auto"


def predict_job(
    slide: Slide,
    nuclei: Nuclei,
    request: PredictionRequest,
    store: FeatureStore,
    focus: Focus | None = None,
    shelf: EncoderShelf | None = None,
    predictors: PredictorShelf | None = None,
) -> Job[AnnData]:
    """Encode the nuclei that the store does not hold, then predict all of them.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        Its nuclei.
    request : PredictionRequest
        With which model, and how.
    store : FeatureStore
        Where features are kept.
    focus : Focus, optional
        Where the user looks: cells there are predicted first, even if it changes
        meanwhile. The result is the same.
    shelf : EncoderShelf, optional
        Where the encoder may be loaded already.
    predictors : PredictorShelf, optional
        Where the model may be ready already.

    Yields
    ------
    Progress
        In nuclei encoded; with a focus ``partial`` is None or
        :class:`~napari_prts.expression.PredictedCells`, newly predicted. Then in cells
        predicted, at last in windows of the slide whose quality is measured, if the
        model knows that of its training slide.

    Returns
    -------
    AnnData
        Predicted expression, one row a nucleus. ``uns["prts"]["quality"]`` holds focus and
        stain of the slide, and ``warnings`` (list of str) where they differ from what the
        model was trained on; ``tiles`` and ``trained_tiles`` how nuclei were seen, now and
        then.

    Raises
    ------
    ExpressionError
        If there are no nuclei.
    ModelError
        If the model cannot be loaded or does not fit its encoder.
    """
    require_nuclei(nuclei)
    bundle = load_bundle(request.model) if isinstance(request.model, str | Path) else request.model
    wanted = ExtractRequest(
        encoder=bundle.encoder,
        batch=request.batch,
        device=request.device,
        tiles=request.tiles or bundle.tiles,
        precision=request.precision,
    )
    predictors = predictors or PredictorShelf()
    ready = predictors.get(
        bundle, PredictRequest(device=request.device, precision=request.precision)
    )
    encoding = extract(slide, nuclei, wanted, store, focus, shelf)
    if focus is not None:
        encoding = _shown(encoding, EarlyCells(ready, slide))
    features = yield from encoding
    predicting = predict_expression(features, nuclei, slide, bundle, predictor=ready)
    predicted = yield from _without_partial(predicting)
    about = predicted.uns["prts"]
    about["tiles"], about["trained_tiles"] = wanted.tiles, bundle.tiles
    # Last, because somebody waits for the cells.
    if (reference := bundle.quality_reference) is not None:
        about["quality"] = reference.record((yield from slide_quality_job(slide)))
    about["broken_tiles"] = len(slide.broken)
    return predicted


def _shown(encoding: Job[Features], early: EarlyCells) -> Job[Features]:
    """Turn features that have become known into predicted cells."""
    with closing(encoding):
        while True:
            try:
                progress = next(encoding)
            except StopIteration as stop:
                features: Features = stop.value
                return features
            cells = early.take(progress.partial) if progress.partial is not None else None
            yield replace(progress, partial=cells)


def _without_partial(predicting: Job[AnnData]) -> Job[AnnData]:
    """All cells at once have been shown before."""
    with closing(predicting):
        while True:
            try:
                progress: Progress = next(predicting)
            except StopIteration as stop:
                predicted: AnnData = stop.value
                return predicted
            yield replace(progress, partial=None)


def other_tiles_words(predicted: AnnData) -> str:
    """Say that nuclei were seen otherwise than the model had learned; empty if not so."""
    about = predicted.uns["prts"]
    used, trained = about.get("tiles"), about.get("trained_tiles")
    if used == trained:
        return ""
    return (
        f"Nuclei were encoded with {_TILES_WORDS[used]}, but the model was trained with "
        f"{_TILES_WORDS[trained]}: its predictions are less sure."
    )


def require_nuclei(nuclei: Nuclei) -> None:
    """Raise ExpressionError if there are no nuclei."""
    if not len(nuclei):
        raise ExpressionError("There are no nuclei yet: find or import nuclei first.")
