"""Commands from measured cells to predicted ones: train, predict, evaluate, cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.consent import AcceptLicenceOption, fetch_encoder
from napari_prts.cli.inputs import (
    MppOption,
    NucleiOption,
    SeedOption,
    SlideArgument,
    SlideOption,
    open_with_nuclei,
)
from napari_prts.cli.outputs import check_output_file, check_output_folder
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote


class Loss(StrEnum):
    """What training makes small."""

    PAPER = "paper"
    FOCAL = "focal"


def train(
    slide: SlideOption,
    nuclei: NucleiOption,
    measured: Annotated[
        Path, typer.Option("--measured", metavar="F.h5ad", help="Measured cells of these nuclei.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="MODEL", help="Model folder to write.")
    ],
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            metavar="NAME|PATH",
            help="morphology (needs no weights), hipt-vit256, hf-hub:NAME, a timm ViT name, "
            "or a file with weights.",
        ),
    ] = "morphology",
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="At most so many epochs.")
    ] = 100,
    seed: SeedOption = 0,
    loss: Annotated[
        Loss, typer.Option("--loss", help="The paper's loss, or that of the authors' scripts.")
    ] = Loss.PAPER,
    mpp: MppOption = None,
    accept_licence: AcceptLicenceOption = False,
) -> None:
    """Train a PRTS model on one slide with measured cells."""
    check_output_folder(output, "card.json", [slide, nuclei, measured, Path(encoder)])

    from napari_prts.expression import TrainRequest
    from napari_prts.features import FeatureStore
    from napari_prts.h5ad import read_h5ad
    from napari_prts.jobs import run
    from napari_prts.study import StudyTrainRequest
    from napari_prts.study.jobs import train_job

    watch = Stopwatch()
    fetch_encoder(encoder, accept_licence)
    cells = read_h5ad(measured)
    opened, found = open_with_nuclei(slide, nuclei, mpp)
    training = TrainRequest(epochs=epochs, seed=seed, loss=loss.value)
    request = StudyTrainRequest(encoder=encoder, training=training)
    with progress_bar("Training") as report:
        bundle = run(train_job(opened, found, cells, request, FeatureStore()), report)
    bundle.save(output)
    source = counted(cells.n_obs, f"{bundle.trained_on} cell")
    wrote(output, f"model of {counted(len(bundle.genes), 'gene')} from {source}", watch)


def predict(
    slide: SlideArgument,
    nuclei: NucleiOption,
    model: Annotated[
        Path, typer.Option("--model", metavar="MODEL", help="Model folder that train wrote.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.h5ad", help="Predicted cells to write.")
    ],
    mpp: MppOption = None,
    accept_licence: AcceptLicenceOption = False,
) -> None:
    """Predict the gene expression of each nucleus.

    The encoder is the one that the model was trained with.
    """
    check_output_file(output, (".h5ad",), [slide, nuclei, model])

    from napari_prts.expression import load_bundle
    from napari_prts.features import FeatureStore
    from napari_prts.h5ad import write_h5ad
    from napari_prts.jobs import run
    from napari_prts.study import PredictionRequest
    from napari_prts.study.jobs import predict_job

    watch = Stopwatch()
    bundle = load_bundle(model)
    fetch_encoder(bundle.encoder, accept_licence)
    opened, found = open_with_nuclei(slide, nuclei, mpp)
    with progress_bar("Predicting") as report:
        job = predict_job(opened, found, PredictionRequest(bundle), FeatureStore())
        predicted = run(job, report)
    write_h5ad(predicted, output)
    for warning in predicted.uns["prts"].get("quality", {}).get("warnings", ()):
        note(warning)
    genes, cells = counted(predicted.n_vars, "gene"), counted(predicted.n_obs, "cell")
    source = f"{bundle.trained_on} cells"
    wrote(output, f"predicted {genes} of {cells}, by a model trained on {source},", watch)


def evaluate(
    predicted: Annotated[
        Path, typer.Argument(metavar="PREDICTED.h5ad", help="Cells that predict wrote.")
    ],
    measured: Annotated[
        Path, typer.Argument(metavar="MEASURED.h5ad", help="Cells that measure wrote.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="REPORT.json", help="Agreement to write.")
    ],
) -> None:
    """Compare predicted with measured cells.

    On the region that was left out of training, if there is one.
    """
    check_output_file(output, (".json",), [predicted, measured])

    from napari_prts.analysis import evaluate as agreement_of
    from napari_prts.analysis import write_report
    from napari_prts.h5ad import read_h5ad

    watch = Stopwatch()
    agreement = agreement_of(read_h5ad(predicted), read_h5ad(measured))
    write_report(agreement, output)
    kind = "simulated cell" if agreement.simulated else "cell"
    wrote(
        output,
        f"mean PCC {agreement.pcc_mean:.3f}, mean RMSE {agreement.rmse_mean:.3f}, "
        f"accuracy {agreement.accuracy_mean:.1%}; {counted(agreement.cells, kind)} "
        f"({agreement.cells_scored}), {counted(len(agreement.genes), 'gene')},",
        watch,
    )


def cluster(
    table: Annotated[Path, typer.Argument(metavar="IN.h5ad", help="Predicted or measured cells.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.h5ad", help="Clustered cells to write.")
    ],
    resolution: Annotated[
        float,
        typer.Option("--resolution", metavar="F", help="Higher gives more Leiden clusters."),
    ] = 0.6,
) -> None:
    """Group cells into Leiden clusters, with a UMAP."""
    check_output_file(output, (".h5ad",), [table])

    from napari_prts.analysis import ClusterRequest
    from napari_prts.analysis import cluster as cluster_job
    from napari_prts.h5ad import read_h5ad, write_h5ad
    from napari_prts.jobs import run

    watch = Stopwatch()
    with progress_bar("Clustering") as report:
        job = cluster_job(read_h5ad(table), ClusterRequest(resolution=resolution))
        clustered = run(job, report)
    write_h5ad(clustered, output)
    clusters = counted(clustered.obs["leiden"].nunique(), "cluster")
    wrote(output, f"{clusters} of {counted(clustered.n_obs, 'cell')}", watch)
