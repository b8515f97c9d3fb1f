"""Measured expression of the cells that Space Ranger 4 found and measured itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_prts.errors import VisiumHDError
from napari_prts.jobs import Job, Progress
from napari_prts.slide import Slide
from napari_prts.visium_hd.belonging import check_on_slide, check_scale
from napari_prts.visium_hd.cells import table_of
from napari_prts.visium_hd.marking import mark_genes
from napari_prts.visium_hd.request import MeasureRequest
from napari_prts.visium_hd.segmented import SegmentedSection

if TYPE_CHECKING:
    from anndata import AnnData

_STEPS = 2


def measure_segmented(
    slide: Slide, section: SegmentedSection, request: MeasureRequest | None = None
) -> Job[AnnData]:
    """Filter the cells that Space Ranger measured, and select genes.

    Parameters
    ----------
    slide : Slide
        The full-resolution image that Space Ranger was given.
    section : SegmentedSection
        From :func:`~napari_prts.visium_hd.read_segmented`.
    request : MeasureRequest, optional
        The paper's values by default. The area is that of the outlines that were read;
        nuclei cannot be grown here.

    Yields
    ------
    Progress
        In steps; the notes tell the counts of each.

    Returns
    -------
    AnnData
        As :func:`~napari_prts.visium_hd.measure` returns it, without what it tells
        about bins; ``uns["visium_hd"]["cells_by"]`` is ``"Space Ranger"``.

    Raises
    ------
    VisiumHDError
        If the section belongs to another slide, no cell passes the filters, no gene
        asked for is known, or nuclei are to be grown.
    """
    request = request or MeasureRequest()
    if request.grow_um:
        raise VisiumHDError(
            "Cells of Space Ranger cannot be grown, they are grown already: measure its nuclei "
            "with the 2 um bins instead."
        )
    mpp = check_scale(slide, section.mpp, section.path)
    nuclei = section.nuclei.take(section.nuclei.positions_of(section.ids))
    check_on_slide(slide, nuclei.centroids, section.path, "cells")
    yield Progress(0, _STEPS, "steps", f"{len(section):,} cells of Space Ranger")
    measured, keep = table_of(section.counts, nuclei, section.genes, section.gene_ids, mpp, request)
    measured.uns["visium_hd"] |= _provenance(slide, section)
    yield Progress(1, _STEPS, "steps", f"{len(keep):,} cells pass; selecting genes")
    marked = mark_genes(measured, request)
    marked.write_to(measured)
    yield Progress(_STEPS, _STEPS, "steps", marked.note)
    return measured


def _provenance(slide: Slide, section: SegmentedSection) -> dict[str, Any]:
    return {
        "path": str(section.path),
        "kind": "measured",
        "simulated": False,
        "slide_fingerprint": slide.fingerprint,
        "slide_mpp": slide.require_mpp(),
        "mpp": section.mpp,
        "cells_by": "Space Ranger",
        "outlines": section.outlines,
        "cells_without_outline": section.without_outline,
    }
