"""What a region holds: how many cells, which genes, and whether both sides agree there."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.pair_sums import PairSums, sum_pairs
from napari_prts.analysis.paired import Paired
from napari_prts.analysis.pcc_interval import PccInterval, pcc_interval, squares_of
from napari_prts.analysis.region import Region
from napari_prts.analysis.region_answer import RegionAnswer, gene_table
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Job, Progress

_SQUARE_UM_IN_SQUARE_MM = 1e6
# Two genes always lie on a line.
_FEWEST_GENES = 3


def ask_region(paired: Paired, region: Region) -> Job[RegionAnswer]:
    """Tell what a region holds.

    PCC and its interval are those of log1p expression, per gene over the region's cells, as in
    :func:`~napari_prts.analysis.evaluate`; means are in counts. Cells that the model was
    trained on are not left out, but counted.

    Parameters
    ----------
    paired : Paired
        Of :func:`~napari_prts.analysis.paired.pair`; made once, asked for any region.
    region : Region
        Which nuclei.

    Yields
    ------
    Progress
        In cells.

    Returns
    -------
    RegionAnswer

    Raises
    ------
    ExpressionError
        If none of the nuclei is in the tables, or values are no counts.
    """
    cells = paired.cells_of(region.ids)
    if not len(cells):
        raise ExpressionError(
            f"None of the {len(region.ids):,} nuclei of {region.name} is among the cells that "
            f"were {' and '.join(side.name for side in paired.sides)}."
        )
    sums, interval = yield from _summed(paired, cells)
    area = region.area_um2(paired.mpp)
    both = paired.predicted is not None and paired.measured is not None
    table = gene_table(paired, sums, interval)
    return RegionAnswer(
        region.name,
        len(region.ids),
        len(cells),
        int(paired.trained[cells].sum()),
        area,
        None if area is None else len(region.ids) / area * _SQUARE_UM_IN_SQUARE_MM,
        _profile_pcc(sums) if both else None,
        interval.told_from if both else "",
        table,
    )


def _summed(
    paired: Paired, cells: NDArray[np.intp]
) -> Generator[Progress, None, tuple[PairSums, PccInterval]]:
    places = None if paired.places_um is None else paired.places_um[cells]
    sums = yield from sum_pairs(paired, cells, squares_of(places, len(cells)))
    return sums, pcc_interval(sums)


def _profile_pcc(sums: PairSums) -> float | None:
    """PCC over genes of log1p of the mean counts of both sides."""
    first = np.log1p(sums.predicted / sums.count)
    second = np.log1p(sums.measured / sums.count)
    if len(first) < _FEWEST_GENES or not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return None
    return float(np.corrcoef(first, second)[0, 1])
