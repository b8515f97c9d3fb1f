"""The command that makes measured cells of a Visium HD section."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.cli.inputs import (
    SLIDE_HELP,
    MppOption,
    SeedOption,
    open_slide,
    open_with_nuclei,
)
from napari_prts.cli.outputs import check_output_file
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.visium_hd import MeasureRequest


class Outlines(StrEnum):
    """What Space Ranger's cells are outlined by."""

    NUCLEUS = "nucleus"
    CELL = "cell"


def measure(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Space Ranger's run, outs, binned_outputs or square_002um folder.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.h5ad", help="Measured cells to write.")
    ],
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slide",
            metavar="SLIDE",
            help=f"{SLIDE_HELP} Needed unless the run tells where it is.",
        ),
    ] = None,
    nuclei: Annotated[
        Path | None,
        typer.Option(
            "--nuclei",
            metavar="F",
            help="Nuclei to sum the 2 um bins in: GeoJSON (this program's, QuPath's, Space "
            "Ranger's), GeoParquet, a table of WKT polygons, or labels.",
        ),
    ] = None,
    segmented: Annotated[
        Outlines | None,
        typer.Option(
            "--segmented",
            help="Instead of --nuclei: the cells that Space Ranger 4 measured, with the outlines "
            "of their nuclei or cells.",
        ),
    ] = None,
    grow_um: Annotated[
        float,
        typer.Option(
            "--grow-um",
            min=0,
            metavar="F",
            help="Let nuclei take bins so far beyond their outlines, without overlap.",
        ),
    ] = 0.0,
    max_area_um2: Annotated[
        float, typer.Option("--max-area-um2", min=0, help="Nuclei must be smaller.")
    ] = 500.0,
    min_umi: Annotated[
        int, typer.Option("--min-umi", min=0, help="Cells must have more UMI.")
    ] = 20,
    max_mito: Annotated[
        float,
        typer.Option("--max-mito", min=0, max=1, help="Largest share of mitochondrial UMI."),
    ] = 0.15,
    genes: Annotated[
        Path | None,
        typer.Option(
            "--genes", metavar="FILE", help="Genes to select in any case, one name a line."
        ),
    ] = None,
    all_genes: Annotated[
        bool, typer.Option("--all-genes", help="Select every gene that was detected.")
    ] = False,
    resolution: Annotated[
        float,
        typer.Option("--resolution", min=0.01, help="Of the clusters that select genes."),
    ] = 0.6,
    seed: SeedOption = 0,
    mpp: MppOption = None,
) -> None:
    """Sum the 2 um bins of a Visium HD section into nuclei.

    Filters and selects genes as the paper does, unless told otherwise.
    """
    if (nuclei is None) == (segmented is None):
        raise typer.BadParameter("Give either --nuclei or --segmented")
    inputs = [path for path in (folder, slide, nuclei, genes) if path is not None]
    check_output_file(output, (".h5ad",), inputs)

    from napari_prts.h5ad import write_h5ad
    from napari_prts.visium_hd import MeasureRequest
    from napari_prts.visium_hd.gene_list import read_gene_list
    from napari_prts.visium_hd.request import PAPER_MPP

    watch = Stopwatch()
    request = MeasureRequest(
        max_area_px=max_area_um2 / PAPER_MPP**2,
        min_umi=min_umi,
        max_mito=max_mito,
        select_genes=not all_genes,
        resolution=resolution,
        seed=seed,
        grow_um=grow_um,
        force_genes=() if genes is None else read_gene_list(genes),
    )
    if nuclei is not None:
        measured, found = _summed(folder, nuclei, slide, mpp, request)
    else:
        outlines = segmented or Outlines.NUCLEUS
        measured, found = _segmented(folder, outlines, slide, mpp, request)
    write_h5ad(measured, output)
    selection = measured.uns["visium_hd"]["selection"]
    if len(selection["forced_unknown"]) or len(selection["forced_undetected"]):
        note(selection["note"])
    kind = "simulated " if measured.uns["visium_hd"]["simulated"] else ""
    cells = counted(measured.n_obs, f"{kind}cell")
    wrote(output, f"{cells} of {found}, {counted(measured.n_vars, 'gene')}", watch)


def _summed(
    folder: Path, nuclei: Path, slide: Path | None, mpp: float | None, request: MeasureRequest
) -> tuple[AnnData, str]:
    from napari_prts.jobs import run
    from napari_prts.visium_hd import measure as measure_job
    from napari_prts.visium_hd import read_space_ranger

    section = read_space_ranger(folder)
    opened, found = open_with_nuclei(_slide_of(folder, slide), nuclei, mpp)
    with progress_bar("Summing bins") as report:
        measured = run(measure_job(opened, found, section, request), report)
    return measured, counted(len(found), "nucleus", "nuclei")


def _segmented(
    folder: Path,
    outlines: Outlines,
    slide: Path | None,
    mpp: float | None,
    request: MeasureRequest,
) -> tuple[AnnData, str]:
    from napari_prts.jobs import run
    from napari_prts.visium_hd import measure_segmented, read_segmented

    section = read_segmented(folder, outlines.value)
    for sentence in section.notes:
        note(sentence)
    opened = open_slide(_slide_of(folder, slide), mpp)
    with progress_bar("Filtering cells") as report:
        measured = run(measure_segmented(opened, section, request), report)
    return measured, counted(len(section), "cell")


def _slide_of(folder: Path, slide: Path | None) -> Path:
    """Take the given slide, or find the one that the run was made from and say so."""
    from napari_prts.errors import VisiumHDError
    from napari_prts.visium_hd import find_slide

    if slide is not None:
        return slide
    found: Path | None = find_slide(folder)
    if found is None:
        raise VisiumHDError(
            f"{folder} does not tell which image it was made from, or that image is not there: "
            "give it by --slide."
        )
    note(f"slide {found}, as the run says.")
    return found
