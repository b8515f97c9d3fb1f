"""The command that scores a prediction: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.cli.inputs import SeedOption
from napari_prts.cli.outputs import OutputError, check_output_file, check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote

if TYPE_CHECKING:
    from napari_prts.analysis import Evaluation


def evaluate(
    predicted: Annotated[
        Path, typer.Argument(metavar="PREDICTED.h5ad", help="Cells that predict wrote.")
    ],
    measured: Annotated[
        Path, typer.Argument(metavar="MEASURED.h5ad", help="Cells that measure wrote.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="REPORT",
            help="What to write: REPORT.json all scores, REPORT.csv a table of genes, REPORT.html "
            "a page with pictures, or a folder with all three.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Model that predicted; needed to tell which genes are predictable.",
        ),
    ] = None,
    block_um: Annotated[
        float,
        typer.Option(
            "--block-um",
            metavar="F",
            help="Side of the squares of tissue that are drawn to tell how sure the scores are.",
        ),
    ] = 256.0,
    seed: SeedOption = 0,
) -> None:
    """Compare predicted with measured cells.

    On the region that was left out of training, if there is one.
    """
    inputs = [predicted, measured, *([model] if model is not None else [])]
    _check_output(output, inputs)

    from napari_prts.analysis import EvaluateRequest, evaluate_fully, write_report
    from napari_prts.expression import load_bundle
    from napari_prts.h5ad import read_h5ad
    from napari_prts.jobs import run

    watch = Stopwatch()
    request = EvaluateRequest(block_um=block_um, seed=seed)
    bundle = None if model is None else load_bundle(model)
    tables = read_h5ad(predicted), read_h5ad(measured)
    with progress_bar("Scoring") as report:
        job = evaluate_fully(*tables, request, bundle)
        evaluation = run(job, report)
    write_report(evaluation, output)
    for name, reason in evaluation.missing.items():
        note(f"{name.replace('_', ' ')}: {reason}")
    wrote(output, _summary(evaluation), watch)


def _check_output(output: Path, inputs: list[Path]) -> None:
    from napari_prts.analysis.report import ENDINGS, FOLDER_FILES

    if output.suffix:
        check_output_file(output, ENDINGS, inputs)
        return
    # A demo's or a study's folder has a report too, and would be replaced with all it holds.
    if output.is_dir() and {path.name for path in output.iterdir()} - set(FOLDER_FILES):
        raise OutputError(
            f"The folder {output} holds other things than a report: name a new or an empty folder."
        )
    check_output_folder(output, FOLDER_FILES[0], inputs)


def _summary(evaluation: Evaluation) -> str:
    agreement = evaluation.agreement
    kind = "simulated cell" if agreement.simulated else "cell"
    scores = (
        f"mean PCC {agreement.pcc_mean:.3f}, mean RMSE {agreement.rmse_mean:.3f}, "
        f"accuracy {agreement.accuracy_mean:.1%}"
    )
    share = evaluation.predictability.means.get("share")
    if share is not None:
        scores += f", {share.value:.0%} of the ceiling"
    told = evaluation.predictable
    if told is not None:
        scores += f", {counted(int(told.sum()), 'predictable gene')}"
    return (
        f"{scores}; {counted(agreement.cells, kind)} ({agreement.cells_scored}), "
        f"{counted(len(agreement.genes), 'gene')},"
    )
