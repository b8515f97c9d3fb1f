"""Jobs that go through several rooms: from pixels to a model, from pixels to expression.

They touch no :class:`~napari_prts.study.study.Study`: each takes what it needs
and returns its result, so that it can run in a thread beside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.errors import ExpressionError
from napari_prts.expression import Section, TrainRequest, ablate, load_bundle, train_sections
from napari_prts.expression import predict as predict_expression
from napari_prts.expression.ablation import BASELINE
from napari_prts.expression.requests import USES
from napari_prts.features import ExtractRequest, FeatureStore, extract
from napari_prts.jobs import Job
from napari_prts.slide.quality import slide_quality_job

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import Ablation, ModelBundle
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True)
class PredictionRequest:
    """Predict with a model.

    Parameters
    ----------
    model : path or ModelBundle
        The model, or the folder that holds it.
    batch : int
        Tiles encoded at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    model: ModelBundle | Path | str
    batch: int = 32
    device: str = "auto"


@dataclass(frozen=True, eq=False)
class MeasuredSlide:
    """A slide with its nuclei and their measured counts.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        Its nuclei.
    measured : AnnData
        Their counts, as :func:`napari_prts.visium_hd.measure` gives.
    """

    slide: Slide
    nuclei: Nuclei
    measured: AnnData


@dataclass(frozen=True)
class StudyTrainRequest:
    """Train a model on measured slides.

    Parameters
    ----------
    encoder : str
        Name or path of the encoder.
    training : TrainRequest
        How to train the PRTS network.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    encoder: str = "morphology"
    training: TrainRequest = field(default_factory=TrainRequest)
    device: str = "auto"


def predict_job(
    slide: Slide, nuclei: Nuclei, request: PredictionRequest, store: FeatureStore
) -> Job[AnnData]:
    """Encode the nuclei that the store does not hold, then predict all of them.

    Yields
    ------
    Progress
        In windows of the slide whose quality is measured, if the model knows that of its
        training slide; then in nuclei encoded, then in cells predicted.

    Returns
    -------
    AnnData
        Predicted expression, one row a nucleus. ``uns["prts"]["quality"]`` holds focus and
        stain of the slide, and ``warnings`` (list of str) where they differ from what the
        model was trained on.

    Raises
    ------
    ExpressionError
        If there are no nuclei.
    ModelError
        If the model cannot be loaded or does not fit its encoder.
    """
    _require(nuclei)
    bundle = load_bundle(request.model) if isinstance(request.model, str | Path) else request.model
    reference = bundle.quality_reference
    quality = None if reference is None else (yield from slide_quality_job(slide))
    wanted = ExtractRequest(encoder=bundle.encoder, batch=request.batch, device=request.device)
    features = yield from extract(slide, nuclei, wanted, store)
    predicted = yield from predict_expression(features, nuclei, slide, bundle)
    if reference is not None and quality is not None:
        predicted.uns["prts"]["quality"] = reference.record(quality)
    predicted.uns["prts"]["broken_tiles"] = len(slide.broken)
    return predicted


def train_job(
    slide: Slide,
    nuclei: Nuclei,
    measured: AnnData,
    request: StudyTrainRequest,
    store: FeatureStore,
) -> Job[ModelBundle]:
    """Encode the nuclei that the store does not hold, then train on the measured ones.

    Yields
    ------
    Progress
        As :func:`train_sections_job` does.

    Returns
    -------
    ModelBundle
        The model with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If there are no nuclei, or too few measured cells.
    """
    return (yield from train_sections_job([MeasuredSlide(slide, nuclei, measured)], request, store))


def train_sections_job(
    slides: Sequence[MeasuredSlide], request: StudyTrainRequest, store: FeatureStore
) -> Job[ModelBundle]:
    """Encode the nuclei of several slides that the store does not hold, then train on them.

    What is kept when the job is closed is said by ``request.training``, see
    :func:`napari_prts.expression.train_sections`.

    Yields
    ------
    Progress
        For each slide in windows whose quality is measured, then in nuclei encoded; at
        last in epochs, with an :class:`~napari_prts.expression.EpochReport` after each.

    Returns
    -------
    ModelBundle
        The model with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If there are no nuclei, too few measured cells, or slides that do not belong
        together.
    """
    sections = yield from _encoded(slides, request.encoder, request.device, store)
    return (yield from train_sections(sections, request.training))


def ablate_job(
    slides: Sequence[MeasuredSlide],
    request: StudyTrainRequest,
    store: FeatureStore,
    encoders: Sequence[str] = (),
    uses: Sequence[str] = USES,
) -> Job[Ablation]:
    """Train with several encoders and parts of their features, the morphology baseline among them.

    Parameters
    ----------
    slides : sequence of MeasuredSlide
        One or more.
    request : StudyTrainRequest
        The encoder to judge and how to train.
    store : FeatureStore
        Where features are kept.
    encoders : sequence of str
        More encoders.
    uses : sequence of str
        Some of ``"both"``, ``"local"`` and ``"global"``.

    Yields
    ------
    Progress
        In windows, in nuclei of each encoder, then in epochs of all trainings.

    Returns
    -------
    Ablation
        The table and the models.

    Raises
    ------
    ExpressionError
        As :func:`train_sections_job` does.
    """
    wanted = dict.fromkeys([BASELINE, request.encoder, *encoders])
    sections = {}
    for encoder in wanted:
        sections[encoder] = yield from _encoded(slides, encoder, request.device, store)
    return (yield from ablate(sections, request.training, uses))


def _encoded(
    slides: Sequence[MeasuredSlide], encoder: str, device: str, store: FeatureStore
) -> Job[list[Section]]:
    sections = []
    for each in slides:
        _require(each.nuclei)
        # The training asks for it too: measured here, it can be cancelled, and is remembered.
        yield from slide_quality_job(each.slide)
        wanted = ExtractRequest(encoder=encoder, device=device)
        features = yield from extract(each.slide, each.nuclei, wanted, store)
        sections.append(Section(features, each.measured, each.nuclei, each.slide))
    return sections


def _require(nuclei: Nuclei) -> None:
    if not len(nuclei):
        raise ExpressionError("There are no nuclei yet: find or import nuclei first.")
