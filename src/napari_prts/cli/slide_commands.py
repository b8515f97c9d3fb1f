"""Commands from pixels to simulated cells: info, segment, simulate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.inputs import (
    MppOption,
    NucleiOption,
    SeedOption,
    SlideArgument,
    open_slide,
    open_with_nuclei,
)
from napari_prts.cli.outputs import check_output_file, check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote

Region = tuple[float, float, float, float]


def info(slide: SlideArgument, mpp: MppOption = None) -> None:
    """Print what is known about a slide, and how good its picture is, as JSON."""
    from napari_prts.jobs import run
    from napari_prts.slide import slide_info
    from napari_prts.slide.quality import slide_quality_job

    opened = open_slide(slide, mpp)
    with progress_bar("Measuring quality") as report:
        quality = run(slide_quality_job(opened), report)
    known = {**slide_info(opened), "quality": quality.as_dict(regions=False)}
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in known.items())
    typer.echo("{\n" + ",\n".join(lines) + "\n}")


def read_region(text: str) -> Region:
    """Read ``ROW,COL,H,W`` in level-0 pixels."""
    try:
        row, column, height, width = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not ROW,COL,H,W: give four numbers in full-resolution pixels, "
            "for example 500,500,1024,1024"
        ) from None
    if not (height > 0 and width > 0):
        raise typer.BadParameter(f"{text!r} is empty: H and W must be above 0")
    return row, column, height, width


def segment(
    slide: SlideArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.geojson", help="Nuclei to write.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            help="he-open (comes with the package), 2D_versatile_he (downloaded once, "
            "BSD-3-Clause), or a file or folder with StarDist weights.",
        ),
    ] = "he-open",
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="ROW,COL,H,W",
            help="Only this part, in full-resolution pixels; the whole slide otherwise.",
        ),
    ] = None,
    mpp: MppOption = None,
) -> None:
    """Find the nuclei of a slide with StarDist.

    Writes GeoJSON, which QuPath reads too.
    """
    part = None if region is None else read_region(region)
    check_output_file(output, (".geojson", ".json"), [slide, Path(model)])

    from napari_prts.errors import NucleiError
    from napari_prts.jobs import run
    from napari_prts.nuclei import write_geojson
    from napari_prts.segmentation import SegmentRequest, provenance
    from napari_prts.segmentation import segment as segment_job

    watch = Stopwatch()
    opened = open_slide(slide, mpp)
    opened.require_mpp()
    request = SegmentRequest(model=model, region=part)
    with progress_bar("Finding nuclei") as report:
        nuclei = run(segment_job(opened, request), report)
    if not len(nuclei):
        where = "the region" if part else str(slide)
        raise NucleiError(
            f"No nuclei found in {where}, so nothing is written: try another --region or --model, "
            f"and check that {opened.mpp:g} um/px is right."
        )
    record = provenance(opened, request)
    write_geojson(nuclei, output, record)
    for warning in record.get("quality", {}).get("warnings", ()):
        note(warning)
    wrote(output, counted(len(nuclei), "nucleus", "nuclei"), watch)


def simulate(
    slide: SlideArgument,
    nuclei: NucleiOption,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder in Space Ranger's layout."),
    ],
    genes: Annotated[
        int, typer.Option("--genes", min=1, metavar="N", help="How many genes.")
    ] = 300,
    seed: SeedOption = 0,
    mpp: MppOption = None,
) -> None:
    """Write a simulated Visium HD section for a slide.

    It has the layout of Space Ranger's output, is driven by what the nuclei look
    like, says "simulated" wherever it shows, and keeps the true rates for scoring.
    """
    check_output_folder(output, "SIMULATED.json", [slide, nuclei])

    from napari_prts.jobs import run
    from napari_prts.visium_hd import simulate_job

    watch = Stopwatch()
    opened, found = open_with_nuclei(slide, nuclei, mpp)
    with progress_bar("Simulating Visium HD") as report:
        run(simulate_job(opened, found, output, genes=genes, seed=seed), report)
    cells = counted(len(found), "nucleus", "nuclei")
    wrote(output, f"simulated Visium HD, {cells}, {counted(genes, 'gene')}", watch)
