"""Expression as a picture, and how alike two such pictures are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ExpressionError

# A few cells each: single cells are not on a grid, and one pixel a cell would be mostly empty.
PIXEL_UM = 32.0
# scikit-image's default, the 7 x 7 pixels within which two pictures are compared.
WINDOW = 7
# Of measured pictures of very large sections; larger ones get larger pixels.
_MOST_PIXELS = 250_000


@dataclass(frozen=True, eq=False)
class Raster:
    """Squares of tissue, and the cells in each.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    pixels : ndarray of int, shape (cells,)
        Flat index of each cell's pixel.
    filled : ndarray of bool, shape ``shape``
        Pixels with a cell.
    pixel_um : float
        Side of a pixel.
    """

    shape: tuple[int, int]
    pixels: NDArray[np.intp]
    filled: NDArray[np.bool_]
    pixel_um: float

    def picture(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean value of the cells in each pixel, 0 where there is none.

        Parameters
        ----------
        values : ndarray, shape (cells,)
        """
        size = self.filled.size
        sums = np.bincount(self.pixels, values, size)
        cells = np.bincount(self.pixels, minlength=size)
        return (sums / np.maximum(cells, 1)).reshape(self.shape)


def make_raster(places_um: NDArray[np.floating], pixel_um: float = PIXEL_UM) -> Raster:
    """Lay a grid over cells.

    Parameters
    ----------
    places_um : ndarray, shape (cells, 2)
        (row, column).
    pixel_um : float
        Side of a pixel; more if the picture had over 250,000 pixels.

    Raises
    ------
    ExpressionError
        If the picture would be smaller than 7 x 7 pixels, in which it is compared.
    """
    places = np.asarray(places_um, np.float64)
    start = places.min(0)
    extent = np.maximum(np.ptp(places, axis=0), 1e-9)
    pixel_um = max(pixel_um, float(np.sqrt(extent.prod() / _MOST_PIXELS)))
    squares = np.floor((places - start) / pixel_um).astype(np.intp)
    shape = (int(squares[:, 0].max()) + 1, int(squares[:, 1].max()) + 1)
    if min(shape) < WINDOW:
        raise ExpressionError(
            f"The cells fill {shape[0]} x {shape[1]} pixels of {pixel_um:g} um; {WINDOW} x "
            f"{WINDOW} are needed to compare pictures: score a larger region."
        )
    pixels = np.ravel_multi_index((squares[:, 0], squares[:, 1]), shape)
    filled = np.zeros(shape, np.bool_)
    filled.flat[pixels] = True
    return Raster(shape, pixels, filled, pixel_um)


def ssim_per_gene(
    predicted: NDArray[np.floating], measured: NDArray[np.floating], raster: Raster
) -> NDArray[np.float64]:
    """Structural similarity of each gene's two pictures, (genes,).

    Wang et al., IEEE Transactions on Image Processing 13 (2004) 600, by
    :func:`skimage.metrics.structural_similarity` with its defaults (windows of 7 x 7 pixels,
    constants 0.01 and 0.03). As in the benchmark of eleven methods each picture is first
    divided by its largest value. The benchmark takes all spots as one window, which leaves
    nothing of where they lie; here the picture has its places, and pixels without cells are
    left out of the mean.

    Parameters
    ----------
    predicted, measured : ndarray, shape (cells, genes)
        log1p of expression.
    raster : Raster
        Where the cells lie.

    Returns
    -------
    ndarray of float64, shape (genes,)
        NaN where nothing was measured.
    """
    from skimage.metrics import structural_similarity

    found = np.full(predicted.shape[1], np.nan)
    for gene in range(predicted.shape[1]):
        first = _scaled(raster.picture(predicted[:, gene]))
        second = _scaled(raster.picture(measured[:, gene]))
        if second.any():
            _, local = structural_similarity(first, second, data_range=1.0, full=True)
            found[gene] = local[raster.filled].mean()
    return found


def _scaled(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = picture.max()
    return picture / largest if largest > 0 else picture
