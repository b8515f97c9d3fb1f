"""Lists of genes from files: one gene a line, or GMT."""

from __future__ import annotations

from pathlib import Path

from napari_prts.errors import ExpressionError

# A list that somebody looks through has some ten genes; MSigDB's files are below 40 MB.
_LARGEST = 50_000_000


def read_gene_lists(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Read lists of genes.

    Parameters
    ----------
    path : path
        A ``.gmt`` file (a list a line: name, description, genes; separated by tabs), or any
        other text with one gene a line (what comes after a tab or comma is left out, and
        lines that begin with ``#``); such a list is named as the file.

    Returns
    -------
    dict of tuple of str
        Genes by the list's name, each gene once, in the file's order.

    Raises
    ------
    ExpressionError
        If the file cannot be read as text, or holds no gene.
    """
    path = Path(path)
    lines = _lines(path)
    if path.suffix.casefold() == ".gmt":
        rows = [line.split("\t") for line in lines]
        short = next((number for number, row in enumerate(rows, 1) if len(row) < 3), None)
        if short is not None:
            raise ExpressionError(
                f"Line {short} of {path} is no list of genes: in a .gmt file each line holds a "
                "name, a description and genes, separated by tabs."
            )
        lists = {row[0].strip(): _once(row[2:]) for row in rows}
    else:
        first = [line.replace(",", "\t").split("\t")[0] for line in lines]
        lists = {path.stem: _once(first)}
    lists = {name: genes for name, genes in lists.items() if genes}
    if not lists:
        raise ExpressionError(f"{path} holds no genes: write one a line.")
    return lists


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _LARGEST:
            raise ExpressionError(
                f"{path} has {path.stat().st_size / 1e6:,.0f} MB: it is no list of genes. "
                "Choose a text file with one gene a line, or a .gmt file."
            )
        # A byte order mark, as spreadsheets write it, is no part of the first gene.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ExpressionError(
            f"{path} cannot be read ({error.strerror or error}): choose another file."
        ) from error
    except UnicodeDecodeError as error:
        raise ExpressionError(
            f"{path} is no text: save the list as text (UTF-8), one gene a line."
        ) from error
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _once(genes: list[str]) -> tuple[str, ...]:
    stripped = (gene.strip().strip('"') for gene in genes)
    return tuple(dict.fromkeys(gene for gene in stripped if gene))
