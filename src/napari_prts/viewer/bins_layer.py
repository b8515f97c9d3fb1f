"""Measured bins of 8 or 16 um in the place of the measured cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.viewer.bins_squares import BinSquares
from napari_prts.viewer.cell_layer import CellLayer, Look
from napari_prts.viewer.compare_cut import CutDots
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.painting import Limits, percentile_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_prts.study import Study
    from napari_prts.viewer.cell_dots import CellDots
    from napari_prts.viewer.painted_side import Painting
    from napari_prts.visium_hd.larger_bins import BinnedSection

Values = NDArray[np.float32]


class BinsLayer:
    """A measured section's bins, as long as the study's measured cells are of that section.

    Parameters
    ----------
    book : LayerBook
        Where the layer goes.
    study : Study
        Whose slide and measured cells.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._study = study
        self._layer = CellLayer(book, Role.BINS)
        self._section: BinnedSection | None = None
        self._of: object = None
        self._squares: BinSquares | None = None
        self._columns: dict[str, int] = {}
        self._shown: tuple[str, Values] | None = None

    @property
    def section(self) -> BinnedSection | None:
        """What is shown instead of the measured cells; None shows the cells."""
        if self._section is not None and self._of is not self._study.measured:
            self.take(None)
        return self._section

    def take(self, section: BinnedSection | None) -> None:
        """Show another section, or the cells again."""
        self._section, self._of = section, self._study.measured
        self._shown, self._squares, self._columns = None, None, {}
        if section is not None:
            self._squares = BinSquares(section.centres, section.axes, self._study.slide.shape)
            self._columns = {str(gene): at for at, gene in enumerate(section.genes)}

    def has(self, painting: Painting) -> bool:
        """Whether bins can be shown of what is painted."""
        return self.section is not None and painting.gene in self._columns

    def values(self, gene: str) -> Values:
        """Counts of one gene, shape (bins,)."""
        assert self._section is not None
        if self._shown is None or self._shown[0] != gene:
            counts, column = self._section.counts, self._columns[gene]
            first, last = counts.indptr[column : column + 2]
            values = np.zeros(len(self._section), np.float32)
            values[counts.indices[first:last]] = counts.data[first:last]
            self._shown = gene, values
        return self._shown[1]

    def show(self, painting: Painting, cut: Callable[[CellDots], CellDots | CutDots]) -> None:
        """Show the bins of the painted gene.

        Parameters
        ----------
        painting : Painting
            Its limits drawn by hand hold for bins too; see :func:`bins_limits`.
        cut : callable
            Leaves the squares that are to be seen.
        """
        assert self._section is not None
        assert self._squares is not None
        assert painting.gene is not None
        values = self.values(painting.gene)
        look = Look(
            bins_limits(values, painting),
            painting.colormap,
            log=painting.log,
            hide_zeros=painting.hide_zeros,
        )
        name = bins_name(painting.gene, self._section)
        self._layer.show(self._study.slide, cut(self._squares), values, look, name)

    def revive(self) -> None:
        """Show the layer again even if the user deleted it."""
        self._layer.revive()

    def remove(self) -> None:
        """Take the layer away; the section stays."""
        self._layer.remove()


def bins_limits(values: Values, painting: Painting) -> Limits:
    """Find the colour limits of bins.

    Parameters
    ----------
    values : ndarray of float32, shape (bins,)
        Counts.
    painting : Painting
        Limits drawn by hand hold for cells and bins, so that a colour is a number. Percentiles
        are never shared with cells: a bin of 8 um holds a part of a cell's counts, and there
        are many more of them.
    """
    if painting.limits is not None:
        return painting.limits
    low, high = painting.percentiles
    return percentile_limits(values, low=low, high=high)


def bins_name(gene: str, section: BinnedSection) -> str:
    """Name the layer so that it says measured or simulated, and how large the bins are."""
    word = "Simulated" if section.simulated else "Measured"
    return f"{word} {gene}, {section.bin_um} um bins"
