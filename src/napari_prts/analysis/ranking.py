"""scanpy's tests of which genes differ, a few genes at a time so that they can be cancelled.

Each gene is tested by itself, so blocks of genes give what all genes at once give; only the
adjustment for many tests looks at all of them, and is made at the end.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from napari_prts.analysis.metrics import gene_blocks
from napari_prts.analysis.quiet import quiet
from napari_prts.errors import ExpressionError
from napari_prts.jobs import Progress

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

WILCOXON = "wilcoxon"
# Welch's test in which the rest counts as if it had no more cells than the group: scanpy's
# word for a t-test that does not find everything significant in many cells.
T_TEST = "t-test_overestim_var"
METHODS = (WILCOXON, T_TEST)
# Ranking 64 genes of 60,000 cells takes 0.15 s.
_GENES_AT_ONCE = 64
# Values of cells x genes above which ranks are too slow to wait for: the Wilcoxon test of one
# region takes 5 s on 60,000 cells x 1,820 genes (1.1e8), and grows with cells x genes.
_MOST_RANKED = 5e8


def method_for(cells: int, genes: int) -> str:
    """Choose the paper's Wilcoxon test, or the t-test where it would take half a minute."""
    return WILCOXON if cells * genes <= _MOST_RANKED else T_TEST


def ranked_against_rest(
    cells: AnnData, column: str, groups: Sequence[str], method: str
) -> Generator[Progress, None, dict[str, DataFrame]]:
    """Test each gene in each group against all other cells.

    Parameters
    ----------
    cells : AnnData
        Log-normalised expression.
    column : str
        Categories in ``obs``.
    groups : sequence of str
        Those to test, two cells or more in each.
    method : str
        ``"wilcoxon"`` or ``"t-test_overestim_var"``.

    Yields
    ------
    Progress
        In genes.

    Returns
    -------
    dict of DataFrame
        For each group a row a gene (index ``gene``): ``score`` (z of the rank-sum test, or t;
        above 0 if higher in the group), ``log2_change``, ``p``, ``p_adjusted`` (Benjamini and
        Hochberg over genes). Sorted by score, highest first.

    Raises
    ------
    ExpressionError
        If the method is unknown.
    """
    if method not in METHODS:
        raise ExpressionError(f"The test {method!r} is unknown: choose {' or '.join(METHODS)}.")
    import pandas as pd
    from anndata import AnnData

    parts: dict[str, list[DataFrame]] = {group: [] for group in groups}
    # By columns: a block of genes of a table by rows is looked for in all of it.
    values = sparse.csc_matrix(cells.X)
    for block in gene_blocks(cells.n_vars, _GENES_AT_ONCE):
        yield Progress(block.start, cells.n_vars, "genes", "compared with the rest")
        some = AnnData(values[:, block], obs=cells.obs[[column]], var=cells.var[block])
        for group, part in _tested(some, column, groups, method).items():
            parts[group].append(part)
    return {group: _adjusted(pd.concat(each)) for group, each in parts.items()}


def _tested(view: AnnData, column: str, groups: Sequence[str], method: str) -> dict[str, DataFrame]:
    import scanpy as sc

    some = view.copy()
    # log1p without a stated base is the natural one.
    some.uns["log1p"] = {"base": None}
    with quiet():
        sc.tl.rank_genes_groups(some, column, groups=list(groups), method=method)
        return {group: _renamed(sc.get.rank_genes_groups_df(some, group)) for group in groups}


def _renamed(found: DataFrame) -> DataFrame:
    names = {"scores": "score", "logfoldchanges": "log2_change", "pvals": "p"}
    table = found.rename(columns=names).set_index("names").rename_axis("gene")
    return table[list(names.values())].astype(np.float64)


def _adjusted(table: DataFrame) -> DataFrame:
    from scipy.stats import false_discovery_control

    # A gene that is the same everywhere cannot be tested: nothing speaks for a difference.
    p = np.nan_to_num(table["p"].to_numpy(), nan=1.0)
    table = table.assign(p=p, p_adjusted=false_discovery_control(p, method="bh"))
    return table.sort_values("score", ascending=False, kind="stable")
