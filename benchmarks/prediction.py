"""Measure how soon a prediction answers in a real window, on a section of her2st.

    python benchmarks/prediction.py [--slide C2.jpg] [--nuclei F] [--quick]

Needs a screen. A ViT-S/16 at 256 px with random weights and a model of 1,820 genes, opened
before the click as a user does, on C2 and on a mosaic of it with 60,000 nuclei. All figures
are seconds but the memory: from the click to the first painted cells in view, to all cells of a
view of 750 x 500 um with shared tiles, from an edit to the new prediction of that nucleus, from
Cancel to the end of the job, and the longest time that one turn of the window's events took
meanwhile. There is no other program to compare with: the baseline is what is asked, and for
panning the same window without a job. Then, in fresh processes, another model with the same
encoder on 60,000 cells of 1,820 genes from the store, and the memory that takes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _figures import in_fresh_process, show_cost, tell
from _switching import CELLS, measure_switch
from _watching import while_looking


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--nuclei", type=Path, help="nuclei of the slide, not to find them first")
    parser.add_argument("--quick", action="store_true", help="fewer cells from the store")
    given = parser.parse_args()
    show_window("C2", in_fresh_process(while_looking, given.slide, given.nuclei))
    if not given.quick:
        found = in_fresh_process(while_looking, given.slide, given.nuclei, CELLS)
        show_window(f"mosaic of {CELLS:,}", found)
    show_switch(6_000 if given.quick else CELLS)
    return 0


def show_window(where: str, found: dict[str, float]) -> None:
    """All figures of one window."""
    tell(f"{found['exact in 8 s']:.0f} cells of the view painted 8 s after the first, a tile each")
    tell(f"{where}: {found['slide']:.0f} s for the whole slide with shared tiles, window and all")
    for name, ours, asked in (
        ("click to the first painted cells in view, a tile each", found["first"], 2.0),
        ("click to the first painted cells in view, shared tiles", found["grid first"], 2.0),
        ("click to all cells of a 750 x 500 um view, shared tiles", found["grid view"], 5.0),
        ("edit to the new prediction of the nucleus, painted", found["edit"], 1.0),
        ("the same while the slide is predicted", found["edit meanwhile"], 1.0),
        ("cancel to the end of the job, the longer of two", found["cancel"], 0.5),
        ("longest turn of the window's events meanwhile", found["longest"], 0.1),
    ):
        name = f"{where}: {name} (baseline: what is asked)"
        show_cost(name, ours, asked, "s", f"ours < {asked:g}")
    panned = f"{where}: longest turn of the window's events while panning and predicting"
    show_cost(
        f"{panned} (baseline: the same window, panned without a job)",
        found["pan"],
        found["pan without a job"],
        "s",
        "ours < baseline + 0.1",
    )
    name = f"{where}: memory of the window's process (baseline: what is asked)"
    show_cost(name, found["megabytes"], 3000, "MB", "ours < 3000")


def show_switch(cells: int) -> None:
    """Another model with the same encoder."""
    tell(f"another model on {cells:,} cells from the store")
    ours, exact = measure_switch(cells), measure_switch(cells, "float32")
    name = f"another model, {cells:,} cells x 1,820 genes, {ours.precision}"
    show_cost(f"{name} (baseline: in float32)", ours.seconds, exact.seconds, "s", "ours < 3")
    peak = max(ours.peak_bytes, exact.peak_bytes) / 1e6
    show_cost(
        "its memory, with both models' tables (baseline: what is asked)",
        peak,
        3000,
        "MB",
        "ours < 3000",
    )


if __name__ == "__main__":
    sys.exit(main())
