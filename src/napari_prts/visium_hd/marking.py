"""Marking the genes to learn, with the counts of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd.request import MeasureRequest

if TYPE_CHECKING:
    from anndata import AnnData

_NAMED = 10


@dataclass(frozen=True, eq=False)
class Marked:
    """Which genes are selected, and why.

    Parameters
    ----------
    selected : (genes,) bool
    record : dict
        For ``uns["visium_hd"]["selection"]``: ``note``, ``clusters``, ``selected``,
        ``all_detected``; how many genes each step left in ``steps``; and the names that
        were asked for in ``forced``, ``forced_undetected`` and ``forced_unknown``.
    """

    selected: NDArray[np.bool_]
    record: dict[str, Any]

    @property
    def note(self) -> str:
        """One line for the user."""
        return str(self.record["note"])

    def write_to(self, table: AnnData) -> None:
        """Set ``var["selected"]`` and ``uns["visium_hd"]["selection"]`` of a table."""
        table.var["selected"] = self.selected
        said = dict(table.uns.get("visium_hd", {}))
        table.uns["visium_hd"] = {**said, "selection": dict(self.record)}


def mark_genes(
    cells: AnnData, request: MeasureRequest, sections: NDArray[Any] | None = None
) -> Marked:
    """Select the genes to learn, and those that are asked for by name.

    Parameters
    ----------
    cells : AnnData
        Raw counts; not changed.
    request : MeasureRequest
    sections : (cells,), optional
        The section of each cell, where they are of several.

    Raises
    ------
    VisiumHDError
        If genes are asked for, and not one of them is known.
    """
    from napari_prts.visium_hd.selection import select_genes

    detected = np.asarray(cells.X.sum(0)).ravel() > 0
    steps = {"genes": cells.n_vars, "detected": int(detected.sum())}
    if not request.select_genes:
        selected, clusters, reason = detected, 0, "selection was switched off"
    else:
        found = select_genes(cells, request.n_top, request.resolution, request.seed, sections)
        selected, clusters, reason = found.selected, found.clusters, found.reason
        steps |= {"highly_variable": found.highly_variable, "differing": int(selected.sum())}
    if reason:
        selected = detected
        note = f"all {int(detected.sum()):,} genes detected are kept: {reason}"
    else:
        note = f"{int(selected.sum()):,} genes differ between {clusters} clusters"
    forced, unknown = _asked_for(cells, request.force_genes)
    added = forced & detected & ~selected
    steps |= {"added_by_name": int(added.sum())}
    selected = selected | added
    record = {
        "note": note + _told(cells, forced & ~detected, int(added.sum()), unknown),
        "clusters": clusters,
        "selected": int(selected.sum()),
        "all_detected": bool(reason),
        "steps": steps,
        "forced": _names(cells, forced & detected),
        "forced_undetected": _names(cells, forced & ~detected),
        "forced_unknown": np.array(unknown, object),
    }
    return Marked(selected, record)


def _asked_for(cells: AnnData, names: Sequence[str]) -> tuple[NDArray[np.bool_], list[str]]:
    """Genes with one of these names or identifiers, and the names that no gene has."""
    known = cells.var_names.to_numpy(str)
    asked = np.isin(known, names)
    all_known = set(known.tolist())
    if "gene_ids" in cells.var:
        ids = cells.var["gene_ids"].to_numpy(str)
        asked |= np.isin(ids, names)
        all_known.update(ids.tolist())
    unknown = [name for name in dict.fromkeys(names) if name not in all_known]
    if names and not asked.any():
        raise VisiumHDError(
            f"None of the {len(names):,} genes asked for is known: {_listed(unknown)}. The section "
            f"has names such as {_listed(known[:3].tolist())}; check the spelling and the species."
        )
    return asked, unknown


def _names(cells: AnnData, which: NDArray[np.bool_]) -> NDArray[np.object_]:
    # Text of variable length is what .h5ad files can hold.
    names: NDArray[np.object_] = cells.var_names[which].to_numpy(object)
    return names


def _told(cells: AnnData, undetected: NDArray[np.bool_], added: int, unknown: Sequence[str]) -> str:
    told = f"; {added:,} more were asked for by name" if added else ""
    if undetected.any():
        told += f"; asked for but never detected: {_listed(_names(cells, undetected).tolist())}"
    if unknown:
        told += f"; asked for but unknown: {_listed(unknown)}"
    return told


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
