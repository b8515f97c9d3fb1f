"""The agreement of a prediction as a file, or as a folder of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.analysis.agreement import Agreement
from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside

if TYPE_CHECKING:
    from napari_prts.analysis.evaluation import Evaluation

ENDINGS = (".json", ".csv", ".html")
FOLDER_FILES = ("report.json", "genes.csv", "report.html")


def write_report(scores: Agreement | Evaluation, path: Path | str) -> Path:
    """Write scores, whole or not at all.

    Parameters
    ----------
    scores : Agreement or Evaluation
        What :func:`~napari_prts.analysis.evaluate` or
        :func:`~napari_prts.analysis.evaluate_fully` gave.
    path : path
        Its ending says what is written: ``.json`` all scores, ``.csv`` a table of genes,
        ``.html`` a page with pictures that needs no other file; without an ending a folder
        with ``report.json``, ``genes.csv`` and ``report.html``. Of an Agreement only JSON.

    Returns
    -------
    Path
        The file or folder.

    Raises
    ------
    ExpressionError
        If it cannot be written, or the ending is another.
    """
    path = Path(path)
    files = _files(scores, path)
    try:
        with written_aside(path) as aside:
            if None in files:
                aside.write_text(files[None], encoding="utf-8")
            else:
                aside.mkdir()
                for name, text in files.items():
                    (aside / str(name)).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExpressionError(f"The report cannot be written to {path} ({error}).") from error
    return path


def _files(scores: Agreement | Evaluation, path: Path) -> dict[str | None, str]:
    """Texts by name; without a name it is the one file."""
    ending = path.suffix.lower()
    if ending == ".json":
        return {None: _json(scores)}
    if isinstance(scores, Agreement) or ending not in ("", *ENDINGS):
        wanted = ".json" if isinstance(scores, Agreement) else ", ".join(ENDINGS)
        raise ExpressionError(
            f"A report cannot be written as {path.name}: its name must end in {wanted}."
        )
    from napari_prts.analysis.report_page import page

    if ending == ".csv":
        return {None: _csv(scores)}
    if ending == ".html":
        return {None: page(scores)}
    return dict(zip(FOLDER_FILES, (_json(scores), _csv(scores), page(scores)), strict=True))


def _json(scores: Agreement | Evaluation) -> str:
    values: dict[str, Any]
    if isinstance(scores, Agreement):
        values = scores.as_dict()
    else:
        from napari_prts.analysis.report_values import as_values

        values = as_values(scores)
    return json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _csv(evaluation: Evaluation) -> str:
    import pandas as pd

    from napari_prts.analysis.report_values import gene_columns

    index = pd.Index(evaluation.agreement.genes, name="gene")
    text: str = pd.DataFrame(gene_columns(evaluation), index=index).to_csv(float_format="%.6g")
    return text
