"""Study: one open slide with everything known about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import History, Nuclei, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.analysis import Agreement
    from napari_prts.expression import ModelBundle
    from napari_prts.features import FeatureStore
    from napari_prts.slide import Slide

Report = Callable[[Progress], None]
Region = tuple[float, float, float, float]


class Study:
    """The state of one open slide; the only mutable thing that crosses rooms.

    Every setter emits a psygnal event, so that a window can follow it. The
    verbs (:meth:`segment`, :meth:`measure`, :meth:`train`, :meth:`predict`,
    :meth:`cluster`) block until they are done; a window runs the same jobs in
    a thread and hands the result to the ``set_`` methods.

    Parameters
    ----------
    slide : Slide
        The open slide.
    store : FeatureStore, optional
        Where features are kept; the user's cache by default.

    Attributes
    ----------
    slide_changed, nuclei_changed, measured_changed, model_changed, predicted_changed,
    clusters_changed : psygnal.Signal
        Emitted without arguments after the change.
    """

    slide_changed = Signal()
    nuclei_changed = Signal()
    measured_changed = Signal()
    model_changed = Signal()
    predicted_changed = Signal()
    clusters_changed = Signal()

    def __init__(self, slide: Slide, store: FeatureStore | None = None) -> None:
        self._slide = slide
        self._store = store
        self._history = History(Nuclei.empty())
        self._nuclei_provenance: dict[str, Any] = {}
        self._measured: AnnData | None = None
        self._model: ModelBundle | None = None
        self._predicted: AnnData | None = None
        self._clusters: dict[str, AnnData] = {}

    def __repr__(self) -> str:
        name = self._slide.path.name if self._slide.path else self._slide.format
        parts = [name, f"{len(self.nuclei):,} nuclei"]
        parts += ["measured"] if self._measured is not None else []
        parts += ["predicted"] if self._predicted is not None else []
        return f"<Study {', '.join(parts)}>"

    @property
    def slide(self) -> Slide:
        """The open slide."""
        return self._slide

    @property
    def store(self) -> FeatureStore:
        """Where features are kept."""
        if self._store is None:
            from napari_prts.features import FeatureStore

            self._store = FeatureStore()
        return self._store

    def set_mpp(self, mpp: float) -> None:
        """State the pixel size in microns per level-0 pixel.

        Raises
        ------
        SlideError
            If the value is not a plausible pixel size.
        """
        self._slide = self._slide.with_mpp(mpp)
        self.slide_changed.emit()

    @property
    def nuclei(self) -> Nuclei:
        """The nuclei as they are now, with all corrections."""
        return self._history.current

    @property
    def history(self) -> History:
        """Corrections done, for the state of undo and redo; change it through this study."""
        return self._history

    @property
    def nuclei_provenance(self) -> dict[str, Any]:
        """Where the nuclei came from, and how many were corrected by hand."""
        counts = self._history.counts()
        edits = {"added": counts.added, "edited": counts.edited, "removed": counts.removed}
        return {**self._nuclei_provenance, "corrections": edits}

    def set_nuclei(
        self, nuclei: Nuclei, provenance: Mapping[str, Any] | None = None, label: str = "nuclei"
    ) -> None:
        """Replace all nuclei; can be undone.

        Parameters
        ----------
        nuclei : Nuclei
            The new nuclei.
        provenance : mapping, optional
            Where they come from; kept in the files written later.
        label : str
            Name of the step in the undo history.
        """
        self._nuclei_provenance = dict(provenance or {})
        self._history.reset(nuclei, label)
        self.nuclei_changed.emit()

    def edit(
        self,
        *,
        removed: Iterable[int] = (),
        added: Iterable[NDArray[np.floating]] = (),
        replaced: Mapping[int, NDArray[np.floating]] | None = None,
        label: str = "edit",
        source: Source = Source.MANUAL,
    ) -> None:
        """Correct nuclei by hand, as one step of the undo history.

        Parameters
        ----------
        removed : iterable of int
            Ids to delete.
        added : iterable of ndarray, shape (k, 2)
            New outlines in level-0 pixels, (row, column).
        replaced : mapping of int to ndarray, shape (k, 2)
            New outlines of existing ids.
        label : str
            Name of the step.
        source : Source
            What the added nuclei are said to be.

        Raises
        ------
        NucleiError
            If an id does not exist or an outline is no polygon.
        """
        self._history.edit(removed, list(added), dict(replaced or {}), label=label, source=source)
        self.nuclei_changed.emit()

    def undo(self) -> str | None:
        """Take back the last correction; return its name, or None if there is none."""
        label = self._history.undo()
        if label is not None:
            self.nuclei_changed.emit()
        return label

    def redo(self) -> str | None:
        """Do the last undone correction again; return its name, or None if there is none."""
        label = self._history.redo()
        if label is not None:
            self.nuclei_changed.emit()
        return label

    @property
    def measured(self) -> AnnData | None:
        """Measured (or simulated) counts per nucleus."""
        return self._measured

    def set_measured(self, measured: AnnData | None) -> None:
        """Set the measured counts."""
        self._measured = measured
        self._clusters.pop("measured", None)
        self.measured_changed.emit()

    @property
    def model(self) -> ModelBundle | None:
        """The PRTS model in use."""
        return self._model

    def set_model(self, model: ModelBundle | Path | str | None) -> None:
        """Set the PRTS model, from a bundle or from the folder that holds one.

        Raises
        ------
        ModelError
            If the folder holds no whole model.
        """
        if isinstance(model, str | Path):
            from napari_prts.expression import load_bundle

            model = load_bundle(model)
        self._model = model
        self.model_changed.emit()

    @property
    def predicted(self) -> AnnData | None:
        """Predicted expression per nucleus."""
        return self._predicted

    def set_predicted(self, predicted: AnnData | None) -> None:
        """Set the predicted expression."""
        self._predicted = predicted
        self._clusters.pop("predicted", None)
        self.predicted_changed.emit()

    @property
    def clusters(self) -> Mapping[str, AnnData]:
        """Clustered copies by what they were made from: ``"predicted"``, ``"measured"``."""
        return self._clusters

    def set_clusters(self, which: str, clustered: AnnData) -> None:
        """Set the clusters of the predicted or of the measured cells."""
        self._clusters[which] = clustered
        self.clusters_changed.emit()

    def expression(self, which: str) -> AnnData:
        """Return the ``"predicted"`` or the ``"measured"`` table.

        Raises
        ------
        ExpressionError
            If it does not exist yet.
        """
        table = {"predicted": self._predicted, "measured": self._measured}.get(which)
        if table is None:
            doing = {"predicted": "predict", "measured": "open a Visium HD folder"}.get(
                which, which
            )
            raise ExpressionError(f"Nothing {which} yet: {doing} first.")
        return table

    def rows_of_current_nuclei(self, which: str) -> NDArray[np.intp]:
        """Rows of a table whose nucleus still exists.

        Parameters
        ----------
        which : str
            ``"predicted"`` or ``"measured"``.
        """
        ids = self.expression(which).obs["id"].to_numpy()
        return np.flatnonzero(np.isin(ids, self.nuclei.ids))

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
        found = run(segment(self._slide, request), report)
        self.set_segmented(found, region, provenance(self._slide, request))
        return self.nuclei

    def set_segmented(
        self, found: Nuclei, region: Region | None, provenance: Mapping[str, Any]
    ) -> None:
        """Take over segmented nuclei; with a region, only those inside it are replaced."""
        if region is None or not len(self.nuclei):
            self.set_nuclei(found, provenance, "find nuclei")
            return
        row, column, height, width = region
        inside = self.nuclei.in_rectangle(row, column, row + height, column + width)
        self._history.edit(
            self.nuclei.ids[inside],
            found.polygons(),
            {},
            label="find nuclei in region",
            source=Source.STARDIST,
            scores=found.scores,
        )
        self.nuclei_changed.emit()

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

        job = measure(
            self._slide, self.nuclei, read_space_ranger(folder), MeasureRequest(**options)
        )
        measured = run(job, report)
        self.set_measured(measured)
        return measured

    def train(
        self, encoder: str = "morphology", report: Report | None = None, **options: Any
    ) -> ModelBundle:
        """Train a PRTS model on this slide's measured cells.

        Parameters
        ----------
        encoder : str
            Name or path of the encoder.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Fields of :class:`~napari_prts.expression.TrainRequest`.
        """
        from napari_prts.expression import TrainRequest
        from napari_prts.study.jobs import StudyTrainRequest, train_job

        request = StudyTrainRequest(encoder=encoder, training=TrainRequest(**options))
        measured = self.expression("measured")
        model = run(train_job(self._slide, self.nuclei, measured, request, self.store), report)
        self.set_model(model)
        return model

    def predict(
        self, model: ModelBundle | Path | str | None = None, report: Report | None = None
    ) -> AnnData:
        """Predict each nucleus's expression.

        Parameters
        ----------
        model : ModelBundle or path, optional
            The model; the study's own by default.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        """
        from napari_prts.study.jobs import PredictionRequest, predict_job

        if model is not None:
            self.set_model(model)
        if self._model is None:
            raise ExpressionError("No model chosen: give a model folder, or train one first.")
        job = predict_job(self._slide, self.nuclei, PredictionRequest(self._model), self.store)
        predicted = run(job, report)
        self.set_predicted(predicted)
        return predicted

    def cluster(
        self, which: str = "predicted", report: Report | None = None, **options: Any
    ) -> AnnData:
        """Group cells by Leiden clustering.

        Parameters
        ----------
        which : str
            ``"predicted"`` or ``"measured"``.
        report : callable, optional
            Called with each :class:`~napari_prts.jobs.Progress`.
        **options
            Fields of :class:`~napari_prts.analysis.ClusterRequest`.
        """
        from napari_prts.analysis import ClusterRequest, cluster

        clustered = run(cluster(self.expression(which), ClusterRequest(**options)), report)
        self.set_clusters(which, clustered)
        return clustered

    def agreement(self) -> Agreement:
        """Score predicted against measured expression."""
        from napari_prts.analysis import evaluate

        return evaluate(self.expression("predicted"), self.expression("measured"))

    def save(self, folder: Path | str) -> Path:
        """Save everything into a folder; see :func:`napari_prts.study.saving.save_study`."""
        from napari_prts.study.saving import save_study

        return save_study(self, Path(folder))
