"""Predicted minus measured, cell by cell, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from napari_prts.viewer.cell_names import is_simulated
from napari_prts.viewer.cell_picture import CellPicture
from napari_prts.viewer.cell_values import CellTable
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.viewer.painted_side import PaintedSide, Painting

Values = NDArray[np.float32]

# What is subtracted, for a tooltip.
DIFFERENCE_WORDS = (
    "Predicted minus measured, cell by cell. In both, each cell's counts are first brought to the "
    "same sum over the genes that both have (the median of the measured cells), then "
    "log(1 + count) is taken. Orange: predicted higher. Blue: measured higher."
)
# Blue to orange are told apart by the colour-blind (Okabe and Ito, 2008) and in neither stain;
# the middle is a pale grey, which glass and pink tissue behind faded H&E are not.
_LEAST = 1e-3
_COLOURS = ("#0a4fa3", "#3f9be0", "#e6e6dc", "#f08c1e", "#9a3400")


class Difference:
    """What predicted and measured cells differ by; what all genes share is worked out once.

    Parameters
    ----------
    predicted, measured : CellTable
        Counts. Cells that only one has are left out.
    """

    def __init__(self, predicted: CellTable, measured: CellTable) -> None:
        self.predicted, self.measured = predicted, measured
        _, self._here, self._there = np.intersect1d(
            predicted.ids, measured.ids, return_indices=True
        )
        found = measured.table.var_names.get_indexer(predicted.table.var_names)
        own = np.zeros(measured.table.n_vars, np.float32)
        own[found[found >= 0]] = 1
        ours = _sums(predicted, (found >= 0).astype(np.float32))[self._here]
        theirs = _sums(measured, own)[self._there]
        depth = float(np.median(theirs[theirs > 0])) if (theirs > 0).any() else 1.0
        with np.errstate(divide="ignore"):
            # A cell without counts says nothing of a gene's share.
            self._scale = [np.where(sums > 0, depth / sums, np.nan) for sums in (ours, theirs)]

    def of(self, predicted: CellTable, measured: CellTable) -> bool:
        """Whether this is of such cells."""
        return predicted is self.predicted and measured is self.measured

    def gene(self, name: str) -> Values:
        """Predicted minus measured, shape (predicted cells,).

        Parameters
        ----------
        name : str
            A gene that both have.

        Returns
        -------
        ndarray of float32
            Of log1p of counts per median depth; NaN in cells that were not measured or have
            no counts at all.
        """
        ours = self.predicted.gene(name)[self._here] * self._scale[0]
        theirs = self.measured.gene(name)[self._there] * self._scale[1]
        values = np.full(len(self.predicted.ids), np.nan, np.float32)
        values[self._here] = np.log1p(ours) - np.log1p(theirs)
        return values


def _sums(cells: CellTable, genes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Counts of each cell over some genes."""
    return np.asarray(cells.table.X @ genes, np.float64).ravel()


class DifferenceLayer:
    """The difference in the viewer.

    Parameters
    ----------
    book : LayerBook
        Where the layer goes.
    study : Study
        Whose slide.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self._difference: Difference | None = None
        self._picture: CellPicture | None = None
        self._layer: Image | None = None
        self._shown: Values | None = None

    @property
    def values(self) -> Values | None:
        """What was shown last, shape (predicted cells,); None if nothing was."""
        return self._shown

    def show(self, painting: Painting, predicted: PaintedSide, measured: PaintedSide) -> None:
        """Show the difference of a gene.

        Parameters
        ----------
        painting : Painting
            Which gene; for its limits see :func:`difference_limit`.
        predicted, measured : PaintedSide
            Cells of tables that have the gene.
        """
        values = self._shown = self._values(painting, predicted, measured)
        limit = difference_limit(values, painting)
        name = difference_name(self._study, str(painting.gene))
        layer, picture = self._layer, self._picture
        if layer is None or picture is None or not self._book.holds(Role.DIFFERENCE, layer):
            self._add(predicted, values, limit, name)
            return
        picture.show(predicted.dots, values)
        place = geometry(self._study.slide)
        layer.scale, layer.units = place["scale"], place["units"]
        layer.refresh(extent=False, highlight=False, thumbnail=False)
        layer.contrast_limits = (-limit, limit)
        layer.name = name
        self._book.bring_back(Role.DIFFERENCE)

    def remove(self) -> None:
        """Take the layer away."""
        self._book.remove(Role.DIFFERENCE)
        self._layer = self._picture = self._difference = self._shown = None

    def _values(self, painting: Painting, predicted: PaintedSide, measured: PaintedSide) -> Values:
        ours, theirs = predicted.cells, measured.cells
        # The stage asks for the difference of whole tables only.
        assert isinstance(ours, CellTable)
        assert isinstance(theirs, CellTable)
        if self._difference is None or not self._difference.of(ours, theirs):
            self._difference = Difference(ours, theirs)
        values = self._difference.gene(str(painting.gene))
        values[predicted.gone] = np.nan
        return values

    def _add(self, predicted: PaintedSide, values: Values, limit: float, name: str) -> None:
        self._picture = CellPicture(self._study.slide.shape)
        self._picture.show(predicted.dots, values)
        layer = Image(
            self._picture.levels,
            multiscale=True,
            name=name,
            colormap=difference_colormap(),
            contrast_limits=(-limit, limit),
            **geometry(self._study.slide),
        )
        overlay, bar = layer.name_overlay, layer.colorbar
        overlay.visible, overlay.font_size, overlay.box = True, 11, True
        overlay.position = "top_left"
        bar.visible, bar.box, bar.font_size, bar.size = True, True, 9, (16, 120)
        bar.position = "bottom_left"
        self._layer = layer if self._book.add(Role.DIFFERENCE, layer) else None


def difference_limit(values: Values, painting: Painting) -> float:
    """Find the difference of the strongest colour, the same on both sides of zero.

    Parameters
    ----------
    values : ndarray of float32
        Differences; NaN where there is none.
    painting : Painting
        What is drawn by hand holds; otherwise, of its percentiles, the upper one.
    """
    if painting.difference_limit is not None:
        return max(painting.difference_limit, _LEAST)
    known = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(known, painting.percentiles[1])) if known.size else 0.0
    return max(limit, _LEAST)


def difference_name(study: Study, gene: str) -> str:
    """Name the layer so that it says what is subtracted from what."""
    word = "simulated" if is_simulated(study.measured, "measured") else "measured"
    training = " (simulated training)" if is_simulated(study.predicted, "predicted") else ""
    return f"Predicted minus {word} {gene}{training}"


def difference_colormap() -> Colormap:
    """Return the colours from measured higher to predicted higher; none for NaN."""
    return Colormap(list(_COLOURS), name="predicted minus measured", nan_color=(0, 0, 0, 0))
