"""One slide from pixels to its report, leaving out what is done already."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_prts.cohort.bench import MEASURED, PREDICTED, Bench
from napari_prts.cohort.outcome import DONE, SlideOutcome
from napari_prts.cohort.record import (
    DONE_FILE,
    FORMAT,
    FORMAT_VERSION,
    SlideRecord,
    StepRecord,
    check_folder,
    write_json,
)
from napari_prts.cohort.request import SlideEntry, SlideTask
from napari_prts.cohort.steps import Facts, Step, steps_of
from napari_prts.errors import PrtsError
from napari_prts.jobs import Job, Progress

_TOLD = ("nuclei", "genes", "clusters", "mean_confidence", "unlike_training", "pcc_mean")


def slide_job(task: SlideTask) -> Job[SlideOutcome]:
    """Do all steps of a slide that are not done from the same inputs.

    Parameters
    ----------
    task : SlideTask
        The slide, how, and where its results go.

    Yields
    ------
    Progress
        Of the step; ``partial`` is its name.

    Returns
    -------
    SlideOutcome
        With ``status`` ``"done"``: whatever goes wrong is raised.

    Raises
    ------
    PrtsError, OSError
        If a step fails. Steps before it are kept.
    """
    folder = Path(task.folder)
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(task)
    _check_same_slide(bench)
    steps = steps_of(bench)
    kept = _still_valid(bench, steps)
    if len(kept) == len(steps) and (folder / DONE_FILE).is_file():
        return _outcome(bench, steps, kept)
    (folder / DONE_FILE).unlink(missing_ok=True)
    _claim(bench)
    for step in steps[len(kept) :]:
        yield from _done(bench, step)
    _make_study(bench)
    outcome = _outcome(bench, steps, kept)
    write_json(folder / DONE_FILE, _provenance(bench, outcome))
    return outcome


def _check_same_slide(bench: Bench) -> None:
    """Refuse the results of another slide; one that was only moved is the same."""
    record = bench.record
    other = record.fingerprint not in ("", bench.slide.fingerprint)
    if other and record.slide != bench.entry.path:
        raise PrtsError(
            f"{bench.folder} holds the results of another slide ({record.slide}): choose another "
            "output folder, or give the slide another name in a CSV."
        )


def _claim(bench: Bench) -> None:
    """Say in the folder whose it is."""
    bench.record = replace(
        bench.record,
        slide=bench.entry.path,
        nuclei=bench.entry.nuclei,
        fingerprint=bench.slide.fingerprint,
    )
    bench.record.write(bench.folder)


def _still_valid(bench: Bench, steps: list[Step]) -> list[Step]:
    """Return the first steps that need not be done again: a step's input is the one before it."""
    kept: list[Step] = []
    for step in steps:
        known = bench.record.steps.get(step.name)
        # In this order: the key of a later step reads what an earlier one wrote.
        if known is None or not (bench.folder / step.output(bench)).exists():
            break
        if known.output != step.output(bench) or known.key != step.key(bench):
            break
        kept.append(step)
    return kept


def _done(bench: Bench, step: Step) -> Job[None]:
    """Do a step and record it."""
    # A later step that was done is worth nothing once this one has another result.
    bench.record = bench.record.without(step.name)
    bench.record.write(bench.folder)
    start = time.monotonic()
    key = step.key(bench)
    yield Progress(0, 0, "", "begins", partial=step.name)
    facts = yield from _named(step.do(bench), step.name)
    seconds = round(time.monotonic() - start, 3)
    record = StepRecord(key, step.output(bench), seconds, facts)
    bench.record = bench.record.with_step(step.name, record)
    bench.record.write(bench.folder)


def _make_study(bench: Bench) -> None:
    """Let the folder be opened as a study, in the window too, to look at and to correct."""
    from napari_prts.study.saving import write_card

    parts = {"nuclei": bench.nuclei_file.name, "predicted": PREDICTED}
    if bench.measured_file is not None:
        inside = bench.measured_file.parent == bench.folder
        parts["measured"] = MEASURED if inside else str(bench.measured_file.absolute())
    write_card(bench.folder, bench.slide, parts)


def _named(job: Job[Facts], step: str) -> Job[Facts]:
    """Put the step's name into its progress, in place of results nobody looks at."""
    with closing(job):
        while True:
            try:
                progress = next(job)
            except StopIteration as stop:
                facts: Facts = stop.value
                return facts
            yield replace(progress, partial=step)


def _outcome(bench: Bench, steps: list[Step], kept: list[Step]) -> SlideOutcome:
    records = {step.name: bench.record.steps[step.name] for step in steps}
    found = outcome_of(bench.entry, records, DONE)
    return replace(found, kept=tuple(step.name for step in kept))


def outcome_of(
    entry: SlideEntry, records: Mapping[str, StepRecord], status: str, error: str = ""
) -> SlideOutcome:
    """Tell what has become of a slide from the steps that are done.

    Parameters
    ----------
    entry : SlideEntry
        The slide.
    records : mapping of str to StepRecord
        By name of the step.
    status, error : str
        As in :class:`SlideOutcome`.
    """
    facts: dict[str, Any] = {}
    warnings: dict[str, None] = {}
    for step, record in records.items():
        facts |= {name: record.facts[name] for name in _TOLD if name in record.facts}
        # By step: the models that find nuclei and that predict know different slides.
        said = record.facts.get("warnings", ())
        warnings |= dict.fromkeys(f"{step}: {sentence}" for sentence in said)
    return SlideOutcome(
        entry.name,
        entry.path,
        status,
        error,
        seconds={name: record.seconds for name, record in records.items()},
        warnings=tuple(warnings),
        **facts,
    )


def _provenance(bench: Bench, outcome: SlideOutcome) -> dict[str, Any]:
    record: SlideRecord = bench.record
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "slide": {
            "path": bench.entry.path,
            "fingerprint": bench.slide.fingerprint,
            "mpp": bench.slide.mpp,
            "mpp_source": bench.slide.mpp_source,
            "broken_tiles": len(bench.slide.broken),
        },
        "nuclei": bench.entry.nuclei,
        "measured": bench.entry.measured,
        "settings": vars(bench.settings),
        "version": version("napari-prts"),
        "steps": {name: vars(step) for name, step in record.steps.items()},
        "outcome": outcome.as_dict(),
    }
