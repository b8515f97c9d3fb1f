"""Commands about this machine: demo and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.outputs import OutputError
from napari_prts.cli.terminal import Stopwatch, step_bars, wrote
from napari_prts.jobs import Progress


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results.")
    ] = Path("demo-output"),
    headless: Annotated[
        bool, typer.Option("--headless", help="Take the screenshot and end; open no window.")
    ] = False,
) -> None:
    """Do the main job on the slide that comes with it.

    Finds nuclei, simulates Visium HD, trains and predicts. With a screen, napari
    opens with everything in place; without one, a virtual screen is used. The
    folder gets nuclei.geojson, measured.h5ad, model/, predicted.h5ad, report.json
    and screenshot.png.
    """
    from napari_prts.demo import run_demo

    if output.exists() and not output.is_dir():
        raise OutputError(f"The output {output} is a file: name a folder.")
    watch = Stopwatch()
    with step_bars() as show:

        def report(step: str, progress: Progress | None) -> None:
            if progress is None:
                typer.echo(f"{step} ...")
            show(step, progress)

        folder = run_demo(output, headless=headless, report=report)
    wrote(folder, "nuclei, model, predicted and simulated cells, report, screenshot", watch)


def doctor() -> None:
    """Say what is installed: versions, device, weights."""
    from napari_prts.cli.checkup import findings

    for title, lines in findings():
        typer.echo(title)
        for line in lines:
            typer.echo(f"  {line}")
