"""What each part of the method brings: trainings that differ in one thing, side by side."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import ExpressionError
from napari_prts.expression.requests import USES, TrainRequest
from napari_prts.expression.training import train_sections
from napari_prts.files import written_aside
from napari_prts.jobs import Job, Progress

if TYPE_CHECKING:
    from napari_prts.expression.bundle import ModelBundle
    from napari_prts.expression.sections import Section

# What every other encoder has to beat: it needs no weights (the project's own baseline).
BASELINE = "morphology"
BASELINE_USE = "both"


@dataclass(frozen=True)
class AblationRow:
    """One training of an ablation.

    Parameters
    ----------
    encoder : str
        Name of the encoder.
    use : str
        Features used: ``"both"``, ``"local"`` or ``"global"``.
    baseline : bool
        Whether the others are compared with this one.
    features : int
        Numbers a cell.
    test_pcc : float or None
        Mean PCC on the test cells; None without test cells.
    gain : float or None
        Its difference to the baseline's; None without a baseline.
    share_of_ceiling : float or None
        Of the mean PCC of the true rates, for simulated cells.
    validation_pcc : float or None
        Mean PCC on the validation cells, by which nothing but the threshold was chosen.
    best_epoch, epochs_run : int or None
        When the lowest validation loss came, and when training ended.
    note : str
        Why there is no model, or empty.
    """

    encoder: str
    use: str
    baseline: bool
    features: int
    test_pcc: float | None = None
    gain: float | None = None
    share_of_ceiling: float | None = None
    validation_pcc: float | None = None
    best_epoch: int | None = None
    epochs_run: int | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class Ablation:
    """Trainings side by side.

    Parameters
    ----------
    rows : tuple of AblationRow
        In the order of training, the baseline's encoder first.
    models : dict of ModelBundle
        By (encoder, use).
    """

    rows: tuple[AblationRow, ...]
    models: dict[tuple[str, str], ModelBundle] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give the table as JSON values."""
        slides = [slide.name for model in list(self.models.values())[:1] for slide in model.slides]
        return {"sections": slides, "rows": [asdict(row) for row in self.rows]}

    def write(self, stem: Path | str) -> tuple[Path, Path]:
        """Write the table as ``stem.csv`` and ``stem.json``, each whole or not at all.

        Raises
        ------
        ExpressionError
            If they cannot be written.
        """
        stem = Path(stem)
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        contents = {".csv": self._csv(), ".json": text}
        paths = []
        for ending, content in contents.items():
            path = stem.with_name(f"{stem.name}{ending}")
            try:
                with written_aside(path) as aside:
                    aside.write_text(content, encoding="utf-8")
            except OSError as error:
                raise ExpressionError(
                    f"The table cannot be written to {path} ({error})."
                ) from error
            paths.append(path)
        return paths[0], paths[1]

    def _csv(self) -> str:
        text = io.StringIO()
        names = [each.name for each in fields(AblationRow)]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return text.getvalue()


def ablate(
    sections: Mapping[str, Sequence[Section]],
    request: TrainRequest | None = None,
    uses: Sequence[str] = USES,
) -> Job[Ablation]:
    """Train once with each encoder and each part of the features, all else the same.

    The split is that of the cells' places and the same for all, as long as the same
    nuclei have features by each encoder.

    Parameters
    ----------
    sections : mapping of str to sequence of Section
        By the encoder's name: the same sections with the features of each encoder. If
        ``"morphology"`` is among them, its features are the baseline.
    request : TrainRequest, optional
        How to train; its ``use`` and ``keep`` play no part.
    uses : sequence of str
        Some of ``"both"``, ``"local"`` and ``"global"``.

    Yields
    ------
    Progress
        In epochs of all trainings; after each training ``partial`` is its
        :class:`AblationRow`, without its gain.

    Returns
    -------
    Ablation
        The table and the models.

    Raises
    ------
    ExpressionError
        If there is nothing to train, or as :func:`train_sections` says.
    """
    request = replace(request or TrainRequest(), keep=None)
    if not sections or not uses:
        raise ExpressionError("There is nothing to compare: name an encoder and a part of it.")
    encoders = sorted(sections, key=lambda name: name != BASELINE)
    variants = [(encoder, use) for encoder in encoders for use in _uses(encoder, uses)]
    total, done = len(variants) * request.epochs, 0
    rows, models = [], {}
    for encoder, use in variants:
        row = _empty(encoder, use, sections[encoder])
        if row.features:
            training = train_sections(sections[encoder], replace(request, use=use))
            model = yield from _counted(training, done, total, f"{encoder}, {use}")
            models[encoder, use] = model
            row = _filled(row, model)
        rows.append(row)
        done += request.epochs
        yield Progress(done, total, "epochs", _words(row), row)
    return Ablation(_compared(rows), models)


def _uses(encoder: str, uses: Sequence[str]) -> list[str]:
    """Parts to train on; the baseline is trained even if the others are not on all parts."""
    needed = [BASELINE_USE] if encoder == BASELINE and BASELINE_USE not in uses else []
    return [*needed, *uses]


def _counted(training: Job[ModelBundle], done: int, total: int, name: str) -> Job[ModelBundle]:
    try:
        while True:
            try:
                progress = next(training)
            except StopIteration as stop:
                model: ModelBundle = stop.value
                return model
            yield Progress(done + progress.done, total, "epochs", f"{name}: {progress.note}")
    finally:
        training.close()


def _empty(encoder: str, use: str, sections: Sequence[Section]) -> AblationRow:
    features = sections[0].features
    sizes = {"local": features.local.shape[1], "global": features.context.shape[1]}
    size = sizes.get(use, sum(sizes.values()))
    note = "" if size else f"encoder {encoder} gives no {use} features"
    return AblationRow(encoder, use, (encoder, use) == (BASELINE, BASELINE_USE), size, note=note)


def _filled(row: AblationRow, model: ModelBundle) -> AblationRow:
    metrics = model.card["metrics"]
    return replace(
        row,
        features=model.feature_count,
        test_pcc=metrics["test_pcc"],
        share_of_ceiling=metrics["test_share_of_ceiling"],
        validation_pcc=metrics["validation_pcc"],
        best_epoch=metrics["best_epoch"],
        epochs_run=metrics["epochs_run"],
    )


def _compared(rows: Sequence[AblationRow]) -> tuple[AblationRow, ...]:
    reference = next((row.test_pcc for row in rows if row.baseline), None)
    return tuple(
        row
        if row.test_pcc is None or reference is None
        else replace(row, gain=row.test_pcc - reference)
        for row in rows
    )


def _words(row: AblationRow) -> str:
    if row.note:
        return row.note
    score = "no test cells" if row.test_pcc is None else f"mean PCC {row.test_pcc:.3f} (test)"
    return f"{row.encoder}, {row.use}: {score}"
