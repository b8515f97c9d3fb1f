"""Several measured sections for one model: shared genes, selected on all cells together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.jobs import Job, Progress, run
from napari_prts.visium_hd.marking import mark_genes
from napari_prts.visium_hd.request import MeasureRequest

if TYPE_CHECKING:
    from anndata import AnnData

_STEPS = 2


def prepare_sections(
    sections: Sequence[AnnData], request: MeasureRequest | None = None
) -> list[AnnData]:
    """Give several measured sections the same genes, with the same ones selected.

    Genes are shared if they have the same name in all sections and, where sections
    name them, the same identifier. The selection is that of one section
    (:func:`~napari_prts.visium_hd.measure`) on the cells of all, batch by batch where
    sections could be mistaken for kinds of cells: see
    :func:`~napari_prts.visium_hd.selection.select_genes`.

    Counts stay raw and each section's own. Filters were applied when the sections were
    measured and are not applied again.

    Parameters
    ----------
    sections : sequence of AnnData
        From :func:`~napari_prts.visium_hd.measure`: raw counts. They are not changed.
    request : MeasureRequest, optional
        How to select genes, and which to select in any case.

    Returns
    -------
    list of AnnData
        In the given order: the shared genes in the order of the first section,
        ``var["selected"]`` the same in all, ``uns["visium_hd"]["selection"]`` of all
        cells together, and ``uns["visium_hd"]["sections"]`` with the genes and cells of
        each section and how many genes are shared.

    Raises
    ------
    VisiumHDError
        If there are no sections, or they share no gene.
    """
    return run(prepare_sections_job(sections, request))


def prepare_sections_job(
    sections: Sequence[AnnData], request: MeasureRequest | None = None
) -> Job[list[AnnData]]:
    """Do the work of :func:`prepare_sections` as a job.

    Yields
    ------
    Progress
        In steps; the notes tell the counts of each.

    Returns
    -------
    list of AnnData
    """
    from anndata import AnnData

    if not sections:
        raise VisiumHDError("There are no sections to prepare: give one or more.")
    genes, told = _shared(sections)
    yield Progress(0, _STEPS, "steps", f"{len(genes):,} genes are in all {len(sections)} sections")
    prepared = [section[:, genes].copy() for section in sections]
    pooled = AnnData(
        sparse.vstack([sparse.csr_matrix(section.X) for section in prepared], format="csr"),
        var=prepared[0].var.copy(),
    )
    labels = np.repeat(np.arange(len(prepared)), [section.n_obs for section in prepared])
    yield Progress(1, _STEPS, "steps", f"selecting genes on {pooled.n_obs:,} cells")
    marked = mark_genes(pooled, request or MeasureRequest(), labels.astype(str))
    for section in prepared:
        marked.write_to(section)
        section.uns["visium_hd"]["sections"] = dict(told)
    yield Progress(_STEPS, _STEPS, "steps", marked.note)
    return prepared


def _shared(sections: Sequence[AnnData]) -> tuple[list[str], dict[str, Any]]:
    """Names of the genes in all sections, and what to tell about them."""
    for number, section in enumerate(sections, 1):
        if not section.var_names.is_unique:
            raise VisiumHDError(
                f"Section {number} of {len(sections)} names genes twice: measure it again."
            )
    first = sections[0]
    common = np.ones(first.n_vars, bool)
    for section in sections[1:]:
        common &= first.var_names.isin(section.var_names)
    named_alike = int(common.sum())
    common &= _same_identifier(sections, common)
    if not common.any():
        raise VisiumHDError(
            f"The {len(sections)} sections share no gene: the first has names such as "
            f"{', '.join(first.var_names[:3])}, the last {', '.join(sections[-1].var_names[:3])}. "
            "Train one model for one species and one reference."
        )
    return first.var_names[common].tolist(), {
        "sections": len(sections),
        "genes": np.array([section.n_vars for section in sections]),
        "cells": np.array([section.n_obs for section in sections]),
        "shared_genes": int(common.sum()),
        "same_name_other_identifier": named_alike - int(common.sum()),
    }


def _same_identifier(sections: Sequence[AnnData], common: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a gene of the first section has one identifier in all sections that have any."""
    first = sections[0]
    same = np.ones(first.n_vars, bool)
    if "gene_ids" not in first.var:
        return same
    names = first.var_names[common]
    ids = first.var["gene_ids"].to_numpy(str)[common]
    for section in sections[1:]:
        if "gene_ids" in section.var:
            others = section.var["gene_ids"].loc[names].to_numpy(str)
            same[common] &= ids == others
    return same
