"""StudyState: one open slide with everything known about it, and its events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_prts.errors import ExpressionError
from napari_prts.study.arriving import ArrivingCells
from napari_prts.study.nuclei_state import NucleiState, Region

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import ArrayLike, NDArray

    from napari_prts.expression import ModelBundle, PredictedCells
    from napari_prts.features import FeatureStore
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide
    from napari_prts.study.kept import Kept
    from napari_prts.study.trained import TrainedHere

__all__ = ["Region", "StudyState"]


class StudyState(NucleiState):
    """The state of one open slide; the only mutable thing that crosses rooms.

    Every setter emits a psygnal event, so that a window can follow it.

    Parameters
    ----------
    slide : Slide
        The open slide.
    store : FeatureStore, optional
        Where features are kept; the user's cache by default.
    autosave : bool
        Keep each change of the nuclei in the user's data folder as it is made, so that
        :meth:`restore` brings them back after a crash. False suits a script that goes
        through many slides.

    Attributes
    ----------
    autosave : Autosave
        What keeps the nuclei.
    kept : Kept or None
        The folder or session file that the study was last saved into, or opened from.
    slide_changed, nuclei_changed, measured_changed, model_changed, predicted_changed,
    clusters_changed : psygnal.Signal
        Emitted without arguments after the change.
    arriving_changed : psygnal.Signal
        Emitted when cells begin to arrive, and when no more will.
    arrived : psygnal.Signal
        Emitted after each batch of cells that a running prediction has found.
    chosen_changed : psygnal.Signal
        Emitted after other cells were chosen.
    """

    slide_changed = Signal()
    measured_changed = Signal()
    model_changed = Signal()
    predicted_changed = Signal()
    clusters_changed = Signal()
    arriving_changed = Signal()
    arrived = Signal()
    chosen_changed = Signal()

    def __init__(
        self, slide: Slide, store: FeatureStore | None = None, *, autosave: bool = True
    ) -> None:
        super().__init__(slide, autosave)
        self._slide = slide
        self._store = store
        self._measured: AnnData | None = None
        self._model: ModelBundle | None = None
        self._model_folder: Path | None = None
        self._trained: TrainedHere | None = None
        self.kept: Kept | None = None
        self._predicted: AnnData | None = None
        self._arriving: ArrivingCells | None = None
        self._clusters: dict[str, AnnData] = {}
        self._chosen: NDArray[np.int64] = np.zeros(0, np.int64)

    def __repr__(self) -> str:
        name = self._slide.path.name if self._slide.path else self._slide.format
        parts = [name, f"{len(self.nuclei):,} nuclei"]
        parts += ["measured"] if self._measured is not None else []
        parts += ["predicted"] if self._predicted is not None else []
        return f"<{type(self).__name__} {', '.join(parts)}>"

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

    def set_mpp(self, mpp: float | None) -> None:
        """State the pixel size in microns per level-0 pixel.

        For a slide in a file it is remembered: the next time the slide is opened,
        this size goes before the file's.

        Parameters
        ----------
        mpp : float or None
            None forgets what was stated and takes the file's word again.

        Raises
        ------
        SlideError
            If the value is not a plausible pixel size, or cannot be remembered.
        """
        from napari_prts.slide.remembered import PixelSizeMemory

        slide = self._slide.as_stated() if mpp is None else self._slide.with_mpp(mpp)
        if slide.path is not None:
            memory = PixelSizeMemory()
            if mpp is None:
                memory.forget(slide.fingerprint)
            else:
                memory.remember(slide.fingerprint, mpp, slide.name)
        self._slide = slide
        self.slide_changed.emit()

    def _on_other_nuclei(self) -> None:
        self._clusters.clear()
        if self._measured is not None:
            self.set_measured(None)
        if self._predicted is not None:
            self.set_predicted(None)
        self.end_arriving()

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

    @property
    def model_folder(self) -> Path | None:
        """Where the model was loaded from; None if it was made in this session."""
        return self._model_folder

    @property
    def trained(self) -> TrainedHere | None:
        """How the model was trained, if that was in this session."""
        return self._trained

    def set_model(
        self, model: ModelBundle | Path | str | None, trained: TrainedHere | None = None
    ) -> None:
        """Set the PRTS model, from a bundle or from the folder that holds one.

        Parameters
        ----------
        model : ModelBundle or path or None
            The model; None for none.
        trained : TrainedHere, optional
            How it was made, if it was trained on this study.

        Raises
        ------
        ModelError
            If the folder holds no whole model.
        """
        folder = None
        if isinstance(model, str | Path):
            from napari_prts.expression import load_bundle

            folder = Path(model).absolute()
            model = load_bundle(model)
        self._model_folder = folder
        self._trained = trained
        self._model = model
        self.model_changed.emit()

    @property
    def predicted(self) -> AnnData | None:
        """Predicted expression per nucleus."""
        return self._predicted

    def set_predicted(self, predicted: AnnData | None) -> None:
        """Set the predicted expression; no more cells arrive then."""
        self._predicted = predicted
        self._clusters.pop("predicted", None)
        arriving, self._arriving = self._arriving, None
        self.predicted_changed.emit()
        if arriving is not None:
            self.arriving_changed.emit()

    @property
    def arriving(self) -> ArrivingCells | None:
        """The cells that a running prediction has found so far; None when none runs."""
        return self._arriving

    def begin_arriving(self, model: ModelBundle, nuclei: Nuclei) -> None:
        """Tell that a prediction begins; :meth:`set_predicted` or :meth:`end_arriving` ends it.

        Replacing all nuclei ends it too; corrections do not. Beginning anew with the same
        model, as after a correction, keeps the cells that had arrived.

        Parameters
        ----------
        model : ModelBundle
            The model that predicts.
        nuclei : Nuclei
            The nuclei that are predicted.
        """
        before = self._arriving
        if before is not None and before.model_hash == model.hash:
            self._arriving = before.onto(nuclei)
        else:
            self._arriving = ArrivingCells(model.genes, model.hash, model.trained_on, nuclei)
        self.arriving_changed.emit()

    def take_arrived(self, cells: PredictedCells) -> None:
        """Take a batch of cells that the running prediction has found.

        Raises
        ------
        ExpressionError
            If no cells are expected, or of other genes.
        NucleiError
            If a cell is none of the nuclei that are predicted.
        """
        if self._arriving is None:
            raise ExpressionError(
                f"{len(cells.ids):,} predicted cells arrived though none were expected: call "
                "begin_arriving() first, and none after the prediction or the nuclei changed."
            )
        self._arriving.add(cells)
        self.arrived.emit()

    def end_arriving(self) -> None:
        """Drop the cells that have arrived, as when a prediction was cancelled."""
        if self._arriving is not None:
            self._arriving = None
            self.arriving_changed.emit()

    @property
    def clusters(self) -> Mapping[str, AnnData]:
        """Clustered copies by what they were made from: ``"predicted"``, ``"measured"``."""
        return self._clusters

    def set_clusters(self, which: str, clustered: AnnData) -> None:
        """Set the clusters of the predicted or of the measured cells."""
        self.set_grouping({**self._clusters, which: clustered})

    def set_grouping(self, clusters: Mapping[str, AnnData]) -> None:
        """Set the clusters of all sides at once, by side; a side that is left out has none.

        Parameters
        ----------
        clusters : mapping of AnnData
            With the names in ``obs["leiden"]`` and a colour for each in
            ``uns["leiden_colors"]``; ``uns["leiden_hidden"]`` names those that are not painted.
        """
        self._clusters = dict(clusters)
        self.clusters_changed.emit()

    @property
    def chosen(self) -> NDArray[np.int64]:
        """Ids of the chosen cells, ascending: what was lassoed or drawn, in whichever plot."""
        return self._chosen

    def choose(self, ids: ArrayLike) -> None:
        """Choose cells, which then light up on the canvas and in every plot.

        Parameters
        ----------
        ids : array_like of int
            Ids of their nuclei, in any order; empty chooses none.
        """
        chosen = np.unique(np.asarray(ids, np.int64).ravel())
        if not np.array_equal(chosen, self._chosen):
            self._chosen = chosen
            self.chosen_changed.emit()

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
