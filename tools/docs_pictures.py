"""Walk through the whole story in a real window, and keep a picture of each step.

    make docs-pictures

Opens the embedded slide, finds its nuclei, corrects one, simulates Visium HD for it, trains a small
model, predicts, compares genes, asks a cell and a region, clusters, exports, saves and opens again:
all by clicks on the real buttons. The pictures go to ``docs/images``; the documents show these.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from PIL import Image
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_prts.jobs import run
from napari_prts.sample_data import demo_slide_path
from napari_prts.viewer.layer_book import Role
from napari_prts.visium_hd import simulate_job
from napari_prts.widgets import open_workspace

IMAGES = Path(__file__).parents[1] / "docs" / "images"
# The smallest screen that must do.
SMALL = (1366, 768)
QUALITY = 80
PATIENCE_S = 600.0
GENES = 3


class Walk:
    """A window, somebody's hands on it, and a camera.

    Parameters
    ----------
    folder : Path
        Where pictures go.
    scratch : Path
        Where what is exported and saved goes.
    theme : str
        Of napari.
    """

    def __init__(self, folder: Path, scratch: Path, theme: str = "dark") -> None:
        self.folder, self.scratch = folder, scratch
        self.viewer = napari.Viewer(title="napari-prts")
        self.viewer.theme = theme
        self.viewer.window.resize(*SMALL)
        self.workspace = open_workspace(self.viewer)
        self.number = 0

    @property
    def study(self) -> Any:
        return self.workspace.session.study

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Let the window live until something is so."""
        end = time.monotonic() + PATIENCE_S
        while not done():
            QApplication.processEvents()
            time.sleep(0.005)
            if time.monotonic() > end:
                raise TimeoutError(f"the window does not get there: {what}")

    def rest(self, seconds: float = 0.6) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end, "resting")

    def work(self) -> None:
        """Wait for all jobs."""
        jobs = self.workspace.session.jobs
        self.rest(0.2)
        self.until(lambda: jobs.running is None, "the end of the jobs")
        self.rest(0.2)

    def picture(self, name: str) -> None:
        """Keep what is on screen, without the notifications that lie over the scale bar."""
        self.rest()
        for said in self.viewer.window._qt_window.findChildren(NapariQtNotification):
            said.close()
        self.rest(0.2)
        self.number += 1
        shot = self.viewer.screenshot(canvas_only=False, flash=False)
        path = self.folder / f"walk-{self.number:02d}-{name}.jpg"
        Image.fromarray(np.ascontiguousarray(shot[..., :3])).save(path, quality=QUALITY)
        print(path, flush=True)

    def click(self, widget: QWidget) -> None:
        """Click a button as a hand does: only if it can be clicked."""
        if not (widget.isVisible() and widget.isEnabled()):
            raise RuntimeError(f"{widget.text()!r} cannot be clicked now")  # type: ignore[attr-defined]
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton)
        QApplication.processEvents()

    def look(self, row: float, column: float, height_um: float) -> None:
        """Show so many micrometres around a place in level-0 pixels."""
        mpp, camera = self.study.slide.mpp, self.viewer.scene.camera
        camera.zoom = self.viewer.canvas.size[0] / height_um
        camera.center = (0.0, row * mpp, column * mpp)
        self.rest()

    def click_slide(self, row: float, column: float) -> None:
        """Click a place of the slide, in level-0 pixels, on a single canvas."""
        mpp, camera = self.study.slide.mpp, self.viewer.scene.camera
        height, width = self.viewer.canvas.size
        x = (column * mpp - camera.center[-1]) * camera.zoom + width / 2
        y = (row * mpp - camera.center[-2]) * camera.zoom + height / 2
        native = self.viewer.window._qt_viewer.canvas.native
        left, none, key = (
            Qt.MouseButton.LeftButton,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
        )
        for kind, button, held in (
            (QEvent.Type.MouseMove, none, none),
            (QEvent.Type.MouseButtonPress, left, left),
            (QEvent.Type.MouseButtonRelease, left, none),
        ):
            QTest.qWait(15)
            place = QPointF(x, y)
            QApplication.sendEvent(native, QMouseEvent(kind, place, place, button, held, key))
        self.rest(0.3)

    def key(self, key: Any) -> None:
        """Press a key on the canvas."""
        QTest.keyClick(self.viewer.window._qt_viewer.canvas.native, key)
        self.rest(0.2)

    def mode(self, name: str) -> None:
        box = self.workspace.explore.compare.mode
        box.setCurrentIndex(box.findData(name))
        self.rest()

    def page(self, page: QWidget) -> None:
        self.workspace.tabs.setCurrentWidget(self.workspace.explore)
        self.workspace.explore.pages.setCurrentWidget(page)
        self.rest(0.2)


def open_the_slide(walk: Walk) -> None:
    walk.picture("empty")
    walk.workspace.session.open(demo_slide_path())
    walk.until(lambda: walk.study is not None, "the slide")
    walk.work()
    walk.picture("slide")


def find_nuclei(walk: Walk) -> None:
    panel = walk.workspace.nuclei
    walk.workspace.tabs.setCurrentWidget(panel)
    walk.click(panel.find_button)
    walk.work()
    walk.picture("nuclei")


