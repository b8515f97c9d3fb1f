"""Tables of figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside

if TYPE_CHECKING:
    from pandas import DataFrame


def write_csv(table: DataFrame, path: Path | str) -> Path:
    """Write a table with its index, whole or not at all; an existing file is replaced.

    Six digits are kept; what is not known is left empty.

    Parameters
    ----------
    table : DataFrame
        Rows and columns; the index is the first column.
    path : path
        Where; the ending should be .csv.

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
            table.to_csv(aside, float_format="%.6g")
    except OSError as error:
        raise ExpressionError(
            f"{path} cannot be written ({error.strerror or error}): choose another folder or name."
        ) from error
    return path
