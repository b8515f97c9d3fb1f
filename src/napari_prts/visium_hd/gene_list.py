"""Lists of genes in text files."""

from __future__ import annotations

from pathlib import Path

from napari_prts.errors import VisiumHDError

_LONGEST_NAME = 100


def read_gene_list(path: Path | str) -> tuple[str, ...]:
    """Read names of genes, one a line.

    Of a table (.csv, .tsv) the first column is taken. Empty lines and lines that begin
    with ``#`` are passed over, and a name counts once.

    Parameters
    ----------
    path : path
        Text file in UTF-8.

    Raises
    ------
    VisiumHDError
        If the file cannot be read, is no text, or names no gene.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VisiumHDError(
            f"{path} cannot be read as a list of genes ({error}): give a text file with one name "
            "a line."
        ) from error
    first = (line.replace(",", "\t").split("\t")[0].strip().strip('"') for line in lines)
    names = tuple(dict.fromkeys(name for name in first if name and not name.startswith("#")))
    long = [name for name in names if len(name) > _LONGEST_NAME]
    if not names or long:
        what = f"has a line of {len(long[0])} characters" if long else "names no gene"
        raise VisiumHDError(f"{path} {what}: give a text file with one name a line.")
    return names
