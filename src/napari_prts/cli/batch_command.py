"""The command for many slides at once: batch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.cli.consent import AcceptLicenceOption, fetch_encoder
from napari_prts.cli.inputs import Device, DeviceOption, MppOption, TilesOption
from napari_prts.cli.outputs import check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, wrote

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_prts.cohort import BatchRequest, BatchSettings, SlideEntry, SlideOutcome
    from napari_prts.cohort.place import Place
    from napari_prts.jobs import Progress

SOME_FAILED = 1


class NucleiFormat(StrEnum):
    """How the nuclei of each slide are written."""

    GEOJSON = "geojson"
    PARQUET = "parquet"


def batch(
    slides: Annotated[
        list[str],
        typer.Argument(
            metavar="SLIDES...",
            help="Slides, folders of slides, patterns ('scans/**/*.svs'), or CSV files with a "
            "column slide and, where wanted, name, mpp, nuclei, measured.",
        ),
    ],
    model: Annotated[
        Path, typer.Option("--model", metavar="MODEL", help="Model folder that train wrote.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder with one folder a slide."),
    ],
    segmenter: Annotated[
        str,
        typer.Option(
            "--segmenter", metavar="NAME|PATH", help="StarDist model, as for segment --model."
        ),
    ] = "he-open",
    mpp: MppOption = None,
    clusters: Annotated[
        bool, typer.Option("--clusters/--no-clusters", help="Group the cells of each slide.")
    ] = True,
    resolution: Annotated[
        float,
        typer.Option("--resolution", metavar="F", help="Higher gives more Leiden clusters."),
    ] = 0.6,
    umap: Annotated[
        bool, typer.Option("--umap/--no-umap", help="Lay the cells out in two dimensions too.")
    ] = True,
    nuclei_format: Annotated[
        NucleiFormat, typer.Option("--nuclei-format", help="How nuclei are written.")
    ] = NucleiFormat.GEOJSON,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            help="Slides done at once, by default 1; each needs its own memory.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Do the slides on the workers of this dask.distributed scheduler "
            "(tcp://host:8786, or its scheduler file) instead.",
        ),
    ] = None,
    tiles: TilesOption = None,
    device: DeviceOption = Device.AUTO,
    accept_licence: AcceptLicenceOption = False,
) -> None:
    """Segment, predict, cluster and report many slides.

    A slide that fails stops no other; status 1 says that some did, summary.csv which. Run
    again, only what is not done from the same inputs is done.
    """
    if jobs is not None and scheduler is not None:
        raise typer.BadParameter("Give either --jobs or --scheduler, whose workers are counted")
    from napari_prts.cohort import BatchSettings, list_slides

    listing = list_slides(slides, output, mpp)
    sources = [Path(entry.path) for entry in listing.slides]
    _check_output(output, [*sources, model])
    for sentence in listing.notes:
        note(sentence)
    given = BatchSettings(
        str(model),
        segmenter=segmenter,
        clusters=clusters,
        resolution=resolution,
        umap=umap,
        nuclei_ending=f".{nuclei_format.value}",
        device=device.value,
        tiles=tiles and tiles.value,
        accept_licence=accept_licence,
    )
    watch = Stopwatch()
    request = _request(listing.slides, given, output)
    outcomes = _run(request, _place(request, jobs, scheduler))
    nuclei = counted(sum(outcome.nuclei or 0 for outcome in outcomes), "nucleus", "nuclei")
    done = sum(outcome.done for outcome in outcomes)
    wrote(output, f"{done:,} of {counted(len(outcomes), 'slide')}, {nuclei}", watch)
    if done < len(outcomes):
        raise typer.Exit(SOME_FAILED)


def _check_output(output: Path, inputs: list[Path]) -> None:
    from napari_prts.cohort.lock import HOLDER_FILE

    check_output_folder(output, HOLDER_FILE, inputs)


def _request(slides: tuple[SlideEntry, ...], given: BatchSettings, output: Path) -> BatchRequest:
    """Settle all that can be wrong for every slide, before the first begins."""
    from napari_prts.cohort import BatchRequest
    from napari_prts.cohort.request import resolved
    from napari_prts.expression import load_bundle

    settings = resolved(given)
    fetch_encoder(load_bundle(settings.model).encoder, given.accept_licence)
    return BatchRequest(slides, settings, output.absolute())


def _place(request: BatchRequest, jobs: int | None, scheduler: str | None) -> Callable[[], Place]:
    from napari_prts.cohort import ClusterPlace, LocalPlace

    if scheduler is None:
        return lambda: LocalPlace(jobs or 1)
    return lambda: ClusterPlace(scheduler, Path(request.settings.model), request.output)


def _run(request: BatchRequest, make_place: Callable[[], Place]) -> tuple[SlideOutcome, ...]:
    from napari_prts.cli.batch_display import batch_display
    from napari_prts.cohort import run_batch
    from napari_prts.jobs import run

    ended = 0
    try:
        with batch_display() as show:

            def report(progress: Progress) -> None:
                nonlocal ended
                ended = progress.done
                show(progress)

            return run(run_batch(request, make_place), report)
    except (KeyboardInterrupt, SystemExit):
        kept = f"{ended} of {counted(len(request.slides), 'slide')}"
        note(f"{kept} had ended and are kept in {request.output}; the same command goes on.")
        raise
