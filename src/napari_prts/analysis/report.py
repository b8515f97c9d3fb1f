"""The agreement of a prediction as a file."""

from __future__ import annotations

import json
from pathlib import Path

from napari_prts.analysis.agreement import Agreement
from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside


def write_report(agreement: Agreement, path: Path | str) -> Path:
    """Write the agreement as JSON, whole or not at all.

    Parameters
    ----------
    agreement : Agreement
        What :func:`~napari_prts.analysis.evaluate` gave.
    path : path
        File to write.

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
    text = json.dumps(agreement.as_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        with written_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExpressionError(f"The report cannot be written to {path} ({error}).") from error
    return path
