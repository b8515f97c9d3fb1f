"""Jobs that go through several rooms: from pixels to a model.

They touch no :class:`~napari_prts.study.study.Study`: each takes what it needs
and returns its result, so that it can run in a thread beside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_prts.expression import Section, TrainRequest, ablate, train_sections
from napari_prts.expression.ablation import BASELINE
from napari_prts.expression.requests import USES
from napari_prts.features import ExtractRequest, FeatureStore, extract
from napari_prts.features.request import EXACT
from napari_prts.jobs import Job
from napari_prts.slide.quality import slide_quality_job
from napari_prts.study.predicting import PredictionRequest, predict_job, require_nuclei

__all__ = [
    "MeasuredSlide",
    "PredictionRequest",
    "StudyTrainRequest",
    "ablate_job",
    "predict_job",
    "train_job",
    "train_sections_job",
]

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import Ablation, ModelBundle
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


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
    tiles : str
        ``"exact"``: a tile for each nucleus; ``"grid"``: tiles that nuclei share. The
        model remembers it.
    """

    encoder: str = "morphology"
    training: TrainRequest = field(default_factory=TrainRequest)
    device: str = "auto"
    tiles: str = EXACT


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
    sections = yield from _encoded(slides, request.encoder, request, store)
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
        sections[encoder] = yield from _encoded(slides, encoder, request, store)
    return (yield from ablate(sections, request.training, uses))


def _encoded(
    slides: Sequence[MeasuredSlide], encoder: str, request: StudyTrainRequest, store: FeatureStore
) -> Job[list[Section]]:
    sections = []
    for each in slides:
        require_nuclei(each.nuclei)
        # The training asks for it too: measured here, it can be cancelled, and is remembered.
        yield from slide_quality_job(each.slide)
        wanted = ExtractRequest(encoder=encoder, device=request.device, tiles=request.tiles)
        features = yield from extract(each.slide, each.nuclei, wanted, store)
        sections.append(Section(features, each.measured, each.nuclei, each.slide))
    return sections