def correct(walk: Walk) -> None:
    nuclei = walk.study.nuclei
    row, column = dense_place(nuclei.centroids)
    walk.look(row, column, 60.0)
    nearest = int(np.argmin(((nuclei.centroids - (row, column)) ** 2).sum(axis=1)))
    before = len(nuclei)
    walk.key(Qt.Key.Key_S)
    walk.click_slide(*nuclei.centroids[nearest])
    walk.picture("selected")
    walk.key(Qt.Key.Key_Delete)
    walk.until(lambda: len(walk.study.nuclei) == before - 1, "the nucleus to go")
    walk.key(Qt.Key.Key_Escape)
    walk.picture("corrected")


def predict(walk: Walk) -> None:
    panel = walk.workspace.predict
    walk.workspace.tabs.setCurrentWidget(panel)
    folder = walk.scratch / "visium_hd"
    run(simulate_job(walk.study.slide, walk.study.nuclei, folder, seed=0))
    panel.measured.measure(folder)
    walk.work()
    panel.training.epochs.setValue(40)
    walk.click(panel.training.start_button)
    walk.work()
    walk.picture("trained")
    walk.viewer.fit_to_view()
    walk.click(panel.predict_button)
    walk.until(lambda: walk.study.predicted is not None, "the prediction")
    walk.work()
    walk.picture("predicted")


def compare_genes(walk: Walk) -> list[str]:
    page = walk.workspace.explore.gene
    walk.page(page)
    genes = best_genes(walk.study)
    for gene in genes:
        page.genes.search.clear()
        QTest.keyClicks(page.genes.search, gene.lower())
        QTest.keyClick(page.genes.search, Qt.Key.Key_Return)
        walk.rest()
        assert walk.workspace.session.brush.gene == gene
        walk.picture("gene")
    for mode in ("swipe", "difference"):
        walk.mode(mode)
        walk.picture(mode)
    walk.mode("one")
    return genes


def ask_a_cell(walk: Walk) -> None:
    explore = walk.workspace.explore
    centroids = walk.study.nuclei.centroids
    row, column = dense_place(centroids)
    walk.look(row, column, 120.0)
    nearest = int(np.argmin(((centroids - (row, column)) ** 2).sum(axis=1)))
    walk.click_slide(*centroids[nearest])
    walk.work()
    assert explore.pages.currentWidget() is explore.cell
    walk.picture("cell")


def ask_a_region(walk: Walk) -> None:
    explore = walk.workspace.explore
    walk.look(*dense_place(walk.study.nuclei.centroids), 400.0)
    walk.page(explore.region)
    walk.click(explore.region.source.view_button)
    walk.work()
    walk.picture("region")
    walk.workspace.session.study.choose([])


def trust(walk: Walk) -> None:
    walk.viewer.fit_to_view()
    walk.page(walk.workspace.explore.trust)
    walk.work()
    walk.mode("beside")
    walk.picture("trust")


def cluster(walk: Walk) -> None:
    page = walk.workspace.explore.clusters
    walk.page(page)
    walk.click(page.controls.find_button)
    walk.work()
    walk.picture("clusters")
    walk.click(page.sections["UMAP"].line)
    walk.rest()
    walk.click(page.umap.make_button)
    walk.work()
    walk.picture("umap")


def export_and_save(walk: Walk, gene: str) -> Path:
    from napari_prts.widgets.export._export_figure import FigureSize

    walk.page(walk.workspace.explore.gene)
    walk.workspace.session.brush.paint_gene(gene)
    walk.look(*dense_place(walk.study.nuclei.centroids), 500.0)
    menu = walk.workspace.save
    for ending in ("png", "svg", "pdf"):
        menu.exports.figure(walk.scratch / f"figure.{ending}", FigureSize())
        walk.work()
    picture = Image.open(walk.scratch / "figure.png").convert("RGB")
    picture.thumbnail((1600, 1600))
    picture.save(walk.folder / "figure.jpg", quality=QUALITY)
    path = walk.scratch / "walk.prts"
    menu.sessions.save(path)
    walk.work()
    walk.picture("saved")
    return path


def open_again(walk: Walk, path: Path) -> None:
    walk.viewer.close()
    again = Walk(walk.folder, walk.scratch, theme="light")
    again.number = walk.number
    again.workspace.save.sessions.open(path)
    again.until(lambda: again.study is not None, "the session")
    again.work()
    again.workspace.tabs.setCurrentWidget(again.workspace.explore)
    again.picture("again")
    assert again.workspace.session.view.book.get(Role.PREDICTED) is not None
    again.viewer.close()


def dense_place(centroids: np.ndarray) -> tuple[float, float]:
    """Middle of where nuclei are densest, in squares of 300 px."""
    cells, count = np.unique(np.floor(centroids / 300), axis=0, return_counts=True)
    row, column = (cells[np.argmax(count)] + 0.5) * 300
    return float(row), float(column)


def best_genes(study: Any) -> list[str]:
    """The genes that are predicted best."""
    rows: dict[str, dict[str, Any]] = study.agreement().as_dict()["per_gene"]
    scored: Iterable[str] = (gene for gene, row in rows.items() if row["pcc"] is not None)
    return sorted(scored, key=lambda gene: -rows[gene]["pcc"])[:GENES]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=IMAGES, help="where the pictures go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("walk-*.jpg"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        walk = Walk(folder, Path(scratch))
        open_the_slide(walk)
        find_nuclei(walk)
        correct(walk)
        predict(walk)
        genes = compare_genes(walk)
        ask_a_cell(walk)
        ask_a_region(walk)
        trust(walk)
        cluster(walk)
        open_again(walk, export_and_save(walk, genes[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
