"""The command that gives several measured sections the same genes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.inputs import SeedOption
from napari_prts.cli.outputs import OutputError, check_output_file
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote


def prepare(
    measured: Annotated[
        list[Path],
        typer.Argument(metavar="MEASURED.h5ad...", help="Measured cells, one file a section."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder for the tables, each under its name."
        ),
    ],
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
        float, typer.Option("--resolution", min=0.01, help="Of the clusters that select genes.")
    ] = 0.6,
    seed: SeedOption = 0,
) -> None:
    """Select genes on several sections together, for one model.

    Keeps the genes that all sections share, and selects the same ones in each; train
    takes the written tables.
    """
    targets = [output / path.name for path in measured]
    if len(set(targets)) < len(targets):
        raise OutputError("Two sections have files of the same name: rename one of them.")
    for target in targets:
        check_output_file(target, (".h5ad",), measured)

    from napari_prts.h5ad import read_h5ad, write_h5ad
    from napari_prts.jobs import run
    from napari_prts.visium_hd import MeasureRequest, prepare_sections_job
    from napari_prts.visium_hd.gene_list import read_gene_list

    watch = Stopwatch()
    request = MeasureRequest(
        select_genes=not all_genes,
        resolution=resolution,
        seed=seed,
        force_genes=() if genes is None else read_gene_list(genes),
    )
    sections = [read_h5ad(path) for path in measured]
    with progress_bar("Selecting genes") as report:
        prepared = run(prepare_sections_job(sections, request), report)
    output.mkdir(parents=True, exist_ok=True)
    for target, section in zip(targets, prepared, strict=True):
        write_h5ad(section, target)
    note(prepared[0].uns["visium_hd"]["selection"]["note"])
    what = f"{counted(len(prepared), 'section')}, {counted(prepared[0].n_vars, 'shared gene')}"
    wrote(output, what, watch)
