"""A real window in which a section is predicted, and how soon it answers."""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
from _figures import tell
from _her2st_slide import VIT, mosaic, slide_with_nuclei
from _switching import made_up_bundle

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle

CANVAS = (1600, 950)
# The view, in micrometres: rows and columns.
VIEW_UM = (500.0, 750.0)
PATIENCE_S = 400.0
TICK_S = 0.005
# How far and how often the camera moves while panning, in micrometres and seconds.
PAN_UM, PAN_EVERY_S = 60.0, 0.05


class Watch:
    """A window with a slide, its nuclei and a model that is ready."""

    def __init__(
        self, slide_path: Path | None, nuclei: Path | None, cells: int | None, folder: Path
    ) -> None:
        import napari

        from napari_prts.features import FeatureStore
        from napari_prts.study import Study
        from napari_prts.widgets import open_workspace

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*CANVAS)
        self.workspace = open_workspace(self.viewer)
        slide, found = slide_with_nuclei(slide_path, nuclei)
        if cells is not None:
            slide, found = mosaic(slide, found, cells)
        self.study = Study(slide, FeatureStore(folder / "store"), autosave=False)
        self.workspace.session.show(self.study)
        self.study.set_nuclei(found)
        self.panel = self.workspace.predict
        self.workspace.tabs.setCurrentWidget(self.panel)
        self.study.set_model(model_of(VIT))
        self.longest = 0.0
        self.until(lambda: self.panel.getting_ready.readiness is not None)

    def until(self, done: Callable[[], bool]) -> float:
        """Let the window live until something is so; seconds that took."""
        from qtpy.QtWidgets import QApplication

        started = perf_counter()
        while not done():
            before = perf_counter()
            QApplication.processEvents()
            turn = perf_counter() - before
            self.longest = max(self.longest, turn)
            if before - started > PATIENCE_S:
                raise TimeoutError("the window does not get there")
            # As a window that waits for the next event does.
            sleep(TICK_S)
        return perf_counter() - started

    def look(self) -> None:
        """Show 750 x 500 um, or what of it the canvas allows, where nuclei are densest."""
        height, width = self.viewer.canvas.size
        wide = VIEW_UM[1] / VIEW_UM[0]
        self.viewer.window.resize(CANVAS[0], CANVAS[1] - max(0, round(height - width / wide)))
        self.wait(1)
        mpp = self.study.slide.require_mpp()
        centre = densest(self.study.nuclei.centroids, np.array(VIEW_UM) / mpp)
        camera, (height, width) = self.viewer.scene.camera, self.viewer.canvas.size
        # The canvas is as high as its width allows: nothing else is in view.
        camera.zoom = max(height / VIEW_UM[0], width / VIEW_UM[1])
        camera.center = (0.0, *(centre * mpp))
        # Until the slide's pixels are there and the focus has followed.
        self.wait(3)

    def wait(self, seconds: float) -> None:
        """Let the window live for so long."""
        end = perf_counter() + seconds
        self.until(lambda: perf_counter() > end)

    def pan(self, seconds: float) -> float:
        """Move about as a hand does; the longest turn of the window meanwhile, in seconds."""
        before, self.longest = self.longest, 0.0
        camera, started = self.viewer.scene.camera, perf_counter()
        _, row, column = camera.center
        while (passed := perf_counter() - started) < seconds:
            away = PAN_UM * math.sin(math.tau * passed / seconds)
            camera.center = (0.0, row + away, column + away)
            self.wait(PAN_EVERY_S)
        camera.center = (0.0, row, column)
        found, self.longest = self.longest, max(before, self.longest)
        return found

    def in_view(self) -> np.ndarray:
        """Ids of the cells that are on screen now."""
        view, nuclei = self.workspace.session.focus.view, self.study.nuclei
        assert view is not None
        return np.sort(nuclei.ids[view.holds(nuclei.centroids)])

    def any_painted(self) -> bool:
        return bool(np.isin(self.painted(), self.in_view()).any())

    def all_painted(self) -> bool:
        return bool(np.isin(self.in_view(), self.painted()).all())

    def painted(self) -> np.ndarray:
        """Ids of the cells that have arrived and been painted."""
        view, arriving = self.workspace.session.view, self.study.arriving
        if view is None or arriving is None or view.expression.arrived_dirty:
            return np.empty(0, np.int64)
        return np.asarray(arriving.ids)

    def click(self, button: Any) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def cancel(self) -> float:
        """Cancel; seconds until the job has ended."""
        self.click(self.panel.job_line.cancel)
        return self.until(lambda: self.workspace.session.jobs.running is None)


