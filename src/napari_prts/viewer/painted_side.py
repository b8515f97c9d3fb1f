"""What is painted of one side: which cells, with which values, and what lies under the mouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.viewer.cell_values import Cells, CellTable
from napari_prts.viewer.painting import BLUE_TO_YELLOW, Limits, percentile_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_prts.nuclei import Nuclei
    from napari_prts.viewer.cell_dots import CellDots

# Two canvases, one with a line to draw across it, one that changes by turns, the difference
# of the two, or one over the other.
MODES = ("beside", "swipe", "blink", "difference", "one")


@dataclass(frozen=True)
class Painting:
    """What is painted and how.

    Parameters
    ----------
    gene : str or None
        The gene; None paints the clusters, or the total.
    colormap : str
        One of :data:`~napari_prts.viewer.painting.COLORMAPS`, or of any napari colormap.
    shared_limits : bool
        The same colour limits for predicted and measured.
    size_um : float
        Diameter of a cell's dot in micrometres.
    slide_opacity : float
        How far the H&E steps back, 0 to 1.
    mode : str
        How two sides are compared, when both exist; one of :data:`MODES`.
    total : bool
        Without a gene: paint each cell's predicted expression of all genes together. It is
        painted on the predicted side only, since measured counts have other genes.
    percentiles : tuple of float
        From which to which percentile of the positive values the colours go.
    limits : Limits, optional
        Where the user has drawn the limits by hand, for both sides, cells and bins; before
        ``percentiles``.
    difference_limit : float, optional
        Where the user has drawn the limit of the difference by hand, on both sides of zero.
    log : bool
        Colours go with the logarithm of one plus the value.
    hide_zeros : bool
        Cells without expression are not drawn at all; otherwise they are faint.
    dim_unsure : bool
        Predicted cells recede the less the model is sure of them: they are drawn with fewer
        of their pixels. Those of which that is not known are drawn in full.
    swapped : bool
        The predicted side comes first: left, or under the cursor's left.
    """

    gene: str | None = None
    colormap: str = BLUE_TO_YELLOW
    shared_limits: bool = True
    size_um: float = 9.0
    slide_opacity: float = 0.55
    mode: str = "beside"
    total: bool = False
    percentiles: tuple[float, float] = (1.0, 99.0)
    limits: Limits | None = None
    difference_limit: float | None = None
    log: bool = False
    hide_zeros: bool = False
    dim_unsure: bool = False
    swapped: bool = False

    @property
    def clusters(self) -> bool:
        """Whether clusters are painted."""
        return self.gene is None and not self.total

    @property
    def what(self) -> str:
        """The gene, ``"clusters"`` or ``"total"``."""
        return self.gene or ("total" if self.total else "clusters")

    def same_limits(self, other: Painting) -> bool:
        """Whether another painting finds its colour limits in the same way."""
        fields = ("what", "shared_limits", "percentiles", "limits")
        return all(getattr(self, name) == getattr(other, name) for name in fields)


def limits_of(values: Mapping[str, NDArray[np.float32]], painting: Painting) -> dict[str, Limits]:
    """Find the colour limits of each side.

    Parameters
    ----------
    values : mapping of ndarray, shape (cells,)
        Expression by side; NaN where it is not known.
    painting : Painting
        Limits drawn by hand hold for all sides; otherwise percentiles, of all sides together
        if they share their limits.
    """
    if painting.limits is not None:
        return dict.fromkeys(values, painting.limits)
    low, high = painting.percentiles
    if painting.shared_limits:
        return dict.fromkeys(values, percentile_limits(*values.values(), low=low, high=high))
    return {side: percentile_limits(each, low=low, high=high) for side, each in values.items()}


@dataclass(frozen=True)
class CellSeen:
    """A cell under the mouse.

    Parameters
    ----------
    id : int
        Of its nucleus.
    value : float or None
        Expression of what is painted; None where clusters are, or where it is not known yet.
    cluster : str or None
        Its cluster, where clusters are painted.
    """

    id: int
    value: float | None
    cluster: str | None


@dataclass(frozen=True, eq=False)
class PaintedSide:
    """A side as it is on screen.

    Parameters
    ----------
    cells : Cells
        The cells.
    version : int
        Of their values.
    gone : ndarray of int64
        Positions of cells whose nucleus is no longer there.
    what : str
        The gene, ``"clusters"`` or ``"total"``.
    values : ndarray of float32, shape (cells,)
        NaN where nothing is painted.
    dots : CellDots
        Where the cells are drawn.
    """

    cells: Cells
    version: int
    gone: NDArray[np.int64]
    what: str
    values: NDArray[np.float32]
    dots: CellDots

    @classmethod
    def read(cls, cells: Cells, dots: CellDots, painting: Painting, nuclei: Nuclei) -> PaintedSide:
        """Read what is to be painted of cells.

        Parameters
        ----------
        cells : Cells
            Cells that have it.
        dots : CellDots
            Where they are drawn.
        painting : Painting
            What is painted.
        nuclei : Nuclei
            The nuclei as they are now.
        """
        gone = cells.gone(nuclei)
        if painting.gene is not None:
            values = cells.gene(painting.gene)
        elif painting.total:
            values = cells.total()
        else:
            assert isinstance(cells, CellTable)
            values = cells.cluster_numbers()
        values[gone] = np.nan
        return cls(cells, cells.version, gone, painting.what, values, dots)

    def holds(self, cells: Cells, painting: Painting, nuclei: Nuclei) -> bool:
        """Whether the values are still those to be painted; see :meth:`read`."""
        same = cells is self.cells and cells.version == self.version
        return same and self.what == painting.what and cells.gone(nuclei) is self.gone

    def seen_at(self, row: float, column: float) -> CellSeen | None:
        """Find the cell whose dot is on top at a place in level-0 pixels, if one is there."""
        covering = self.dots.at(row, column)
        if not len(covering):
            return None
        number = int(covering[-1])
        id_, value = int(self.cells.ids[number]), float(self.values[number])
        if np.isnan(value):
            return CellSeen(id_, None, None)
        if self.what == "clusters" and isinstance(self.cells, CellTable):
            return CellSeen(id_, None, self.cells.clusters[int(value)])
        return CellSeen(id_, value, None)
