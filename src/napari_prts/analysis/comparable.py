"""Which genes cells are compared by, and what is too little to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.analysis.quiet import quiet
from napari_prts.errors import ExpressionError

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST_CELLS = 10
FEWEST_GENES = 3


def variable_genes(cells: AnnData, n_top: int, side: str | None = None) -> AnnData:
    """Keep the genes that vary most; with ``side``, a column of obs, those that do on each."""
    import scanpy as sc

    if cells.n_vars <= n_top:
        return cells
    with quiet():
        sc.pp.highly_variable_genes(cells, n_top_genes=n_top, batch_key=side)
    return cells[:, cells.var["highly_variable"]].copy()


def require_cells(count: int) -> None:
    """Refuse too few cells."""
    if count < FEWEST_CELLS:
        raise ExpressionError(f"{count} cells are too few to group: {FEWEST_CELLS} are needed.")


def require_genes(count: int) -> None:
    """Refuse too few genes."""
    if count < FEWEST_GENES:
        raise ExpressionError(
            f"{count} genes with counts are too few to group cells by: {FEWEST_GENES} are needed."
        )
