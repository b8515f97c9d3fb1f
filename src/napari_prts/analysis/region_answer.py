"""The answer about a region, as figures and as a table of genes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.pair_sums import PairSums
from napari_prts.analysis.paired import Paired
from napari_prts.analysis.pcc_interval import FEWEST_CELLS, PccInterval
from napari_prts.analysis.tables import write_csv

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class RegionAnswer:
    """What a region holds.

    Parameters
    ----------
    name : str
        The region's.
    nuclei : int
        Nuclei in it.
    cells : int
        Those of them that both tables have (or the only one); all other figures are theirs.
    trained : int
        Those of them that the model was trained on: PCC is too good for them.
    area_um2 : float or None
        Inside the drawn line, square micrometres; None if none was drawn or the pixel size is
        unknown.
    nuclei_per_mm2 : float or None
        Nuclei per square millimetre of that area.
    profile_pcc : float or None
        PCC over genes of log1p of predicted with measured mean counts; None with one side.
    interval_from : str
        ``"squares of tissue"``, ``"cells"`` (which takes neighbours as independent: too
        narrow), or empty without interval: see :mod:`~napari_prts.analysis.pcc_interval`.
    genes : DataFrame
        One row a gene (index ``gene``). Of each side that is there ``mean_predicted`` and
        ``mean_measured`` in counts, ``share_predicted`` and ``share_measured`` (of cells with
        the gene); with both ``pcc``, ``pcc_low`` and ``pcc_high``, NaN where not defined, all
        NaN with fewer than 10 cells.
    """

    name: str
    nuclei: int
    cells: int
    trained: int
    area_um2: float | None
    nuclei_per_mm2: float | None
    profile_pcc: float | None
    interval_from: str
    genes: DataFrame

    def to_csv(self, path: Path | str) -> Path:
        """Write the table of genes, whole or not at all.

        Raises
        ------
        ExpressionError
            If it cannot be written.
        """
        return write_csv(self.genes, path)


def gene_table(paired: Paired, sums: PairSums, interval: PccInterval) -> DataFrame:
    """Make the table of :class:`RegionAnswer`."""
    import pandas as pd

    columns: dict[str, NDArray[np.float64]] = {}
    if paired.predicted is not None:
        columns["mean_predicted"] = sums.predicted / sums.count
    if paired.measured is not None:
        columns["mean_measured"] = sums.measured / sums.count
    if paired.predicted is not None:
        columns["share_predicted"] = sums.predicted_some / sums.count
    if paired.measured is not None:
        columns["share_measured"] = sums.measured_some / sums.count
    if paired.predicted is not None and paired.measured is not None:
        enough = sums.count >= FEWEST_CELLS
        columns["pcc"] = sums.pcc if enough else np.full(len(paired.genes), np.nan)
        columns |= {"pcc_low": interval.low, "pcc_high": interval.high}
    return pd.DataFrame(columns, index=pd.Index(paired.genes, name="gene"))
