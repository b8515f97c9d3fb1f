"""Study: the state of one open slide, and the verbs that work on it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress, run
from napari_prts.study.exploring import Exploring
from napari_prts.study.recipe import asked_of
from napari_prts.study.state import Region
from napari_prts.study.trained import TrainedHere

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle, PredictorShelf
    from napari_prts.features import EncoderShelf
    from napari_prts.nuclei import Nuclei

Report = Callable[[Progress], None]


class Study(Exploring):
    """One open slide with everything known about it.

    The verbs (:meth:`segment`, :meth:`import_nuclei`, :meth:`measure`, :meth:`train`,
    :meth:`predict`, :meth:`group`, :meth:`ask`, :meth:`trust`) block until they are done; a
    window runs the same jobs in a thread and hands the result to the ``set_`` methods. What
    its buttons would do is copied from there as a script of these verbs.

    Parameters
    ----------
    slide : Slide
        The open slide.
    store : FeatureStore, optional
        Where features are kept; the user's cache by default.
    """

    def segment(
        self,
        model: str | Path = "he-open",
        region: Region | None = None,
        report: Report | None = None,
        **options: Any,
    ) -> Nuclei:
        """Find nuclei with StarDist.

        Parameters
        ----------
        model : str or path
            Name or path of the nucleus model.
        region : tuple of float, optional
            (row, column, height, width) in level-0 pixels; the whole slide by default.
            Nuclei outside it are kept.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Further fields of :class:`~napari_prts.segmentation.SegmentRequest`.
        """
        from napari_prts.segmentation import SegmentRequest, provenance, segment

        request = SegmentRequest(model=model, region=region, **options)
        found = run(segment(self.slide, request), report)
        made_with = {**provenance(self.slide, request), **asked_of(request)}
        self.set_segmented(found, region, made_with)
        return self.nuclei

    def import_nuclei(self, path: Path | str) -> Nuclei:
        """Replace the nuclei by those of a file; can be undone.

        Parameters
        ----------
        path : path
            GeoJSON (QuPath, Space Ranger), GeoParquet, a table of WKT polygons or a label
            image, told by its content; (x, y) in level-0 pixels.

        Raises
        ------
        NucleiError
            If the file cannot be read, or holds no nuclei.

        Warns
        -----
        UserWarning
            Once for each kind of outline that was mended or left out.
        """
        from napari_prts.nuclei.formats.reading import read_nuclei_reported

        path = Path(path)
        report = read_nuclei_reported(path, self.slide.shape)
        for said in report.sentences():
            warnings.warn(f"{path.name}: {said}", stacklevel=2)
        about = {"imported_from": str(path.absolute())}
        self.set_nuclei(report.nuclei, about, "import nuclei")
        return self.nuclei

    def measure(self, folder: Path | str, report: Report | None = None, **options: Any) -> AnnData:
        """Sum the 2 um bins of a Space Ranger folder into the nuclei.

        Parameters
        ----------
        folder : path
            ``outs``, ``binned_outputs`` or ``square_002um``.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Fields of :class:`~napari_prts.visium_hd.MeasureRequest`.
        """
        from napari_prts.visium_hd import MeasureRequest, measure, read_space_ranger

        job = measure(self.slide, self.nuclei, read_space_ranger(folder), MeasureRequest(**options))
        measured = run(job, report)
        self.set_measured(measured)
        return measured

    @cached_property
    def encoders(self) -> EncoderShelf:
        """Encoders that are loaded."""
        from napari_prts.features import EncoderShelf

        return EncoderShelf()

    @cached_property
    def predictors(self) -> PredictorShelf:
        """The model that is ready to predict."""
        from napari_prts.expression import PredictorShelf

        return PredictorShelf()

    def train(
        self,
        encoder: str = "morphology",
        report: Report | None = None,
        *,
        tiles: str = "exact",
        device: str = "auto",
        others: Sequence[Study | Path | str] = (),
        **options: Any,
    ) -> ModelBundle:
        """Train a PRTS model on this slide's measured cells.

        Parameters
        ----------
        encoder : str
            Name or path of the encoder.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        tiles : str
            ``"exact"``: a tile for each nucleus; ``"grid"``: tiles that nuclei share, some
            ten times quicker. The model remembers it.
        device : str
            What encodes and trains: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        others : sequence of Study or path
            More sections to train on; a path is a folder that :meth:`save` wrote.
        **options
            Fields of :class:`~napari_prts.expression.TrainRequest`.

        Raises
        ------
        ExpressionError
            If a slide has no measured cells, or too few.
        """
        from napari_prts.expression import TrainRequest
        from napari_prts.study.jobs import MeasuredSlide, StudyTrainRequest, train_sections_job
        from napari_prts.study.saving import open_study

        training = TrainRequest(device=device, **options)
        request = StudyTrainRequest(encoder, training, device, tiles)
        studies = [self, *(o if isinstance(o, Study) else open_study(o) for o in others)]
        slides = [MeasuredSlide(s.slide, s.nuclei, s.expression("measured")) for s in studies]
        model = run(train_sections_job(slides, request, self.store), report)
        folders = [o for o in others if not isinstance(o, Study)]
        known = len(folders) == len(others)
        self.set_model(
            model, TrainedHere.by(self.nuclei, model, request, folders) if known else None
        )
        return model

    def predict(
        self,
        model: ModelBundle | Path | str | None = None,
        report: Report | None = None,
        **options: Any,
    ) -> AnnData:
        """Predict each nucleus's expression.

        Parameters
        ----------
        model : ModelBundle or path, optional
            The model, or its folder; the study's own by default.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Further fields of :class:`~napari_prts.study.PredictionRequest`.
        """
        from napari_prts.study.predicting import PredictionRequest, predict_job

        if model is not None:
            self.set_model(model)
        if self.model is None:
            raise ExpressionError("No model chosen: give a model folder, or train one first.")
        request = PredictionRequest(self.model, **options)
        job = predict_job(
            self.slide,
            self.nuclei,
            request,
            self.store,
            shelf=self.encoders,
            predictors=self.predictors,
        )
        predicted = run(job, report)
        self.set_predicted(predicted)
        return predicted

    def cluster(
        self, which: str = "predicted", report: Report | None = None, **options: Any
    ) -> AnnData:
        """Group the cells of one side by Leiden clustering, and lay them out (UMAP).

        Parameters
        ----------
        which : str
            ``"predicted"`` or ``"measured"``.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Fields of :class:`~napari_prts.analysis.ClusterRequest`.

        See Also
        --------
        group : Both sides at once, with one name for clusters that hold the same cells, as
            the window does it.
        """
        from napari_prts.analysis import ClusterRequest, cluster

        clustered = run(cluster(self.expression(which), ClusterRequest(**options)), report)
        self.set_clusters(which, clustered)
        return clustered

    def save(self, folder: Path | str) -> Path:
        """Save everything into a folder; see :func:`napari_prts.study.saving.save_study`."""
        from napari_prts.study.saving import save_study

        return save_study(self, Path(folder))
