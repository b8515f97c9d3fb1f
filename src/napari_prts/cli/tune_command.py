"""The command that lets a nucleus model learn from corrected regions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from napari_prts.cli.inputs import (
    MppOption,
    NucleiOption,
    SeedOption,
    SlideArgument,
    open_with_nuclei,
)
from napari_prts.cli.slide_commands import read_region
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote


class Frozen(StrEnum):
    """What keeps the base model's weights."""

    ENCODER = "encoder"
    NONE = "none"


def tune(
    slide: SlideArgument,
    nuclei: NucleiOption,
    region: Annotated[
        list[str],
        typer.Option(
            "--region",
            metavar="ROW,COL,H,W",
            help="Where every nucleus is right and none is missing, in full-resolution pixels; "
            "give it again for more regions.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the new model, for --model.")
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="Model to begin with.")
    ] = "he-open",
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.05, max=1440, help="About how long to train.")
    ] = 5.0,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            metavar="N",
            help="Train for so many steps, however long it takes: the same again each time.",
        ),
    ] = None,
    frozen: Annotated[
        Frozen | None, typer.Option("--frozen", help="What keeps its weights.")
    ] = None,
    seed: SeedOption = 0,
    mpp: MppOption = None,
) -> None:
    """Improve a nucleus model on regions whose nuclei are right.

    The model is kept under its name; segment --model NAME uses it.
    """
    from napari_prts.jobs import run
    from napari_prts.segmentation.fine_tuning import FineTuneRequest, fine_tune
    from napari_prts.segmentation.user_models import check_new_name

    regions = tuple(read_region(text) for text in region)
    check_new_name(name)
    watch = Stopwatch()
    opened, found = open_with_nuclei(slide, nuclei, mpp)
    request = FineTuneRequest(
        name=name,
        regions=regions,
        base=model,
        frozen=FineTuneRequest.frozen if frozen is None else frozen.value,
        minutes=minutes if steps is None else None,
        steps=FineTuneRequest.steps if steps is None else steps,
        seed=seed,
    )
    with progress_bar("Improving the model") as report:
        tuned = run(fine_tune(opened, found, request), report)
    note(tuned.words)
    learned = tuned.model.card["training"]["nuclei"]
    wrote(tuned.folder, f"model from {counted(learned, 'nucleus', 'nuclei')}", watch)
