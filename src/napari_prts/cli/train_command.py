"""The command that trains a PRTS model, and compares what its parts bring."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.cli.consent import AcceptLicenceOption, fetch_encoder
from napari_prts.cli.inputs import (
    SLIDE_HELP,
    TILES_HELP,
    Device,
    DeviceOption,
    MppOption,
    SeedOption,
    Tiles,
    open_with_nuclei,
)
from napari_prts.cli.outputs import OutputError, check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote
from napari_prts.errors import ModelError

if TYPE_CHECKING:
    from napari_prts.expression import Ablation, ModelBundle
    from napari_prts.study import StudyTrainRequest
    from napari_prts.study.jobs import MeasuredSlide

_AGAIN = "Give it again for each further section, in the same order."


class Loss(StrEnum):
    """What training makes small."""

    PAPER = "paper"
    FOCAL = "focal"


class Use(StrEnum):
    """Which part of the features the network sees."""

    BOTH = "both"
    LOCAL = "local"
    GLOBAL = "global"


class Standardise(StrEnum):
    """Over which cells features are standardised."""

    ALL = "all"
    SECTION = "section"


def train(
    slide: Annotated[
        list[Path], typer.Option("--slide", metavar="SLIDE", help=f"{SLIDE_HELP} {_AGAIN}")
    ],
    nuclei: Annotated[
        list[Path], typer.Option("--nuclei", metavar="F", help=f"Nuclei of the slide. {_AGAIN}")
    ],
    measured: Annotated[
        list[Path],
        typer.Option(
            "--measured", metavar="F.h5ad", help=f"Measured cells of these nuclei. {_AGAIN}"
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MODEL", help="Model folder to write.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            metavar="NAME|PATH",
            help="morphology, texture, unet (need no weights), hipt-vit256, hf-hub:NAME, a timm "
            "ViT name, a file with weights, or A+B for two side by side.",
        ),
    ] = "morphology",
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="At most so many epochs.")
    ] = 100,
    seed: SeedOption = 0,
    loss: Annotated[
        Loss, typer.Option("--loss", help="The paper's loss, or that of the authors' scripts.")
    ] = Loss.PAPER,
    use: Annotated[
        Use, typer.Option("--use", help="Features: of the nucleus, of its surroundings, or both.")
    ] = Use.BOTH,
    standardise: Annotated[
        Standardise,
        typer.Option(
            "--standardise",
            help="Features by mean and spread of all training cells, or of each section's own.",
        ),
    ] = Standardise.ALL,
    validation_section: Annotated[
        list[str] | None,
        typer.Option(
            "--validation-section",
            metavar="NAME",
            help="File name of a slide that tells when to stop, in place of a strip of each.",
        ),
    ] = None,
    test_section: Annotated[
        list[str] | None,
        typer.Option(
            "--test-section",
            metavar="NAME",
            help="File name of a slide that is kept for the score, in place of a strip of each.",
        ),
    ] = None,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Also train on the local part alone, the global part alone, and with the "
            "morphology baseline; write MODEL-ablation.csv and .json.",
        ),
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", metavar="NAME|PATH", help="With --ablate: one more encoder to compare."
        ),
    ] = None,
    mpp: MppOption = None,
    tiles: Annotated[Tiles, typer.Option("--tiles", help=TILES_HELP)] = Tiles.EXACT,
    device: DeviceOption = Device.AUTO,
    accept_licence: AcceptLicenceOption = False,
) -> None:
    """Train a PRTS model on slides with measured cells.

    Cancelled, it keeps the best model so far; the same command again goes on from there.
    """
    others = list(dict.fromkeys(against or ()))
    check_output_folder(output, "card.json", [*slide, *nuclei, *measured, Path(encoder)])
    _check_numbers(slide, nuclei, measured)
    if others and not ablate:
        raise OutputError("--against compares encoders: give --ablate too, or leave it out.")

    from napari_prts.expression import TrainRequest
    from napari_prts.files import cache_folder
    from napari_prts.h5ad import read_h5ad
    from napari_prts.study.jobs import MeasuredSlide, StudyTrainRequest

    watch = Stopwatch()
    for name in (encoder, *others):
        fetch_encoder(name, accept_licence)
    tables = [read_h5ad(path) for path in measured]
    opened = [open_with_nuclei(*paths, mpp) for paths in zip(slide, nuclei, strict=True)]
    slides = [MeasuredSlide(*pair, table) for pair, table in zip(opened, tables, strict=True)]
    training = TrainRequest(
        epochs=epochs,
        seed=seed,
        loss=loss.value,
        use=use.value,
        standardise=standardise.value,
        validation_sections=tuple(validation_section or ()),
        test_sections=tuple(test_section or ()),
        device=device.value,
        keep=output if _may_be_replaced(output) else None,
        checkpoints=cache_folder() / "training",
    )
    request = StudyTrainRequest(encoder, training, device.value, tiles.value)
    bundle = _compared(slides, request, others, output) if ablate else _trained(slides, request)
    bundle.save(output)
    source = counted(sum(table.n_obs for table in tables), f"{bundle.trained_on} cell")
    if len(tables) > 1:
        source += f" of {len(tables)} sections"
    wrote(output, f"model of {counted(len(bundle.genes), 'gene')} from {source}", watch)


def _check_numbers(slide: list[Path], nuclei: list[Path], measured: list[Path]) -> None:
    if not len(slide) == len(nuclei) == len(measured):
        raise OutputError(
            f"{counted(len(slide), 'slide')}, {counted(len(nuclei), 'file')} of nuclei and "
            f"{counted(len(measured), 'file')} of measured cells do not make sections: give "
            "--slide, --nuclei and --measured once for each section, in the same order."
        )


def _may_be_replaced(output: Path) -> bool:
    """Whether a cancelled training may write there: never over a finished model."""
    if not (output / "card.json").is_file():
        return True
    from napari_prts.expression import load_bundle

    return bool(load_bundle(output).card["training"].get("cancelled", False))


def _trained(slides: list[MeasuredSlide], request: StudyTrainRequest) -> ModelBundle:
    from napari_prts.features import FeatureStore
    from napari_prts.jobs import run
    from napari_prts.study.jobs import train_sections_job

    keep = request.training.keep
    before = _changed(keep)
    try:
        with progress_bar("Training") as report:
            return run(train_sections_job(slides, request, FeatureStore()), report)
    except (KeyboardInterrupt, SystemExit):
        if _changed(keep) != before:
            note(f"the best model so far is in {keep}; the same command again goes on from there.")
        raise


def _changed(keep: Path | str | None) -> int | None:
    card = None if keep is None else Path(keep) / "card.json"
    return card.stat().st_mtime_ns if card is not None and card.is_file() else None


def _compared(
    slides: list[MeasuredSlide], request: StudyTrainRequest, others: list[str], output: Path
) -> ModelBundle:
    from napari_prts.features import FeatureStore
    from napari_prts.jobs import run
    from napari_prts.study.jobs import ablate_job

    with progress_bar("Comparing") as report:
        ablation = run(ablate_job(slides, request, FeatureStore(), others), report)
    stem = output.with_name(f"{output.name}-ablation")
    table, _ = ablation.write(stem)
    typer.echo(_table(ablation))
    note(f"the table is in {table} and {table.with_suffix('.json').name}.")
    # The one that was asked for, not the one with the best score on the test cells.
    wanted = (request.encoder, request.training.use)
    if wanted not in ablation.models:
        raise ModelError(
            f"Encoder {wanted[0]} gives no {wanted[1]} features, so there is no model to write; "
            "the table is whole. Train with another --use."
        )
    return ablation.models[wanted]


def _table(ablation: Ablation) -> str:
    lines = ["encoder, features: mean PCC on test cells (gain over the baseline, of the ceiling)"]
    for row in ablation.rows:
        words = row.note or "no test cells"
        if row.test_pcc is not None:
            more = [] if row.gain is None else [f"{row.gain:+.3f}"]
            more += [] if row.share_of_ceiling is None else [f"{row.share_of_ceiling:.0%}"]
            words = f"{row.test_pcc:.3f} ({', '.join(more) or 'no baseline'})"
        lines.append(f"  {row.encoder}, {row.use}: {words}")
    return "\n".join(lines)
