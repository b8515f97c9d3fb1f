"""The table of a cohort: ``summary.csv`` for programs, ``summary.html`` to look at."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.cohort.outcome import DONE, SlideOutcome
from napari_prts.cohort.record import DONE_FILE, FORMAT, STEPS
from napari_prts.cohort.request import SlideEntry
from napari_prts.files import written_aside

if TYPE_CHECKING:
    from pandas import DataFrame

CSV_FILE, HTML_FILE = "summary.csv", "summary.html"
WAITING = "waiting"

_WHOLE = ("nuclei", "genes", "clusters")
_SHARES = ("mean_confidence", "unlike_training", "pcc_mean")
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em .7em;border-bottom:1px solid #ccc;text-align:left;vertical-align:top}"
    "tr.failed td{background:#fbe3e0}tr.waiting td{color:#777}"
)


def write_summary(
    folder: Path, outcomes: Sequence[SlideOutcome], waiting: Sequence[SlideEntry]
) -> None:
    """Write both tables, each whole or not at all.

    Slides that an earlier run has left in the folder are in it too.

    Parameters
    ----------
    folder : Path
        Of the cohort.
    outcomes : sequence of SlideOutcome
        Slides that have ended.
    waiting : sequence of SlideEntry
        Slides that have not.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    left = [SlideOutcome(entry.name, entry.path, WAITING) for entry in waiting]
    here = {outcome.name for outcome in (*outcomes, *left)}
    rows = [*outcomes, *left, *(o for o in _earlier(folder) if o.name not in here)]
    table = summary_table(rows)
    with written_aside(folder / CSV_FILE) as aside:
        table.to_csv(aside, float_format="%.6g")
    with written_aside(folder / HTML_FILE) as aside:
        aside.write_text(_page(table), encoding="utf-8")


def summary_table(outcomes: Iterable[SlideOutcome]) -> DataFrame:
    """Put outcomes into a table.

    Parameters
    ----------
    outcomes : iterable of SlideOutcome
        The slides.

    Returns
    -------
    DataFrame
        A row a slide, by name: status, nuclei, genes, clusters, mean_confidence,
        unlike_training, pcc_mean, ``seconds_*`` of each step and in all, attempts, kept,
        warnings, error, slide. What is not known is missing.
    """
    import pandas as pd

    rows = [_row(outcome) for outcome in outcomes]
    table = pd.DataFrame(rows).set_index("name")
    return table.astype(dict.fromkeys(_WHOLE, "Int64") | dict.fromkeys(_SHARES, "Float64"))


def _row(outcome: SlideOutcome) -> dict[str, Any]:
    seconds = {f"seconds_{step}": outcome.seconds.get(step) for step in STEPS}
    return {
        "name": outcome.name,
        "status": outcome.status,
        **{name: getattr(outcome, name) for name in (*_WHOLE, *_SHARES)},
        **seconds,
        "seconds_total": round(sum(outcome.seconds.values()), 3) if outcome.seconds else None,
        "attempts": outcome.attempts,
        "kept": " ".join(outcome.kept),
        "warnings": " ".join(outcome.warnings),
        "error": outcome.error,
        "slide": outcome.path,
    }


def _earlier(folder: Path) -> list[SlideOutcome]:
    """Slides that are done in the folder."""
    found = []
    for path in sorted(folder.glob(f"*/{DONE_FILE}")):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                continue
            outcome = SlideOutcome.from_dict({**values["outcome"], "kept": STEPS, "status": DONE})
        # Of another version or another program: no slide of ours.
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(outcome)
    return found


def _page(table: DataFrame) -> str:
    shown = table.drop(columns=["kept", "attempts"]).reset_index()
    heads = "".join(f"<th>{html.escape(str(name))}</th>" for name in shown.columns)
    rows = [
        f'<tr class="{html.escape(row["status"])}">'
        + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.to_numpy())
        + "</tr>"
        for _, row in shown.iterrows()
    ]
    counts = ", ".join(f"{n} {status}" for status, n in table["status"].value_counts().items())
    return (
        f'<!doctype html><meta charset="utf-8"><title>Cohort</title><style>{_STYLE}</style>\n'
        f"<h1>Cohort</h1><p>{len(table)} slides: {counts}</p>\n"
        f"<table><tr>{heads}</tr>\n" + "\n".join(rows) + "\n</table>\n"
    )


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return ""
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
