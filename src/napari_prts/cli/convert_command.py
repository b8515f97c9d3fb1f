"""The command that brings nuclei from one format into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.inputs import open_slide, provenance_of, read_with_notes
from napari_prts.cli.outputs import check_output_file, check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, wrote


def convert(
    nuclei: Annotated[
        Path,
        typer.Argument(
            metavar="NUCLEI",
            help="GeoJSON (QuPath's, Space Ranger's, this program's), GeoParquet, a table of WKT "
            "polygons, a label image (TIFF, zarr, PNG, npy) or Cellpose's _seg.npy.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="What to write, by its ending: .geojson, .parquet, .csv, or labels as .tif, "
            ".zarr or .npy.",
        ),
    ],
    slide: Annotated[
        Path | None,
        typer.Option(
            "--slide",
            metavar="SLIDE",
            help="Their slide: checks that nuclei lie on it, scales labels of another resolution; "
            "needed to write labels.",
        ),
    ] = None,
) -> None:
    """Bring nuclei from one format into another.

    What had to be repaired or left out, and what the new format cannot hold, is said.
    """
    from napari_prts.nuclei.formats.writing import ENDINGS, write_nuclei

    given = [nuclei, *([slide] if slide else [])]
    if output.suffix.lower() == ".zarr":
        check_output_folder(output, ".zgroup", given)
    else:
        check_output_file(output, ENDINGS, given)
    watch = Stopwatch()
    shape = None if slide is None else open_slide(slide, None).shape
    found = read_with_notes(nuclei, shape)
    for sentence in write_nuclei(found, output, provenance_of(nuclei), shape):
        note(f"{output.name}: {sentence}")
    wrote(output, counted(len(found), "nucleus", "nuclei"), watch)