def model_of(encoder: str) -> ModelBundle:
    """An untrained model of the paper's size for an encoder."""
    from napari_prts.expression import ModelBundle
    from napari_prts.features import load_encoder

    made = made_up_bundle(1)
    return ModelBundle(
        {**made.card, "encoder": encoder, "encoder_key": load_encoder(encoder).key}, made.arrays
    )


def densest(centroids: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Middle of the rectangle on a lattice that holds most points."""
    cells, count = np.unique(np.floor(centroids / size), axis=0, return_counts=True)
    return (cells[np.argmax(count)] + 0.5) * size


def while_looking(
    slide_path: Path | None, nuclei: Path | None, cells: int | None = None
) -> dict[str, float]:
    """Measure all figures of the window.

    Parameters
    ----------
    slide_path, nuclei : path or None
        See :func:`_her2st_slide.slide_with_nuclei`.
    cells : int, optional
        Of a mosaic made of the slide; by default the slide itself.
    """
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["NAPARI_PRTS_CACHE"] = str(Path(temporary) / "cache")
        watch = Watch(slide_path, nuclei, cells, Path(temporary))
        watch.look()
        view = watch.workspace.session.focus.view
        mpp = watch.study.slide.require_mpp()
        size = f"{view.width * mpp:.0f} x {view.height * mpp:.0f} um"
        tell(f"{len(watch.in_view()):,} of {len(watch.study.nuclei):,} cells in view, {size}")
        watch.longest = 0.0
        watch.click(watch.panel.predict_button)
        figures = {"first": watch.until(watch.any_painted)}
        watch.wait(8)
        watch.until(lambda: bool(len(watch.painted())))
        figures["exact in 8 s"] = float(np.isin(watch.painted(), watch.in_view()).sum())
        figures["pan"] = watch.pan(4)
        figures["cancel"] = watch.cancel()
        # What the same window with the same cells takes by itself.
        watch.pan(1)
        figures["pan without a job"] = watch.pan(4)
        shared = _shared(watch)
        figures = {**shared, **figures, "cancel": max(figures["cancel"], shared["cancel"])}
        figures["longest"] = watch.longest
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        figures["megabytes"] = peak / (1e6 if sys.platform == "darwin" else 1e3)
        watch.viewer.close()
        return figures


def _shared(watch: Watch) -> dict[str, float]:
    watch.study.end_arriving()
    box = watch.panel.tiles.box
    box.setCurrentIndex(box.findData("grid"))
    watch.until(lambda: watch.panel.predict_button.isEnabled())
    watch.click(watch.panel.predict_button)
    first = watch.until(watch.any_painted)
    rest = watch.until(watch.all_painted)
    found = {"grid first": first, "grid view": first + rest, "edit meanwhile": _edited(watch)}
    found["cancel"] = watch.cancel()
    tell("all cells, then an edit")
    watch.click(watch.panel.predict_button)
    found["slide"] = watch.until(lambda: watch.study.predicted is not None)
    watch.until(lambda: watch.workspace.session.jobs.running is None)
    return {**found, "edit": _edited(watch)}


def _edited(watch: Watch) -> float:
    """Seconds from an edit to the new prediction of that nucleus, painted."""
    seen = watch.in_view()
    id_ = int(seen[len(seen) // 2])
    outline = watch.study.nuclei.polygon(int(watch.study.nuclei.positions_of([id_])[0]))
    came: list[float] = []

    def on_arrived() -> None:
        if watch.study.arriving is not None and not came and _has_new(watch.study, id_, before):
            came.append(perf_counter())

    before = _values(watch.study, id_)
    watch.study.arrived.connect(on_arrived)
    started = perf_counter()
    watch.study.edit(replaced={id_: outline + 8}, label="move outline")
    watch.until(lambda: bool(came) and not _dirty(watch))
    edited = perf_counter() - started
    watch.study.arrived.disconnect(on_arrived)
    return edited


def _dirty(watch: Watch) -> bool:
    view = watch.workspace.session.view
    return view is None or view.expression.arrived_dirty


def _values(study: Any, id_: int) -> float:
    if study.arriving is None:
        cells = study.predicted
        row = np.flatnonzero(cells.obs["id"].to_numpy() == id_)
        return float(cells.X[row[0]].sum())
    ids, total = study.arriving.total()
    found = total[ids == id_]
    return float(found[0]) if len(found) else math.nan


def _has_new(study: Any, id_: int, before: float) -> bool:
    now = _values(study, id_)
    return not math.isnan(now) and now != before
