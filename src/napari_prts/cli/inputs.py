"""Opening what a command reads: the slide, its pixel size, the nuclei."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_prts.cli.terminal import note, progress_bar

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

SLIDE_HELP = "H&E slide: SVS, NDPI, TIFF, OME-TIFF, OME-Zarr, DICOM, JPEG, PNG and more."

SlideArgument = Annotated[Path, typer.Argument(metavar="SLIDE", help=SLIDE_HELP)]
SlideOption = Annotated[Path, typer.Option("--slide", metavar="SLIDE", help=SLIDE_HELP)]
NucleiOption = Annotated[
    Path,
    typer.Option(
        "--nuclei",
        metavar="F",
        help="Nuclei: GeoJSON (this program's, QuPath's, Space Ranger's), GeoParquet, a table of "
        "WKT polygons, or labels.",
    ),
]
MppOption = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        metavar="F",
        help="Microns per pixel of the full-resolution slide; needed if the file has none.",
    ),
]


class Tiles(StrEnum):
    """What a vision transformer looks at for each nucleus."""

    EXACT = "exact"
    GRID = "grid"


class Device(StrEnum):
    """Where networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


TILES_HELP = (
    "A tile for each nucleus (exact), or tiles that nuclei share (grid): some ten times quicker, "
    "for encoders that are vision transformers."
)
TilesOption = Annotated[
    Tiles | None, typer.Option("--tiles", help=f"{TILES_HELP} By default as the model was trained.")
]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Where networks run; auto is the fastest there is.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")]


def open_slide(path: Path, mpp: float | None) -> Slide:
    """Open a slide; a large one without a pyramid gets one, with a progress bar.

    Raises
    ------
    SlideError
        If it cannot be opened.
    """
    from napari_prts.jobs import run
    from napari_prts.slide import open_slide_job

    with progress_bar("Preparing the slide") as report:
        return run(open_slide_job(path, mpp), report)


def open_with_nuclei(
    slide_path: Path, nuclei_path: Path, mpp: float | None
) -> tuple[Slide, Nuclei]:
    """Open a slide and the nuclei that were found on it.

    If neither the file nor the user says how large a pixel is, but the nuclei
    were found on this very slide with a pixel size that the user gave then,
    that one holds, and a note says so.

    Parameters
    ----------
    slide_path, nuclei_path : Path
        The files.
    mpp : float or None
        Microns per level-0 pixel as given by the user now.

    Raises
    ------
    SlideError
        If the slide cannot be opened.
    MissingPixelSizeError
        If its pixel size is known from nowhere.
    NucleiError
        If there are no nuclei, or they lie outside the slide.
    """
    slide = open_slide(slide_path, mpp)
    nuclei = read_with_notes(nuclei_path, slide.shape)
    slide = _with_earlier_mpp(slide, nuclei_path, provenance_of(nuclei_path))
    slide.require_mpp()
    return slide, nuclei


def read_with_notes(path: Path, slide_shape: tuple[int, int] | None) -> Nuclei:
    """Read nuclei and say what was repaired or left out on the way.

    Raises
    ------
    NucleiError
        If there are none that can be used, or they lie outside the slide.
    """
    from napari_prts.nuclei.formats.reading import read_nuclei_reported

    report = read_nuclei_reported(path, slide_shape)
    for sentence in report.sentences():
        note(f"{path.name}: {sentence}")
    return report.nuclei


def provenance_of(nuclei_path: Path) -> dict[str, Any]:
    """Read what a nuclei file says about its making; empty for files made elsewhere."""
    from napari_prts.nuclei.formats.reading import read_provenance

    return read_provenance(nuclei_path)


def _with_earlier_mpp(slide: Slide, nuclei_path: Path, provenance: dict[str, Any]) -> Slide:
    fingerprint = provenance.get("slide_fingerprint", provenance.get("slide"))
    earlier = provenance.get("slide_mpp")
    if fingerprint is None:
        return slide
    if fingerprint != slide.fingerprint:
        note(f"{nuclei_path} was made on another slide than {slide.path}; check that they belong.")
        return slide
    if not isinstance(earlier, int | float):
        return slide
    if slide.mpp is None:
        note(f"{earlier:g} um/px, as given when {nuclei_path.name} was made.")
        return slide.with_mpp(float(earlier), f"user (from {nuclei_path.name})")
    if abs(slide.mpp - earlier) > 1e-3 * earlier:
        note(
            f"{nuclei_path.name} was made at {earlier:g} um/px; now {slide.mpp:g} um/px holds "
            f"({slide.mpp_source}). Give --mpp if that is wrong."
        )
    return slide
