"""The steps of one slide: what each depends on, and what it does.

They do what the commands segment, measure, predict, cluster and evaluate do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_prts.cohort.bench import MEASURED, PREDICTED, REPORT, Bench
from napari_prts.cohort.contents import content_of, key_of
from napari_prts.errors import NucleiError
from napari_prts.jobs import Job

Facts = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    name : str
        One of :data:`napari_prts.cohort.record.STEPS`.
    output : callable
        Gives the name of what it writes in the slide's folder.
    key : callable
        Gives the key of all that the result depends on.
    do : callable
        Gives the job, whose result is what is worth telling.
    """

    name: str
    output: Callable[[Bench], str]
    key: Callable[[Bench], str]
    do: Callable[[Bench], Job[Facts]]


def steps_of(bench: Bench) -> list[Step]:
    """Return the steps that a slide needs, in their order."""
    measured = bench.entry.measured
    measures = [_MEASURE] if measured is not None and Path(measured).is_dir() else []
    clusters = [_CLUSTER] if bench.settings.clusters else []
    return [_SEGMENT, *measures, _PREDICT, *clusters, _REPORT]


def _about_slide(bench: Bench) -> list[Any]:
    # An update in the middle of a cohort would leave slides that cannot be compared.
    return [version("napari-prts"), bench.slide.fingerprint, bench.slide.mpp]


def _segment_key(bench: Bench) -> str:
    given = bench.entry.nuclei
    if given is not None:
        source = ["given", content_of(given)]
    else:
        source = ["found", bench.settings.segmenter_hash]
    return key_of(*_about_slide(bench), source, bench.settings.nuclei_ending)


def _segment(bench: Bench) -> Job[Facts]:
    yield from bench.pixels()
    bench.slide.require_mpp()
    if bench.entry.nuclei is not None:
        return _take_over(bench, bench.entry.nuclei)
    from napari_prts.nuclei import write_nuclei
    from napari_prts.segmentation import SegmentRequest, provenance, segment

    # StarDist does not run on Apple's Metal; the CPU is next best.
    device = bench.settings.device.replace("mps", "cpu")
    request = SegmentRequest(model=bench.settings.segmenter, device=device)
    nuclei = yield from segment(bench.slide, request)
    if not len(nuclei):
        raise NucleiError(
            f"No nuclei found in {bench.entry.path}: check that {bench.slide.mpp:g} um/px is right "
            "and that there is tissue on it."
        )
    made = provenance(bench.slide, request)
    bench.put(bench.nuclei_file.name, lambda aside: write_nuclei(nuclei, aside, made))
    warnings = list(made.get("quality", {}).get("warnings", ()))
    return {"nuclei": len(nuclei), "warnings": warnings, "provenance": made}


def _take_over(bench: Bench, given: str) -> Facts:
    from napari_prts.nuclei import write_nuclei
    from napari_prts.nuclei.formats.reading import read_nuclei_reported, read_provenance

    read = read_nuclei_reported(Path(given), bench.slide.shape)
    made = {**read_provenance(Path(given)), "given_as": given}
    warnings = list(read.sentences())
    made_on = made.get("slide_fingerprint", made.get("slide"))
    if made_on is not None and made_on != bench.slide.fingerprint:
        warnings.append(f"{given} was made on another slide; check that they belong together.")
    bench.put(bench.nuclei_file.name, lambda aside: write_nuclei(read.nuclei, aside, made))
    return {"nuclei": len(read.nuclei), "warnings": warnings, "provenance": made}


def _predict_key(bench: Bench) -> str:
    # By content: nuclei that were corrected in the slide's folder are predicted again.
    settings = bench.settings
    # Without a word the model says how, and its hash stands for that.
    how = settings.tiles or ""
    return key_of(*_about_slide(bench), content_of(bench.nuclei_file), settings.model_hash, how)


def _predict(bench: Bench) -> Job[Facts]:
    from napari_prts.features import FeatureStore, load_encoder
    from napari_prts.study import PredictionRequest
    from napari_prts.study.predicting import other_tiles_words, predict_job

    yield from bench.pixels()
    bundle, settings = bench.bundle, bench.settings
    if settings.accept_licence:
        load_encoder(bundle.encoder, accept_licence=True)
    request = PredictionRequest(bundle, device=settings.device, tiles=settings.tiles)
    predicted = yield from predict_job(bench.slide, bench.nuclei.nuclei, request, FeatureStore())
    bench.put_table(PREDICTED, predicted)
    bench.predicted = predicted
    about = predicted.uns["prts"]
    warnings = [str(said) for said in about.get("quality", {}).get("warnings", ())]
    return {
        "nuclei": int(predicted.n_obs),
        "genes": int(predicted.n_vars),
        "mean_confidence": float(predicted.obs["confidence"].mean()),
        "unlike_training": float(about["unlike_training_share"]),
        "warnings": [*warnings, *filter(None, [other_tiles_words(predicted)])],
    }


def _measure_key(bench: Bench) -> str:
    measured = bench.entry.measured or ""
    return key_of(*_about_slide(bench), content_of(bench.nuclei_file), content_of(measured))


def _measure(bench: Bench) -> Job[Facts]:
    from napari_prts.visium_hd import measure, read_space_ranger

    yield from bench.pixels()
    section = read_space_ranger(Path(bench.entry.measured or ""))
    measured = yield from measure(bench.slide, bench.nuclei.nuclei, section)
    bench.put_table(MEASURED, measured)
    return {"measured_cells": int(measured.n_obs)}


def _cluster_key(bench: Bench) -> str:
    settings = bench.settings
    how = [settings.resolution, settings.umap] if settings.clusters else None
    return key_of(_predict_key(bench), how)


def _cluster(bench: Bench) -> Job[Facts]:
    from napari_prts.analysis import ClusterRequest, cluster

    settings = bench.settings
    request = ClusterRequest(resolution=settings.resolution, umap=settings.umap)
    clustered = yield from cluster(bench.predicted, request)
    bench.put_table(PREDICTED, clustered)
    bench.predicted = clustered
    return {"clusters": int(clustered.obs["leiden"].nunique())}


def _report_key(bench: Bench) -> str:
    measured = bench.measured_file
    return key_of(_cluster_key(bench), None if measured is None else content_of(measured))


def _report(bench: Bench) -> Job[Facts]:
    from napari_prts.cohort.slide_report import write_slide_report

    return (yield from write_slide_report(bench))


_SEGMENT = Step("segment", lambda bench: bench.nuclei_file.name, _segment_key, _segment)
_MEASURE = Step("measure", lambda bench: MEASURED, _measure_key, _measure)
_PREDICT = Step("predict", lambda bench: PREDICTED, _predict_key, _predict)
_CLUSTER = Step("cluster", lambda bench: PREDICTED, _cluster_key, _cluster)
_REPORT = Step("report", lambda bench: REPORT, _report_key, _report)
