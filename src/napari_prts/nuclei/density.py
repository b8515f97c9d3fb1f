"""How many nuclei lie where: a picture for views too wide to show single ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei.table import Nuclei


def density(nuclei: Nuclei, shape: tuple[int, int], cell: float) -> NDArray[np.float32]:
    """Count the nuclei in each cell of a coarse grid over the slide.

    The picture of a table is kept: after an edit of a few nuclei only these are
    counted, and a picture is made again for no more than the copying.

    Parameters
    ----------
    nuclei : Nuclei
        What to count; each nucleus lies where its centroid does.
    shape : tuple of int
        Rows and columns of the slide's level 0.
    cell : float
        Side of a cell in level-0 pixels.

    Returns
    -------
    ndarray of float32, shape (ceil(rows / cell), ceil(columns / cell))
        Nuclei per cell, read-only. Those whose centroid lies outside the slide are
        not counted.

    Raises
    ------
    NucleiError
        If the cell has no size.
    """
    if not (np.isfinite(cell) and cell > 0):
        raise NucleiError(f"Nuclei are counted in cells of some pixels, not of {cell}.")
    height, width = (int(np.ceil(side / cell)) for side in shape)

    def draw(centroids: NDArray[np.float32]) -> NDArray[np.float32]:
        # The centre of the first pixel is at 0: the slide begins half a pixel before it.
        row, column = centroids.T.astype(np.float64) + 0.5
        inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        if not inside.all():
            row, column = row[inside], column[inside]
        flat = (row / cell).astype(np.int64) * width + (column / cell).astype(np.int64)
        counts = np.bincount(flat, minlength=height * width)
        return counts.reshape(height, width).astype(np.float32)

    picture = nuclei.rows.added_up(("density", *shape[:2], cell), draw)
    picture.flags.writeable = False
    return picture
