"""StudyState: one open slide with everything known about it, and its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_prts.errors import ExpressionError
from napari_prts.nuclei import History, Nuclei, Source

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.expression import ModelBundle
    from napari_prts.features import FeatureStore
    from napari_prts.slide import Slide

Region = tuple[float, float, float, float]


class StudyState:
    """The state of one open slide; the only mutable thing that crosses rooms.

    Every setter emits a psygnal event, so that a window can follow it.

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

        Measured and predicted tables and clusters are dropped: their rows belong
        to other nuclei, even where an id is the same.

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
        self._drop_tables()
        self.nuclei_changed.emit()

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

    def _drop_tables(self) -> None:
        self._clusters.clear()
        if self._measured is not None:
            self.set_measured(None)
        if self._predicted is not None:
            self.set_predicted(None)

    def edit(
        self,
        *,
        removed: Iterable[int] = (),
        added: Iterable[NDArray[np.floating]] = (),
        replaced: Mapping[int, NDArray[np.floating]] | None = None,
        label: str = "edit",
        source: Source = Source.MANUAL,
    ) -> list[int]:
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

        Returns
        -------
        list of int
            Ids of the added nuclei.

        Raises
        ------
        NucleiError
            If an id does not exist or an outline is no polygon.
        """
        new = self._history.edit(removed, list(added), replaced, label, source)
        self.nuclei_changed.emit()
        return [int(id_) for id_ in new]

    def undo(self) -> str | None:
        """Take back the last correction; return its name, or None if there is none."""
        label: str | None = self._history.undo()
        if label is not None:
            self.nuclei_changed.emit()
        return label

    def redo(self) -> str | None:
        """Do the last undone correction again; return its name, or None if there is none."""
        label: str | None = self._history.redo()
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
