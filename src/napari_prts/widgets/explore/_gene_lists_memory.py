"""Favourite genes and lists that the user loaded, remembered from one session to the next."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside
from napari_prts.slide.remembered import data_folder

FILE_NAME = "genes.json"

Lists = dict[str, tuple[str, ...]]


class GeneMemory:
    """What the user said about genes, on all slides.

    One small JSON file, replaced as a whole. It is read before each change, so that what
    another window has added stays.

    Parameters
    ----------
    file : Path, optional
        ``genes.json`` in the user's data folder by default.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = data_folder() / FILE_NAME if file is None else file

    @property
    def favourites(self) -> tuple[str, ...]:
        """Favourite genes, the oldest first."""
        return self._read()[0]

    @property
    def lists(self) -> Lists:
        """Lists that were loaded, by name."""
        return self._read()[1]

    def toggle(self, gene: str) -> bool:
        """Make a gene a favourite, or no longer one; capitals do not matter.

        Returns
        -------
        bool
            Whether it is one now.

        Raises
        ------
        ExpressionError
            If the file cannot be written.
        """
        favourites, lists = self._read()
        kept = tuple(name for name in favourites if name.casefold() != gene.casefold())
        added = len(kept) == len(favourites)
        self._write((*kept, gene) if added else kept, lists)
        return added

    def keep(self, lists: Lists) -> None:
        """Keep lists; those of the same names are replaced.

        Raises
        ------
        ExpressionError
            If the file cannot be written.
        """
        favourites, known = self._read()
        self._write(favourites, {**known, **lists})

    def forget(self, name: str) -> None:
        """Forget a list; nothing happens if there is none of that name.

        Raises
        ------
        ExpressionError
            If the file cannot be written.
        """
        favourites, known = self._read()
        self._write(favourites, {key: genes for key, genes in known.items() if key != name})

    def _read(self) -> tuple[tuple[str, ...], Lists]:
        """A damaged file counts as nothing; the next change replaces it."""
        try:
            entry: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            lists = {str(name): _names(genes) for name, genes in entry["lists"].items()}
            return _names(entry["favourites"]), lists
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return (), {}

    def _write(self, favourites: tuple[str, ...], lists: Lists) -> None:
        entry = {"favourites": favourites, "lists": lists}
        try:
            with written_aside(self._file) as aside:
                aside.write_text(json.dumps(entry, indent=1), encoding="utf-8")
        except OSError as error:
            raise ExpressionError(
                f"Favourite genes cannot be written to {self._file} ({error.strerror or error}). "
                "Make the folder writable, or name another with NAPARI_PRTS_DATA."
            ) from error


def _names(genes: Iterable[Any]) -> tuple[str, ...]:
    if isinstance(genes, str):
        raise TypeError
    return tuple(str(gene) for gene in genes)
