"""From measured cells and features to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.expression.bundle import NETWORK_PREFIX, ModelBundle
from napari_prts.expression.card import VERSIONS_OF, training_card
from napari_prts.expression.checkpoint import CANCELLED, Checkpoint, digest_of
from napari_prts.expression.fitting import (
    EpochReport,
    Fitted,
    Fitting,
    Within,
    expected,
    steady_threads,
)
from napari_prts.expression.pcc_sums import PccSums
from napari_prts.expression.preparing import Prepared, prepare
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.sections import Section
from napari_prts.expression.splitting import TEST, TRAIN, VALIDATION
from napari_prts.expression.threshold import ThresholdSums, cut
from napari_prts.features.device import choose_device
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    import torch
    from anndata import AnnData

    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# What a request says that changes no number of the model.
_NO_MATTER = ("keep", "checkpoints", "checkpoint_every_s", "device")


def train(
    features: Features,
    measured: AnnData,
    nuclei: Nuclei,
    slide: Slide,
    request: TrainRequest | None = None,
) -> Job[ModelBundle]:
    """Train the PRTS network on the measured cells of one slide.

    Parameters
    ----------
    features : Features
        Of the slide's nuclei.
    measured : AnnData
        Raw counts with ``obs["id"]``, as :func:`napari_prts.visium_hd.measure` gives.
    nuclei : Nuclei
        The nuclei that were measured.
    slide : Slide
        The slide; its mpp must be known.
    request : TrainRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        As :func:`train_sections` does.

    Returns
    -------
    ModelBundle
        The model with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If the cells are too few, not raw counts, or belong to another slide or other
        nuclei, or if training diverges.
    ModelError
        If the features are not usable.
    """
    return (yield from train_sections([Section(features, measured, nuclei, slide)], request))


def train_sections(
    sections: Sequence[Section], request: TrainRequest | None = None
) -> Job[ModelBundle]:
    """Train the PRTS network on the measured cells of several slides.

    Closing the job, Ctrl-C or SIGTERM cancel it, within a step of training. The best
    model so far is then written to ``request.keep``, if that is given and an epoch is
    over, and the state to ``request.checkpoints``; otherwise nothing is written.

    Parameters
    ----------
    sections : sequence of Section
        One or more, their features by the same encoder. Only genes that all of them
        have are learned.
    request : TrainRequest, optional
        The paper's values by default.

    Yields
    ------
    Progress
        In epochs; after each of them ``partial`` is an
        :class:`~napari_prts.expression.EpochReport`, in between it is None.

    Returns
    -------
    ModelBundle
        The model with the lowest validation loss.

    Raises
    ------
    ExpressionError
        If the sections do not belong together (one given twice, different encoders or
        genes), the cells are too few, not raw counts, or belong to another slide or
        other nuclei, or if training diverges.
    ModelError
        If the features are not usable, or the best model cannot be written on cancelling.
    """
    request = request or TrainRequest()
    device = choose_device(request.device)
    prepared = prepare(sections, request)
    note = f"{prepared.total[TRAIN]:,} cells, {len(prepared.genes):,} genes, {device.type}"
    yield Progress(0, request.epochs, "epochs", note)
    checkpoint = _checkpoint(prepared, request, device)
    parts = prepared.parts
    with steady_threads():
        fitting = Fitting(
            parts[TRAIN], parts[VALIDATION], prepared.scaling, request, device, checkpoint
        )
        try:
            fitted = yield from _reported(fitting, checkpoint, request.epochs)
        except CANCELLED:
            if request.keep is not None and fitting.best is not None:
                _finished(prepared, request, fitting.best, cancelled=True).save(request.keep)
            raise
        return _finished(prepared, request, fitted, cancelled=False)


def _checkpoint(
    prepared: Prepared, request: TrainRequest, device: torch.device
) -> Checkpoint | None:
    if request.checkpoints is None:
        return None
    from dataclasses import asdict
    from importlib.metadata import version

    learned = [prepared.parts[part] for part in (TRAIN, VALIDATION)]
    key = {
        "request": {
            name: value for name, value in asdict(request).items() if name not in _NO_MATTER
        },
        "device": device.type,
        "genes": list(prepared.genes),
        "cells": [
            digest_of(cells.features, cells.counts.indptr, cells.counts.indices, cells.counts.data)
            for cells in learned
        ],
        "versions": {name: version(name) for name in VERSIONS_OF},
    }
    return Checkpoint(request.checkpoints, key, request.checkpoint_every_s)


def _reported(fitting: Fitting, checkpoint: Checkpoint | None, total: int) -> Job[Fitted]:
    """Turn reports into progress; returns what the fit returns."""
    epochs = fitting.epochs()
    words = f"going on after epoch {fitting.resumed}" if fitting.resumed else ""
    try:
        while True:
            try:
                report = next(epochs)
            except StopIteration as stop:
                fitted: Fitted = stop.value
                return fitted
            if isinstance(report, Within):
                note = f"epoch {report.epoch}: {report.share:.0%}"
                note = f"{note}; {words}" if words else note
                yield Progress(report.epoch - 1, total, "epochs", note)
                continue
            words = _words(report, checkpoint)
            yield Progress(report.epoch, total, "epochs", words, report)
    finally:
        epochs.close()


def _words(report: EpochReport, checkpoint: Checkpoint | None) -> str:
    words = f"loss {report.validation_loss:.3f}, PCC {report.validation_pcc:.3f} (validation)"
    return f"{words}; {checkpoint.problem}" if checkpoint and checkpoint.problem else words


def _finished(
    prepared: Prepared, request: TrainRequest, fitted: Fitted, *, cancelled: bool
) -> ModelBundle:
    """Make the bundle: threshold chosen on validation cells, test cells scored with it."""
    card = training_card(prepared, request)
    card["training"]["cancelled"] = cancelled
    arrays = {
        **{f"{NETWORK_PREFIX}{name}": value.numpy() for name, value in fitted.state.items()},
        **prepared.arrays(),
    }
    bundle = ModelBundle(card, arrays)
    threshold, pcc = _threshold(bundle, prepared)
    metrics: dict[str, Any] = {
        "epochs_run": fitted.epochs,
        "best_epoch": fitted.report.epoch,
        "train_loss": fitted.report.train_loss,
        "validation_loss": fitted.report.validation_loss,
        "validation_pcc": pcc,
        **_test_scores(bundle, prepared, threshold),
    }
    return ModelBundle({**card, "threshold": threshold, "metrics": metrics}, arrays)


def _threshold(bundle: ModelBundle, prepared: Prepared) -> tuple[float, float]:
    cells, sums = prepared.parts[VALIDATION], ThresholdSums(len(bundle.genes))
    for rows, counts, probability in expected(
        bundle.network(), cells.features, bundle.gene_scaling
    ):
        sums.add(counts, probability, cells.counts[rows].toarray())
    return sums.best()


def _test_scores(bundle: ModelBundle, prepared: Prepared, threshold: float) -> dict[str, Any]:
    """Mean PCC on the test cells, and what the true rates score there, if they are known."""
    cells, rates = prepared.parts[TEST], prepared.rates
    if not len(cells):
        return {"test_pcc": None, "test_ceiling": None, "test_share_of_ceiling": None}
    all_of_them, ours, best = (PccSums(len(bundle.genes)) for _ in range(3))
    for rows, counts, probability in expected(
        bundle.network(), cells.features, bundle.gene_scaling
    ):
        found = cut(np.log1p(counts), probability, threshold)
        measured = np.log1p(cells.counts[rows].toarray())
        all_of_them.add(found, measured)
        if rates is not None:
            known = np.isfinite(rates[rows]).all(1)
            ours.add(found[known], measured[known])
            best.add(np.log1p(rates[rows][known]), measured[known])
    ceiling = best.mean()
    return {
        "test_pcc": all_of_them.mean(),
        "test_ceiling": ceiling if ceiling > 0 else None,
        "test_share_of_ceiling": ours.mean() / ceiling if ceiling > 0 else None,
    }
