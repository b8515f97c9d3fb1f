"""Commands that show a saved study to others: open, figure, export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.cli.inputs import MppOption
from napari_prts.cli.outputs import check_output_file, check_output_folder
from napari_prts.cli.slide_commands import read_region
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote
from napari_prts.errors import ExpressionError, PrtsError

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.viewer.painted_side import Painting

_SESSION = "A session file (.prts) that the window saved, or a study's folder."
StudyArgument = Annotated[Path, typer.Argument(metavar="SESSION", help=_SESSION)]
SlideNowOption = Annotated[
    Path | None,
    typer.Option("--slide", metavar="SLIDE", help="Where the slide is now, if it was moved."),
]


class Mode(StrEnum):
    """How two sides are drawn."""

    BESIDE = "beside"
    ONE = "one"
    DIFFERENCE = "difference"


class Which(StrEnum):
    """Which cells."""

    PREDICTED = "predicted"
    MEASURED = "measured"


def figure(
    session: StudyArgument,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT", help="Ends in .png, .svg or .pdf."),
    ],
    gene: Annotated[
        str | None,
        typer.Option("--gene", metavar="GENE", help="The gene; the H&E alone without one."),
    ] = None,
    clusters: Annotated[bool, typer.Option("--clusters", help="The clusters.")] = False,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="ROW,COL,H,W",
            help="Only this part, in full-resolution pixels; the whole slide otherwise.",
        ),
    ] = None,
    mode: Annotated[Mode, typer.Option("--mode", help="How two sides are drawn.")] = Mode.BESIDE,
    width: Annotated[
        float, typer.Option("--width", min=20, max=1000, metavar="MM", help="Width on paper.")
    ] = 180.0,
    dpi: Annotated[
        int, typer.Option("--dpi", min=30, max=1200, metavar="N", help="Pixels per inch.")
    ] = 300,
    outlines: Annotated[bool, typer.Option("--outlines", help="Draw the nuclei too.")] = False,
    slide: SlideNowOption = None,
) -> None:
    """Draw a gene, predicted beside measured, as a figure for paper.

    With scale bar, colour bar, "predicted" or "measured" or "simulated" on each side, and
    where it comes from.
    """
    from napari.components import ViewerModel

    from napari_prts.jobs import run
    from napari_prts.viewer import StudyView
    from napari_prts.viewer.figure import ENDINGS, figure_of, write_figure

    part = None if region is None else read_region(region)
    check_output_file(output, ENDINGS, [session, *([slide] if slide else [])])
    if gene is not None and clusters:
        raise typer.BadParameter("give --gene or --clusters, not both")
    watch = Stopwatch()
    study = _study(session, slide)
    # A viewer without a window paints as one with a window does.
    view = StudyView(ViewerModel(), study, note)
    painting = _painting(study, gene, clusters, mode)
    if painting is not None:
        view.expression.paint(painting)
    rows, columns = study.slide.shape
    request = figure_of(
        study,
        view.expression,
        part or (0.0, 0.0, float(rows), float(columns)),
        outlines=outlines,
        width_mm=width,
        dpi=dpi,
    )
    with progress_bar("Drawing") as report:
        run(write_figure(request, output), report)
    wrote(output, request.title, watch)


def export(
    session: StudyArgument,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="By its ending: .h5ad for squidpy, scanpy and CELLxGENE; .zarr for SpatialData.",
        ),
    ],
    which: Annotated[
        Which, typer.Option("--which", help="Which cells an .h5ad holds.")
    ] = Which.PREDICTED,
    slide: SlideNowOption = None,
) -> None:
    """Write a study's cells for other tools."""
    from napari_prts.h5ad import write_h5ad
    from napari_prts.jobs import run
    from napari_prts.study.other_tools import for_other_tools, kind_of
    from napari_prts.study.session_parts import SessionParts
    from napari_prts.study.spatialdata_export import require_spatialdata, write_spatialdata

    given = [session, *([slide] if slide else [])]
    whole = output.suffix.lower() == ".zarr"
    if whole:
        require_spatialdata()
        check_output_folder(output, "zarr.json", given)
    else:
        check_output_file(output, (".h5ad", ".zarr"), given)
    watch = Stopwatch()
    study = _study(session, slide)
    if whole:
        with progress_bar("Writing SpatialData") as report:
            run(write_spatialdata(SessionParts.of(study), output), report)
        wrote(output, f"slide, {counted(len(study.nuclei), 'nucleus', 'nuclei')}, tables", watch)
        return
    table = study.expression(which)
    write_h5ad(for_other_tools(table, study.slide, study.clusters.get(which)), output)
    said = f"{counted(table.n_obs, 'cell')}, {counted(table.n_vars, 'gene')}, {kind_of(table)}"
    wrote(output, said, watch)


def open_window(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A slide, a session file (.prts), or a study's folder."
        ),
    ],
    mpp: MppOption = None,
) -> None:
    """Open a slide, a session or a study's folder in napari."""
    from napari_prts.demo import has_screen

    if not file.exists():
        raise PrtsError(f"{file} does not exist: give a slide or a session file.")
    if not has_screen():
        raise PrtsError("There is no screen to open a window on: use the other commands.")
    import napari

    from napari_prts.widgets import open_workspace

    viewer = napari.Viewer()
    workspace = open_workspace(viewer)
    saved = file / "study.json"
    if mpp is not None and (file.suffix.lower() == ".prts" or saved.is_file()):
        note("the pixel size of a session is the session's own: --mpp is not used.")
    if file.suffix.lower() == ".prts":
        workspace.save.sessions.open(file)
    elif saved.is_file():
        workspace.save.sessions.open_folder(file)
    else:
        workspace.session.open(file, mpp)
    napari.run()


def _study(session: Path, slide: Path | None) -> Study:
    from napari_prts.study import open_study
    from napari_prts.study.session_file import open_session_study

    if session.is_dir():
        return open_study(session, slide)
    return open_session_study(session, slide)


def _painting(study: Study, gene: str | None, clusters: bool, mode: Mode) -> Painting | None:
    """What is to be painted; None for the H&E alone."""
    from napari_prts.viewer.painted_side import Painting

    if clusters and not study.clusters:
        raise ExpressionError("The study has no clusters: find them in the window, and save again.")
    if gene is not None:
        _check_gene(study, gene)
    return Painting(gene=gene, mode=mode.value) if gene is not None or clusters else None


def _check_gene(study: Study, gene: str) -> None:
    """Refuse a gene that no cells have, and name those that are like it."""
    tables = [table for table in (study.predicted, study.measured) if table is not None]
    if not tables:
        raise ExpressionError(
            "The study has no expression, so no gene can be drawn: predict first."
        )
    if not any(gene in table.var_names for table in tables):
        from napari_prts.analysis import GeneSearch

        names = dict.fromkeys(str(name) for table in tables for name in table.var_names)
        known = GeneSearch.of(list(names))
        alike = ", ".join(hit.gene for hit in known.find(gene, 3))
        raise ExpressionError(
            f"No cells have the gene {gene}: {f'did you mean {alike}?' if alike else 'choose one.'}"
        )
