"""Measure painting expression over the tissue against plain napari Points layers.

    python benchmarks/painting.py [--quick]

Needs a screen. Each line printed is one figure as JSON, in seconds. Ours is the time until
napari has all that it needs for the next frame; the frame itself, which OpenGL draws, is a
figure of its own. On the plain layers a gene is switched as napari's own guide does it:
``features`` with the gene's values, then ``face_color`` by the gene's name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from _figures import in_fresh_process, seconds_of, show_cost, tell
from _nuclei import MPP, PLANE, plane

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

CANVAS = (1500, 950)
SIZE_UM = 9.0
# Shares of the slide's height that is in view: all of it, and one in which cells are dots.
VIEWS = {"whole slide": 1.0, "a fifth": 0.2}
# As the network predicts them one after another, and as many as a prediction of a view has.
BATCH = 8
BATCHES = 20

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How many cells, how many genes they have, and after how many of these one stops."""

    cells: int
    genes: int
    rounds: int = 5


# 500,000 cells of 1,820 genes would be 3.6 GB; their genes lie a cache line and more apart
# all the same, which is what reading one of them costs.
# One frame of 500,000 points takes software OpenGL ten seconds.
SIZES = (Size(60_000, 1_820), Size(500_000, 600, rounds=3))
QUICK = (Size(5_000, 100), Size(60_000, 100))


class Window:
    """A napari window, warm."""

    def __init__(self) -> None:
        import napari

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*CANVAS)
        # What napari compiles at the first layer of a kind is no cost of the cells.
        self.viewer.add_points(np.zeros((1, 2)))
        self.viewer.add_image(np.zeros((8, 8), np.float32))
        self.draw()
        self.viewer.layers.clear()
        self.draw()

    def draw(self) -> None:
        """Let the window draw what it has to."""
        from qtpy.QtWidgets import QApplication

        for _ in range(3):
            QApplication.processEvents()

    def look(self, share: float) -> None:
        """Look at the middle of the slide, so much of its height."""
        self.viewer.fit_to_view()
        self.viewer.scene.camera.zoom /= share
        self.draw()


def genes_of(size: Size) -> list[str]:
    """Names of the genes."""
    return [f"G{number}" for number in range(size.genes)]


def tables(size: Size) -> tuple[Any, AnnData, AnnData]:
    """Make nuclei, their predicted table (dense) and their measured one (sparse)."""
    import pandas as pd
    from anndata import AnnData
    from scipy import sparse

    from napari_prts.nuclei import Nuclei

    rng = np.random.default_rng(0)
    middles = rng.uniform(40, np.subtract(PLANE, 40), (size.cells, 1, 2)).astype(np.float32)
    corners = np.array([[-12, 0], [0, 12], [12, 0], [0, -12]], np.float32)
    nuclei = Nuclei.from_polygons(middles + corners)
    shape = (size.cells, size.genes)
    rows = pd.DataFrame({"id": nuclei.ids}, index=nuclei.ids.astype(str))
    names = pd.DataFrame(index=genes_of(size))
    spatial = {"spatial": nuclei.centroids[:, ::-1].copy()}
    dense = rng.standard_exponential(shape, np.float32)
    dense[dense < 0.4] = 0
    counts = sparse.random_array(shape, density=0.1, format="csr", dtype=np.float32, rng=rng)
    predicted = AnnData(dense, rows, names, obsm=spatial, uns={"prts": {"trained_on": "measured"}})
    measured = AnnData(counts, rows.copy(), names.copy(), obsm=dict(spatial))
    return nuclei, predicted, measured


def switching(window: Window, size: Size, switch: Callable[[str], object]) -> tuple[float, float]:
    """Seconds in which one gene after another is painted, and in which it is drawn."""
    painted, drawn = [], []
    for gene in genes_of(size)[: size.rounds + 1]:
        painted.append(seconds_of(lambda gene=gene: switch(gene)))  # type: ignore[misc]
        drawn.append(seconds_of(window.draw))
    # The first one lays out what the others share.
    return float(np.median(painted[1:])), float(np.median(drawn[1:]))


def places(count: int = 50) -> NDArray[np.float64]:
    """Where the mouse is, in level-0 pixels."""
    return np.random.default_rng(1).uniform(0.3, 0.7, (count, 2)) * PLANE


def hovering(look_up: Callable[[float, float], object]) -> float:
    """Seconds in which the cell under the mouse is found."""
    return float(np.median([seconds_of(lambda p=place: look_up(*p)) for place in places()]))  # type: ignore[misc]


def plain(size: Size) -> Figures:
    """Two Points layers."""
    window = Window()
    nuclei, predicted, measured = tables(size)
    sides = (predicted, measured)
    layers = [
        window.viewer.add_points(
            nuclei.centroids, size=SIZE_UM / MPP, border_width=0, scale=(MPP, MPP)
        )
        for _ in sides
    ]

    def switch(gene: str) -> None:
        for layer, table in zip(layers, sides, strict=True):
            column = table[:, gene].X
            values = column.toarray() if hasattr(column, "toarray") else column
            layer.features = {"expression": np.asarray(values).ravel()}
            layer.face_color = "expression"

    figures: Figures = {}
    for view, share in VIEWS.items():
        window.look(share)
        figures[f"switch, {view}"], figures[f"draw, {view}"] = switching(window, size, switch)
    figures["hover"] = hovering(lambda row, column: layers[1].get_value((row, column)))
    return figures


