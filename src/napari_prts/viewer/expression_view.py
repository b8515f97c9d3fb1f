"""Expression over the tissue: predicted and measured, one canvas or side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_prts.viewer.bins_layer import BinsLayer, bins_limits
from napari_prts.viewer.cell_dots import CellDots
from napari_prts.viewer.cell_layer import CellLayer, Look
from napari_prts.viewer.cell_names import is_simulated, layer_name
from napari_prts.viewer.cell_values import Cells, CellTable
from napari_prts.viewer.compare_difference import DifferenceLayer, difference_limit
from napari_prts.viewer.compare_stage import Stage
from napari_prts.viewer.known_cells import KnownCells, model_hash
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.painted_side import CellSeen, PaintedSide, Painting, limits_of

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.study import Study
    from napari_prts.viewer.painting import Limits
    from napari_prts.visium_hd.larger_bins import BinnedSection

__all__ = ["CellSeen", "ExpressionView", "Painting", "is_simulated", "layer_name"]

SIDES = {"measured": Role.MEASURED, "predicted": Role.PREDICTED}
# Seconds between two repaints of cells that arrive, and how much longer than a repaint takes:
# so many cells come that the window would do nothing else.
_PAUSE = 0.2
_PATIENCE = 4.0


class ExpressionView:
    """Paints a study's predicted and measured cells.

    While a prediction runs, its cells are painted as they arrive: :meth:`follow_arrived`
    repaints some five times a second at most, and leaves out a batch that comes too soon
    after another. What was left out is painted with the next batch, at the prediction's
    end, or by :meth:`repaint_arrived`, which a window may call now and then (a paused
    prediction sends no further batch).

    Parameters
    ----------
    book : LayerBook
        Where the layers go.
    study : Study
        What is painted.
    clock : callable
        Seconds, for the pause between repaints.

    Attributes
    ----------
    painting : Painting or None
        What is painted.
    arriving_painting : Painting
        What is painted when a prediction begins and nothing was painted before.
    arrived_dirty : bool
        Whether cells have arrived that are not painted yet.
    stage : Stage
        How the sides share the canvas.
    """

    def __init__(
        self, book: LayerBook, study: Study, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._book = book
        self._study = study
        self._clock = clock
        self.painting: Painting | None = None
        self.arriving_painting = Painting(total=True)
        self.arrived_dirty = False
        self._not_before = 0.0
        self._began_painting = False
        self._predicted_before: AnnData | None = None
        self._model = ""
        self.stage = Stage(book, study)
        self.stage.line.moved.connect(self._show)
        self._layers = {side: CellLayer(book, role) for side, role in SIDES.items()}
        self._bins = BinsLayer(book, study)
        self._difference = DifferenceLayer(book, study)
        self._known = KnownCells(study)
        self._painted: dict[str, PaintedSide] = {}
        self._limits: dict[str, Limits] = {}
        self._look: dict[str, Look] = {}

    def paint(self, painting: Painting) -> list[str]:
        """Paint a gene, the total or the clusters on every side that has them.

        Parameters
        ----------
        painting : Painting
            What and how.

        Returns
        -------
        list of str
            The sides painted: ``"predicted"``, ``"measured"``.
        """
        self._began_painting = False
        for layer in self._layers.values():
            layer.revive()
        self._bins.revive()
        for role in (Role.DIFFERENCE, Role.SWIPE_LINE):
            self._book.revive(role)
        return self._paint(painting)

    def repaint(self) -> None:
        """Paint again after the study changed; nothing if nothing was painted."""
        if self.painting is not None:
            self._paint(self.painting)

    def clear(self) -> None:
        """Take the painting away and show the H&E alone."""
        self.painting = None
        self._book.remove_all(
            (*SIDES.values(), Role.BINS, Role.DIFFERENCE, Role.SWIPE_LINE, Role.SLIDE_COPY)
        )
        for layer in self._layers.values():
            layer.remove()
        self._bins.remove()
        self._difference.remove()
        self._painted, self._limits, self._look = {}, {}, {}
        self.stage.clear()

    def follow_arriving(self) -> None:
        """Lay out the cells that are to come, or put away what no longer comes.

        When nothing is painted, the total is; but not when the same model has predicted
        before: then the user wants to see the H&E alone, and corrects nuclei, say.
        """
        study, arriving = self._study, self._study.arriving
        model = "" if arriving is None else arriving.model_hash
        other, self._model = model != self._model, model
        self._not_before = 0.0
        if other:
            self._limits = {}
        if arriving is None:
            # Without new cells it was cancelled: as before there is nothing to see.
            if self._began_painting and study.predicted is self._predicted_before:
                self.clear()
            self._began_painting, self._predicted_before = False, None
        elif self.painting is None and other and model_hash(study.predicted) != model:
            self._began_painting, self._predicted_before = True, study.predicted
            self.painting = replace(self.arriving_painting, gene=None, total=True)
        self.repaint()

    def follow_arrived(self) -> None:
        """Paint what has arrived, unless that was done a moment ago."""
        self.arrived_dirty = True
        if self._clock() >= self._not_before:
            self.repaint_arrived()

    def repaint_arrived(self) -> None:
        """Paint what has arrived since the last repaint; nothing if nothing has."""
        if not self.arrived_dirty:
            return
        started = self._clock()
        self.arrived_dirty = False
        self.repaint()
        now = self._clock()
        self._not_before = now + max(_PAUSE, _PATIENCE * (now - started))

    @property
    def limits(self) -> dict[str, Limits]:
        """Values of the lowest and the highest colour of each painted side; none for clusters."""
        painted = self.painting is not None and not self.painting.clusters
        return dict(self._limits) if painted else {}

    @property
    def values(self) -> dict[str, NDArray[np.float32]]:
        """What is painted of each side, a value a cell; NaN where it is not known."""
        return {side: painted.values for side, painted in self._painted.items()}

    @property
    def shown(self) -> dict[str, tuple[PaintedSide, Look]]:
        """The sides as they are on screen: the cells, and how their values become colours."""
        looks = {} if self.painting is None else self._looks(self.painting)
        return {side: (painted, looks[side]) for side, painted in self._painted.items()}

    @property
    def bins_painted(self) -> tuple[NDArray[np.float32], Limits] | None:
        """Counts and limits of the bins that are seen; None where cells are."""
        painting, section = self.painting, self._bins.section
        if painting is None or section is None or not self._bins.has(painting):
            return None
        values = self._bins.values(str(painting.gene))
        return values, bins_limits(values, painting)

    @property
    def difference_painted(self) -> tuple[NDArray[np.float32], float] | None:
        """Predicted minus measured and its limit on both sides of zero; None if it is not seen."""
        values = self._difference.values
        if self.painting is None or self.stage.mode != "difference" or values is None:
            return None
        return values, difference_limit(values, self.painting)

    @property
    def bins(self) -> BinnedSection | None:
        """The bins that are shown in the place of measured cells; None shows the cells."""
        return self._bins.section

    def measure_by(self, bins: BinnedSection | None) -> None:
        """Show bins as the machine measured them in the place of the measured cells.

        Parameters
        ----------
        bins : BinnedSection or None
            Of the section that the study's measured cells are from; None shows the cells.
            With other measured cells the bins are forgotten.
        """
        self._bins.take(bins)
        self._bins.revive()
        self._show()

    def drawn(self, seconds: float) -> None:
        """Tell how long the window took to draw the last repaint; it is given a rest of that, too.

        Without a graphics card, drawing takes the cores that encode the cells to come.

        Parameters
        ----------
        seconds : float
            From the repaint on.
        """
        rest = self._clock() + _PATIENCE * seconds
        self._not_before = max(self._not_before, rest)

    def cell_at(self, side: str, row: float, column: float) -> CellSeen | None:
        """Find the cell whose dot is on top at a place.

        Parameters
        ----------
        side : str
            ``"predicted"`` or ``"measured"``.
        row, column : float
            In level-0 pixels.

        Returns
        -------
        CellSeen or None
            None where no cell is, or nothing is painted.
        """
        painted = self._painted.get(side)
        return None if painted is None else painted.seen_at(row, column)

    def _paint(self, painting: Painting) -> list[str]:
        old = self.painting
        if old is None or not painting.same_limits(old):
            self._limits = {}
        self.painting, self.arrived_dirty = painting, False
        before, self._painted = self._painted, {}
        for side, cells in self._paintable(painting).items():
            dots = self._dots(cells, painting, [*before.values(), *self._painted.values()])
            self._painted[side] = self._read(cells, dots, painting, before.get(side))
        self._look = self._looks(painting)
        self.stage.set(painting, self._painted)
        self._show(begins=old is None and self._study.arriving is None)
        return list(self._painted)

    def _show(self, *, begins: bool = False) -> None:
        """Show what is painted as the stage has it; nothing is read again."""
        painting, slide = self.painting, self._study.slide
        if painting is None:
            return
        seen = self._seen(painting)
        with self.stage.showing(seen, painting.slide_opacity, begins=begins):
            for side, layer in self._layers.items():
                if side not in self._painted:
                    layer.remove()
                elif SIDES[side] in seen:
                    now, name = self._painted[side], layer_name(self._study, side, painting.what)
                    dots = self.stage.cut(SIDES[side], now.dots)
                    layer.show(slide, dots, now.values, self._look[side], name)
            if Role.BINS in seen:
                self._bins.show(painting, lambda squares: self.stage.cut(Role.BINS, squares))
            if Role.DIFFERENCE in seen:
                both = self._painted["predicted"], self._painted["measured"]
                self._difference.show(painting, *both)

    def _seen(self, painting: Painting) -> set[Role]:
        """Layers that show the painting: the sides', bins for cells, or the difference's."""
        if self.stage.mode == "difference":
            return {Role.DIFFERENCE}
        seen = {SIDES[side] for side in self._painted}
        if Role.MEASURED in seen and self._bins.has(painting):
            seen = seen - {Role.MEASURED} | {Role.BINS}
        return seen

    def _paintable(self, painting: Painting) -> dict[str, Cells]:
        gene = painting.gene
        found: dict[str, Cells | None]
        if painting.clusters:
            found = {side: self._known.clustered(side) for side in SIDES}
        elif gene is None:
            found = {"predicted": self._known.expression("predicted")}
        else:
            found = {side: self._known.expression(side) for side in SIDES}
        return {
            side: cells
            for side, cells in found.items()
            if cells is not None and (gene is None or cells.has(gene))
        }

    def _dots(self, cells: Cells, painting: Painting, painted: list[PaintedSide]) -> CellDots:
        """Dots of cells; those of other cells at the same places, such as the other side's."""
        slide = self._study.slide
        diameter = painting.size_um / (slide.mpp or 1.0)
        for other in painted:
            if other.dots.same(cells.centroids, diameter):
                return other.dots
        return CellDots(cells.centroids, slide.shape, diameter)

    def _read(
        self, cells: Cells, dots: CellDots, painting: Painting, before: PaintedSide | None
    ) -> PaintedSide:
        nuclei = self._study.nuclei
        if before is not None and before.holds(cells, painting, nuclei):
            return replace(before, dots=dots)
        return PaintedSide.read(cells, dots, painting, nuclei)

    def _looks(self, painting: Painting) -> dict[str, Look]:
        if painting.clusters:
            return {
                side: Look.of_clusters(
                    painted.cells.clusters,
                    self._opacity(side, painting),
                    painted.cells.cluster_colours,
                )
                for side, painted in self._painted.items()
                if isinstance(painted.cells, CellTable)
            }
        values = {side: painted.values for side, painted in self._painted.items()}
        limits = limits_of(values, painting)
        if self._study.arriving is not None and painting.limits is None:
            # Colours that change their meaning with each batch could not be read.
            limits = {side: each.widened(self._limits.get(side)) for side, each in limits.items()}
        self._limits = limits
        return {
            side: Look(
                each,
                painting.colormap,
                log=painting.log,
                hide_zeros=painting.hide_zeros,
                opacity=self._opacity(side, painting),
            )
            for side, each in limits.items()
        }

    def _opacity(self, side: str, painting: Painting) -> NDArray[np.float32] | None:
        """How much of each cell of a side is drawn."""
        dimmed = painting.dim_unsure and side == "predicted"
        return self._painted[side].cells.opacity if dimmed else None
