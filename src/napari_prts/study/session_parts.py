"""The parts of a session file: what each is called, how it is written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.errors import PrtsError
from napari_prts.nuclei import Nuclei

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.features import FeatureStore
    from napari_prts.slide import Slide
    from napari_prts.study.study import Study

TABLES = ("measured", "predicted")
_CLUSTERS = "clusters-"


@dataclass(frozen=True, eq=False)
class SessionParts:
    """All of a study that a session keeps, as it was at one moment.

    Parameters
    ----------
    slide : Slide
        The slide; only its place is saved.
    nuclei : Nuclei
        The nuclei.
    provenance : mapping
        Where the nuclei come from.
    measured, predicted : AnnData or None
        Expression.
    model : ModelBundle or None
        The model.
    clusters : mapping of str to AnnData
        Clustered copies of the tables, by side.
    chosen : sequence of int
        Ids of the chosen cells.
    view : mapping
        What is on screen, in values that JSON holds; this room does not look into it.
    """

    slide: Slide
    nuclei: Nuclei = field(default_factory=Nuclei.empty)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    measured: AnnData | None = None
    predicted: AnnData | None = None
    model: ModelBundle | None = None
    clusters: Mapping[str, AnnData] = field(default_factory=dict)
    chosen: Sequence[int] = ()
    view: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, view: Mapping[str, Any] | None = None) -> SessionParts:
        """Take what a study holds now; what is changed in it later is not saved.

        Parameters
        ----------
        study : Study
            The study.
        view : mapping, optional
            What is on screen.
        """
        return cls(
            slide=study.slide,
            nuclei=study.nuclei,
            provenance=study.nuclei_provenance,
            measured=study.measured,
            predicted=study.predicted,
            model=study.model,
            clusters=dict(study.clusters),
            chosen=study.chosen.tolist(),
            view=dict(view or {}),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What there is to write, in an order in which it can be read."""
        return (
            *(("nuclei",) if len(self.nuclei) else ()),
            *(name for name in TABLES if getattr(self, name) is not None),
            *(("model",) if self.model is not None else ()),
            *(f"{_CLUSTERS}{side}" for side in self.clusters),
        )

    def study(self, store: FeatureStore | None = None) -> Study:
        """Make a study of it.

        Parameters
        ----------
        store : FeatureStore, optional
            Where features are kept; the user's cache by default.
        """
        from napari_prts.study.study import Study

        study = Study(self.slide, store)
        if len(self.nuclei):
            study.load_nuclei(self.nuclei, self.provenance)
        if self.measured is not None:
            study.set_measured(self.measured)
        if self.model is not None:
            study.set_model(self.model)
        if self.predicted is not None:
            study.set_predicted(self.predicted)
        if self.clusters:
            study.set_grouping(self.clusters)
        study.choose(self.chosen)
        return study


def write_part(parts: SessionParts, name: str, folder: Path) -> Path:
    """Write one part into a folder.

    Parameters
    ----------
    parts : SessionParts
        The session.
    name : str
        One of its :attr:`~SessionParts.names`.
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The file, or the folder of files.
    """
    from napari_prts.h5ad import write_h5ad
    from napari_prts.nuclei import write_geojson

    if name == "nuclei":
        path = folder / "nuclei.geojson"
        write_geojson(parts.nuclei, path, parts.provenance)
        return path
    if name == "model":
        assert parts.model is not None
        return parts.model.save(folder / "model")
    if name in TABLES:
        return write_h5ad(getattr(parts, name), folder / f"{name}.h5ad")
    side = name.removeprefix(_CLUSTERS)
    return write_h5ad(
        _without_expression(parts.clusters[side], getattr(parts, side)), folder / f"{name}.h5ad"
    )


def read_part(name: str, folder: Path, slide: Slide, known: Mapping[str, Any]) -> dict[str, Any]:
    """Read one part back.

    Parameters
    ----------
    name : str
        Which.
    folder : Path
        Where :func:`write_part` wrote it.
    slide : Slide
        The slide that it belongs to.
    known : mapping
        What was read before.

    Returns
    -------
    dict
        Fields of :class:`SessionParts`.

    Raises
    ------
    PrtsError
        If it does not fit what was read before, or cannot be read.
    """
    from napari_prts.expression import load_bundle
    from napari_prts.h5ad import read_h5ad
    from napari_prts.nuclei import read_geojson
    from napari_prts.nuclei.formats.geojson import read_provenance

    if name == "nuclei":
        path = folder / "nuclei.geojson"
        return {"nuclei": read_geojson(path, slide.shape), "provenance": read_provenance(path)}
    if name == "model":
        return {"model": load_bundle(folder / "model")}
    if name in TABLES:
        return {name: read_h5ad(folder / f"{name}.h5ad")}
    side = name.removeprefix(_CLUSTERS)
    clustered = _with_expression(_read_clusters(folder / f"{name}.h5ad"), known.get(side), side)
    return {"clusters": {**known.get("clusters", {}), side: clustered}}


def _without_expression(clustered: AnnData, table: AnnData | None) -> AnnData:
    """What clustering added to a table: the expression is in the file once already."""
    import anndata

    if table is None or not _same_cells(clustered, table):
        raise PrtsError(
            "The clusters are not of the cells that are open now, so they cannot be saved with "
            "them: find the clusters again."
        )
    return anndata.AnnData(
        obs=clustered.obs.copy(), obsm=dict(clustered.obsm), uns=dict(clustered.uns)
    )


def _read_clusters(path: Path) -> AnnData:
    import anndata

    try:
        return anndata.read_h5ad(path)
    # What anndata and h5py raise for a damaged file depends on where it breaks.
    except Exception as error:
        raise PrtsError(
            f"The session's {path.stem} cannot be read: it is damaged. Use a copy."
        ) from error


def _with_expression(found: AnnData, table: AnnData | None, side: str) -> AnnData:
    if table is None or not _same_cells(found, table):
        raise PrtsError(
            f"The session's clusters are not those of its {side} cells: it is damaged. Use a copy."
        )
    from napari_prts.study.group_tables import sharing

    clustered = sharing(table)
    clustered.obs = found.obs
    clustered.obsm.update(found.obsm)
    clustered.uns.update(found.uns)
    return clustered


def _same_cells(one: AnnData, other: AnnData) -> bool:
    return bool(np.array_equal(one.obs["id"].to_numpy(), other.obs["id"].to_numpy()))
