"""A region: any set of nuclei, drawn by hand, lassoed in a plot, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_prts.errors import ExpressionError
from napari_prts.nuclei.selection import lasso_area

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class Region:
    """Nuclei asked of.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Ids of the nuclei, each once.
    name : str
        For headings and files.
    outline : ndarray of float, shape (k, 2), or None
        The drawn line, (row, column) in level-0 pixels, for the area; None for a region that
        was not drawn.

    Raises
    ------
    ExpressionError
        If there are no nuclei in it.
    """

    ids: NDArray[np.int64]
    name: str = "region"
    outline: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not len(self.ids):
            raise ExpressionError(
                f"No cell lies in {self.name}: draw it larger, or where cells are."
            )

    @classmethod
    def of_rows(cls, table: AnnData, rows: ArrayLike, name: str = "region") -> Region:
        """Take rows of a table.

        Parameters
        ----------
        table : AnnData
            Predicted or measured, with ``obs["id"]``.
        rows : array of bool, shape (cells,), or of int
            Mask or positions.
        name : str
            For headings and files.

        Raises
        ------
        ExpressionError
            If a mask is not as long as the table, or no row is chosen.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_ and chosen.shape != (table.n_obs,):
            raise ExpressionError(
                f"The mask of {name} is of shape {chosen.shape}, the table has {table.n_obs} "
                "cells: give one value for each cell."
            )
        ids = np.asarray(table.obs["id"], np.int64)
        positions = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.intp)
        if len(positions) and not (positions.min() >= 0 and positions.max() < table.n_obs):
            raise ExpressionError(
                f"{name} names row {positions.max()}, but the table has {table.n_obs} cells: give "
                "positions from 0 on."
            )
        return cls(np.unique(ids[positions]), name)

    @classmethod
    def of_outline(cls, table: AnnData, outline: ArrayLike, name: str = "region") -> Region:
        """Take the cells whose centre lies inside a drawn line.

        Parameters
        ----------
        table : AnnData
            With ``obs["id"]`` and ``obsm["spatial"]`` (x, y).
        outline : array, shape (k, 2)
            (row, column) in level-0 pixels, three points or more; it is closed by itself.
        name : str
            For headings and files.

        Raises
        ------
        ExpressionError
            If no cell lies inside, or the table holds no places.
        NucleiError
            If the line has fewer than three points.
        """
        import shapely

        area = lasso_area(outline)
        if "spatial" not in table.obsm:
            raise ExpressionError(
                "The cells hold no places (obsm['spatial']), so none can be found in a region: "
                "make the table again with napari-prts."
            )
        places = np.asarray(table.obsm["spatial"], np.float64)
        inside = shapely.contains_xy(area, places[:, 0], places[:, 1])
        ids = np.asarray(table.obs["id"], np.int64)[inside]
        return cls(np.unique(ids), name, np.asarray(outline, np.float64))

    @classmethod
    def of_group(cls, table: AnnData, group: str, column: str = "leiden") -> Region:
        """Take a cluster.

        Raises
        ------
        ExpressionError
            If the cells are not grouped, or no cell is in that group.
        """
        if column not in table.obs:
            raise ExpressionError(f"The cells have no {column!r} in obs: group them first.")
        return cls.of_rows(table, np.asarray(table.obs[column].astype(str) == group), group)

    def area_um2(self, mpp: float | None) -> float | None:
        """Area inside the drawn line in square micrometres; None without line or pixel size."""
        if self.outline is None or mpp is None:
            return None
        return float(lasso_area(self.outline).area) * mpp**2
