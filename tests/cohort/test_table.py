"""The table of a cohort, and the sentences in it."""

from __future__ import annotations

import csv
import errno
import re
from pathlib import Path

import pytest

from napari_prts.cohort import SlideEntry, SlideOutcome
from napari_prts.cohort.failure import OUT_OF_MEMORY, sentence
from napari_prts.cohort.record import write_json
from napari_prts.cohort.summary import write_summary
from napari_prts.errors import SlideError

DONE = SlideOutcome(
    "a",
    "/a.svs",
    "done",
    seconds={"segment": 2.5, "predict": 1.0},
    nuclei=1200,
    genes=24,
    mean_confidence=0.5,
    warnings=("segment: pale",),
)


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_a_row_for_each_slide(tmp_path: Path) -> None:
    failed = SlideOutcome("b", "/b.svs", "failed", "It is <empty>, do something.")
    write_summary(tmp_path, [DONE, failed], [SlideEntry("/c.svs", "c")])
    table = rows(tmp_path)
    assert [row["status"] for row in table.values()] == ["done", "failed", "waiting"]
    assert (table["a"]["nuclei"], table["a"]["mean_confidence"]) == ("1200", "0.5")
    assert (table["a"]["seconds_segment"], table["a"]["seconds_total"]) == ("2.5", "3.5")
    assert table["a"]["warnings"] == "segment: pale"
    assert table["b"]["nuclei"] == ""
    assert table["b"]["error"] == "It is <empty>, do something."
    assert "It is &lt;empty&gt;" in (tmp_path / "summary.html").read_text()


def test_slides_of_earlier_runs_stay_in_it(tmp_path: Path) -> None:
    values = {"format": "napari-prts batch", "outcome": DONE.as_dict()}
    write_json(tmp_path / "a" / "done.json", values)
    write_json(tmp_path / "foreign" / "done.json", {"format": "another"})
    write_summary(tmp_path, [SlideOutcome("b", "/b.svs", "done", nuclei=5)], [])
    assert {name: row["nuclei"] for name, row in rows(tmp_path).items()} == {"b": "5", "a": "1200"}


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (SlideError("x.svs is empty: copy it again."), "failed", "x.svs is empty: copy it again."),
        (OSError(errno.ENOSPC, "No space left on device", "x"), "failed", "No space left .*: x"),
        (ValueError("odd"), "failed", "Internal error .*log.txt"),
        (MemoryError(), "lost", OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "lost", OUT_OF_MEMORY),
    ],
)
def test_whatever_happens_is_one_sentence(error: Exception, status: str, says: str) -> None:
    ended, said = sentence(error)
    assert ended == status
    assert "\n" not in said
    assert re.match(says, said)


def test_lack_of_memory_is_known_behind_another_error() -> None:
    wrapped = SlideError("cannot be written")
    wrapped.__cause__ = MemoryError()
    assert sentence(wrapped)[0] == "lost"
