"""Cells x genes tables as .h5ad files, read with clear errors and written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside

if TYPE_CHECKING:
    from anndata import AnnData

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def read_h5ad(path: Path | str) -> AnnData:
    """Read a table of cells.

    Parameters
    ----------
    path : path
        File that napari-prts wrote, or another .h5ad whose ``obs["id"]`` holds
        the id of each row's nucleus.

    Returns
    -------
    AnnData
        With ``obs["id"]`` as int64.

    Raises
    ------
    ExpressionError
        If it is not an .h5ad file, is damaged, or its rows do not say to which
        nucleus they belong.
    """
    path = Path(path)
    _check_hdf5(path)
    import anndata

    # What anndata and h5py raise for a cut or foreign file depends on where it breaks.
    try:
        table = anndata.read_h5ad(path)
    except Exception as error:
        raise ExpressionError(
            f"{path} cannot be read as .h5ad ({_first_line(error)}): it is damaged or was not "
            "written by AnnData. Make it again."
        ) from error
    _check_cells(table, path)
    table.obs["id"] = table.obs["id"].astype(np.int64)
    return table


def write_h5ad(table: AnnData, path: Path | str) -> Path:
    """Write a table of cells; an existing file is replaced once the new one is whole.

    Parameters
    ----------
    table : AnnData
        What to write; it is not changed. In the file ``uns`` holds what every reader of
        .h5ad reads, see :func:`plain`.
    path : path
        Where; the ending should be .h5ad.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ExpressionError
        If it cannot be written.
    """
    path = Path(path)
    try:
        with written_aside(path) as aside:
            table = _with_plain_uns(table)
            # The lowest level is nearly as small as the highest on counts, and far quicker.
            table.write_h5ad(aside, compression="gzip", compression_opts=1)
    # Disks and h5py raise OSError, anndata its own kinds for what an .h5ad cannot hold.
    except Exception as error:
        raise ExpressionError(f"{path} cannot be written ({_first_line(error)}).") from error
    return path


def plain(value: Any) -> Any:
    """Return a value of ``uns`` in the kinds that every reader of .h5ad reads.

    Parameters
    ----------
    value : object
        Also nested.

    Returns
    -------
    object
        Tuples become lists, keys text, and what is None is left out: anndata before 0.12
        reads no None, R and CELLxGENE neither.
    """
    if isinstance(value, Mapping):
        kept = {str(key): plain(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each is not None}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value if each is not None]
    return value


def _with_plain_uns(table: AnnData) -> AnnData:
    from anndata import AnnData

    parts = {name: dict(getattr(table, name)) for name in ("obsm", "varm", "layers")}
    pairs = {name: dict(getattr(table, name)) for name in ("obsp", "varp")}
    made = AnnData(table.X, table.obs, table.var, plain(table.uns), **parts, **pairs)
    made.raw = table.raw
    return made


def _check_hdf5(path: Path) -> None:
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise ExpressionError(f"{path} {reason}: give an .h5ad file of cells x genes.")
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise ExpressionError(f"{path} cannot be read ({error}).") from error
    if start != _HDF5_SIGNATURE:
        raise ExpressionError(
            f"{path} is not an .h5ad file (no HDF5 inside): give a table that measure or predict "
            "wrote."
        )


def _check_cells(table: AnnData, path: Path) -> None:
    if not table.n_obs or not table.n_vars:
        raise ExpressionError(
            f"{path} holds {table.n_obs} cells and {table.n_vars} genes: there is nothing to use."
        )
    if table.X is None:
        raise ExpressionError(f"{path} holds no expression (its X is empty).")
    if "id" not in table.obs:
        raise ExpressionError(
            f"{path} has no column 'id' in obs, so its rows cannot be matched to nuclei: give a "
            "table that measure or predict wrote."
        )
    ids = table.obs["id"]
    if ids.dtype.kind not in "iu" or ids.duplicated().any():
        raise ExpressionError(
            f"{path}: obs['id'] must hold a different whole number for each cell."
        )
    if not table.var_names.is_unique:
        name = table.var_names[table.var_names.duplicated()][0]
        raise ExpressionError(
            f"{path} names gene {name} more than once: make the names unique "
            "(AnnData.var_names_make_unique)."
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
