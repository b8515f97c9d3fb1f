"""What painted cells are called: predicted, measured or simulated, never anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.study import Study


def layer_name(study: Study, side: str, painted: str) -> str:
    """Name a layer so that it says predicted, measured or simulated.

    Parameters
    ----------
    study : Study
        The study.
    side : str
        ``"predicted"`` or ``"measured"``.
    painted : str
        The gene, ``"clusters"`` or ``"total"``.
    """
    simulated = is_simulated(getattr(study, side), side)
    if side == "measured":
        return f"{'Simulated' if simulated else 'Measured'} {painted}"
    # Clusters are of the cells that were predicted before, also while others arrive.
    if study.arriving is not None and painted != "clusters":
        simulated = study.arriving.trained_on == "simulated"
    return f"Predicted {painted}{' (simulated training)' if simulated else ''}"


def is_simulated(table: AnnData | None, side: str) -> bool:
    """Tell whether a table's counts, or those its model was trained on, were simulated."""
    if table is None:
        return False
    if side == "measured":
        return bool(table.uns.get("visium_hd", {}).get("simulated", False))
    return str(table.uns.get("prts", {}).get("trained_on", "")) == "simulated"
