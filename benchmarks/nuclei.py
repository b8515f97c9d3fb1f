"""Measure showing and correcting all nuclei of a slide against one plain napari Shapes layer.

    python benchmarks/nuclei.py [--quick]

Needs a screen. Each line printed is one figure as JSON. All are costs (seconds,
megabytes), so the ratio is the baseline's over ours: above 1 we are better. The plain
layer holds as many nuclei as ours in the figures of 60,000; with a million it would not
end in an hour, so that it stands beside those with its 60,000.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from _figures import PeakMemory, in_fresh_process, seconds_of, show_cost, tell
from _nuclei import MPP, PLANE, outlines, plane

CANVAS = (1500, 950)
# As many nuclei in view as are edited comfortably; the view is as wide as that takes.
IN_VIEW = 1000
# Screen pixels between two frames of a quick drag, and frames between two rests of the hand.
STEP = 40
FRAMES = 120
FRAMES_A_REST = 12
PLACES = 5
VISITS = 3
EDITS = 6

Figures = dict[str, float]


@dataclass(frozen=True)
class Counts:
    """How many nuclei."""

    some: int = 60_000
    many: int = 1_000_000


QUICK = Counts(some=5_000, many=60_000)


class Window:
    """A napari window, empty and warm."""

    def __init__(self) -> None:
        import napari

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*CANVAS)
        # What napari imports and compiles at the first layer of a kind is no cost of the nuclei.
        layer = self.viewer.add_shapes([np.array([[0, 0], [9, 0], [9, 9]])], shape_type="polygon")
        layer.remove([0])
        self.viewer.layers.clear()
        self.viewer.add_labels(np.zeros((8, 8), np.uint8))
        self.draw()
        self.viewer.layers.clear()
        self.draw()

    def draw(self) -> None:
        """Let the window draw what it has to."""
        from qtpy.QtWidgets import QApplication

        for _ in range(3):
            QApplication.processEvents()

    def look(self, row: float, column: float, zoom: float) -> None:
        """Move the middle of the view to a place in level-0 pixels; zoom in screen pixels a um."""
        self.viewer.scene.camera.center = (row * MPP, column * MPP)
        self.viewer.scene.camera.zoom = zoom

    def frame(self) -> float:
        """Seconds for what comes before a frame is drawn: the layers fetch what is in view."""
        canvas = self.viewer.window._qt_viewer.canvas
        return seconds_of(lambda: canvas.on_draw(None))


def plain(count: int) -> Figures:
    """One Shapes layer with all nuclei: seconds to show, edit and pan, and its memory."""
    window = Window()
    memory = PeakMemory()
    given = outlines(count)
    figures: Figures = {}

    def work() -> None:
        def show() -> None:
            window.viewer.add_shapes(
                given, shape_type="polygon", edge_width=3, scale=(MPP, MPP), units=("um", "um")
            )
            window.viewer.fit_to_view()
            window.draw()

        figures["show"] = seconds_of(show)
        layer = window.viewer.layers[0]
        edits = [lambda: layer.remove([count // 2]), lambda: layer.add_polygons(given[:1])]
        figures["edit"] = max(seconds_of(edit) for edit in edits)
        window.draw()
        figures["pan"] = max(pan(window, lambda: None))

    figures["memory"] = memory.during(work)
    return figures


def ours(count: int) -> Figures:
    """The same by this package."""
    from napari_prts.nuclei import Nuclei
    from napari_prts.study import Study
    from napari_prts.viewer import StudyView

    window = Window()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_PRTS_DATA"] = folder
        study = Study(plane())
        view = StudyView(window.viewer, study, tell)
        study.set_nuclei(Nuclei.from_polygons(outlines(200)))
        window.draw()
        study.set_nuclei(Nuclei.empty())
        study.autosave.wait()
        memory = PeakMemory()
        figures: Figures = {}

        def work() -> None:
            given = outlines(count)

            def show() -> None:
                study.set_nuclei(Nuclei.from_polygons(given))
                window.viewer.fit_to_view()
                window.draw()

            figures["show"] = seconds_of(show)
            figures["enter"] = enter(window, view, count)
            # Rounds of all kinds of edit: the slowest kind, each by its median.
            edits = np.median(list(correct(study, view.nuclei.window, window)), axis=0)
            figures["edit"], figures["edit drawn"] = edits.max(axis=0).tolist()
            window.look(PLANE[0] / 2, PLANE[1] / 2, 1 / MPP)
            figures["pan"] = max(pan(window, view.nuclei.follow_view))

        figures["memory"] = memory.during(work)
        study.autosave.wait()
    return figures


def enter(window: Window, view: Any, count: int) -> float:
    """Seconds in which the nuclei in view become shapes, at the slowest of several places."""
    rows, columns = window.viewer.canvas.size
    zoom = float(np.sqrt(count / IN_VIEW * rows * columns / (PLANE[0] * PLANE[1]))) / MPP
    rng = np.random.default_rng(1)
    places = rng.uniform(0.25, 0.75, (PLACES, 2)) * PLANE
    taken = np.zeros((VISITS, PLACES))
    for visit, place in np.ndindex(taken.shape):
        window.look(*places[place], zoom)
        window.draw()
        taken[visit, place] = seconds_of(view.nuclei.follow_view)
        window.draw()
    # Other work on the machine does not meet a place each time.
    return float(np.median(taken, axis=0).max())


def correct(study: Any, editing: Any, window: Window) -> Iterator[list[tuple[float, float]]]:
    """Rounds of corrections, each of another kind; see :func:`committed`."""
    layer = editing.layer

    def move() -> None:
        # What napari does when a vertex is let go of.
        index = layer.nshapes // 2
        layer._data_view.edit(index, layer.get_shape_info(index)["data"] + 2)
        layer.events.data(
            value=layer.data, action="changed", data_indices=(index,), vertex_indices=((),)
        )

    middle = np.asarray(window.viewer.scene.camera.center)[-2:] / MPP
    steps: tuple[Callable[[], Any], ...] = (
        lambda: layer.remove([layer.nshapes // 2]),
        lambda: layer.add_polygons(outlines(1)[0] % 30 + middle),
        move,
        study.undo,
        study.redo,
    )
    # The first of a kind finds what is not in memory yet.
    for number in range(EDITS):
        taken = [committed(step, study, window) for step in steps]
        if number:
            yield taken


def committed(step: Callable[[], Any], study: Any, window: Window) -> tuple[float, float]:
    """Seconds until an edit is on disk and fetched to be drawn, and until it is drawn."""

    def work() -> None:
        step()
        study.autosave.wait()

    taken = seconds_of(work)
    return taken, taken + seconds_of(window.draw)


def pan(window: Window, follow: Callable[[], Any]) -> Iterator[float]:
    """Seconds of each frame of a drag, and of what follows when the hand rests."""
    camera = window.viewer.scene.camera
    window.look(PLANE[0] / 2, PLANE[1] / 2, 1 / MPP)
    window.draw()
    follow()
    window.draw()
    for number in range(FRAMES):
        center = np.asarray(camera.center)[-2:] + STEP / camera.zoom * np.array([0.6, 0.8])
        camera.center = tuple(center)
        yield window.frame()
        window.draw()
        if number % FRAMES_A_REST == 0:
            yield seconds_of(follow)
            window.draw()


def words(count: int) -> str:
    return f"{count:,}".replace(",", "_")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer nuclei: a rough answer")
    counts = QUICK if parser.parse_args().quick else Counts()
    tell(f"a plain Shapes layer with {counts.some:,} nuclei")
    theirs = in_fresh_process(plain, counts.some)
    for count in (counts.some, counts.many):
        tell(f"ours with {count:,} nuclei")
        mine = in_fresh_process(ours, count)
        at = f"at {words(count)}"
        same = count == counts.some
        show_cost(
            f"show_all {at}", mine["show"], theirs["show"], "s", "ratio >= 10" if same else None
        )
        show_cost(f"enter_editing_window {at}", mine["enter"], theirs["show"], "s", "ours < 0.3")
        name = f"edit_committed_redrawn_journalled {at}"
        show_cost(name, mine["edit"], theirs["edit"], "s", "ours < 0.1")
        show_cost(f"edit_until_on_screen {at}", mine["edit drawn"], theirs["edit"], "s", None)
        show_cost(f"pan_frame_worst {at}", mine["pan"], theirs["pan"], "s", "ours < 0.1")
        target = "ours < 1500" if count == 1_000_000 else None
        name = "memory_at_a_million" if count == 1_000_000 else f"memory {at}"
        show_cost(name, mine["memory"], theirs["memory"], "MB above idle", target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
