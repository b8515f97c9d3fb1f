"""Commands on expression: predict, cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_prts.cli.consent import AcceptLicenceOption, fetch_encoder
from napari_prts.cli.inputs import (
    Device,
    DeviceOption,
    MppOption,
    NucleiOption,
    SlideArgument,
    TilesOption,
    open_with_nuclei,
)
from napari_prts.cli.outputs import check_output_file
from napari_prts.cli.terminal import Stopwatch, counted, note, progress_bar, wrote


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
    tiles: TilesOption = None,
    device: DeviceOption = Device.AUTO,
    accept_licence: AcceptLicenceOption = False,
) -> None:
    """Predict the gene expression of each nucleus.

    The encoder is the one that the model was trained with.
    """
    check_output_file(output, (".h5ad",), [slide, nuclei, model])

    from napari_prts.expression import load_bundle, unlike_words
    from napari_prts.features import FeatureStore
    from napari_prts.h5ad import write_h5ad
    from napari_prts.jobs import run
    from napari_prts.study import PredictionRequest
    from napari_prts.study.predicting import other_tiles_words, predict_job

    watch = Stopwatch()
    bundle = load_bundle(model)
    fetch_encoder(bundle.encoder, accept_licence)
    opened, found = open_with_nuclei(slide, nuclei, mpp)
    with progress_bar("Predicting") as report:
        request = PredictionRequest(bundle, device=device.value, tiles=tiles and tiles.value)
        job = predict_job(opened, found, request, FeatureStore())
        predicted = run(job, report)
    write_h5ad(predicted, output)
    for warning in predicted.uns["prts"].get("quality", {}).get("warnings", ()):
        note(warning)
    if words := other_tiles_words(predicted):
        note(words)
    if words := unlike_words(predicted):
        note(words)
    genes, cells = counted(predicted.n_vars, "gene"), counted(predicted.n_obs, "cell")
    source = f"{bundle.trained_on} cells"
    wrote(output, f"predicted {genes} of {cells}, by a model trained on {source},", watch)


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