def ours(size: Size) -> Figures:
    """The same by this package."""
    from napari_prts.study import Study
    from napari_prts.viewer import StudyView
    from napari_prts.viewer.expression_view import Painting

    window = Window()
    study = Study(plane(), autosave=False)
    view = StudyView(window.viewer, study, tell)
    nuclei, predicted, measured = tables(size)
    study.set_nuclei(nuclei)
    study.set_predicted(predicted)
    study.set_measured(measured)

    def switch(gene: str) -> None:
        view.expression.paint(Painting(gene, size_um=SIZE_UM))

    figures: Figures = {"first": seconds_of(lambda: switch(genes_of(size)[-1]))}
    window.draw()
    for name, share in VIEWS.items():
        window.look(share)
        figures[f"switch, {name}"], figures[f"draw, {name}"] = switching(window, size, switch)
    figures["hover"] = hovering(lambda r, c: view.expression.cell_at("predicted", r, c))
    return figures


@dataclass(frozen=True)
class Model:
    """What a study wants to know of a model whose cells arrive."""

    genes: tuple[str, ...]
    hash: str = "benchmark"
    trained_on: str = "measured"


def arriving(size: Size) -> Figures:
    """Seconds that the window's thread gives to a batch of cells that arrives."""
    from napari_prts.expression import PredictedCells
    from napari_prts.study import Study
    from napari_prts.viewer import StudyView

    window = Window()
    study = Study(plane(), autosave=False)
    view = StudyView(window.viewer, study, tell)
    nuclei, predicted, _ = tables(size)
    study.set_nuclei(nuclei)
    window.look(1.0)
    model = Model(tuple(genes_of(size)))
    figures: Figures = {"begin": seconds_of(lambda: study.begin_arriving(model, nuclei))}  # type: ignore[arg-type]
    window.draw()
    batches, repaints = [], []
    # Half of the slide is there already: all that has arrived is painted again.
    firsts = [0, *range(size.cells // 2, size.cells // 2 + BATCH * BATCHES, BATCH)]
    for first in firsts:
        part = slice(first, size.cells // 2 if first == 0 else first + BATCH)
        expression = np.asarray(predicted.X[part])
        cells = PredictedCells(nuclei.ids[part], model.genes, expression, expression)
        batches.append(seconds_of(lambda cells=cells: study.take_arrived(cells)))  # type: ignore[misc]
        repaints.append(batches[-1] + seconds_of(view.expression.repaint_arrived))
        window.draw()
    figures["batch, painted"] = float(np.median(repaints[1:]))
    figures["batch, passed over"] = float(np.min(batches[1:]))
    return figures


def report(size: Size, target: float, theirs: Figures) -> None:
    """Print the figures of so many cells."""
    tell(f"{size.cells:,} cells x {size.genes:,} genes")
    mine = in_fresh_process(ours, size)
    for view in VIEWS:
        name = f"{size.cells:,} cells, {view}"
        costs = mine[f"switch, {view}"], theirs[f"switch, {view}"]
        show_cost(f"switch_gene, {name}", *costs, "s", f"ours < {target}, ratio >= 5")
        drawn = mine[f"draw, {view}"], theirs[f"draw, {view}"]
        show_cost(f"draw_gene, {name}", *drawn, "s", None)
    cells = f"{size.cells:,} cells"
    show_cost(f"first_gene, {cells}", mine["first"], theirs["switch, whole slide"], "s", None)
    show_cost(f"hover, {cells}", mine["hover"], theirs["hover"], "s", "ours < 0.005")


def report_arriving(size: Size, theirs: Figures) -> None:
    """Print what cells cost that arrive while a prediction runs."""
    found = in_fresh_process(arriving, size)
    # Points layers would be painted whole for each batch; two were timed.
    baseline = theirs["switch, whole slide"] / 2
    name = f"{size.cells:,} cells"
    show_cost(f"lay_out_arriving, {name}", found["begin"], baseline, "s", None)
    painted, passed = found["batch, painted"], found["batch, passed over"]
    show_cost(f"arrival_of_{BATCH}, {name}", painted, baseline, "s", "ours < 0.05")
    show_cost(f"arrival_of_{BATCH}_not_painted, {name}", passed, baseline, "s", None)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cells, a rough answer")
    few, many = QUICK if parser.parse_args().quick else SIZES
    for size, target in ((few, 0.06), (many, 0.35)):
        tell(f"plain layers of {size.cells:,} cells")
        theirs = in_fresh_process(plain, size)
        report(size, target, theirs)
        report_arriving(size, theirs)


if __name__ == "__main__":
    main()
