"""Finding a gene by what someone types: whole names, beginnings, parts, then typing errors.

Only the names given are searched; there is no list of other names (aliases) of genes, so that
what is found is always a column of the table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain

from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from napari_prts.errors import ExpressionError

# How a name was found, best first.
EXACT, PREFIX, INSIDE, SIMILAR = "exact", "prefix", "inside", "similar"
# Jaro and Winkler's similarity of short names that differ in one letter is 0.8 and more; below
# it, names that merely share letters come in.
_LEAST_SIMILAR = 0.75
# A single letter is like a great many names.
_SHORTEST_SIMILAR = 3
# Above any letter or digit, so that it ends the run of names with one beginning.
_LAST = chr(0x10FFFF)


@dataclass(frozen=True)
class GeneHit:
    """A gene that was found.

    Parameters
    ----------
    gene : str
        Name as the table has it.
    column : int
        Position among the names searched.
    found_by : str
        ``"exact"``, ``"prefix"``, ``"inside"`` or ``"similar"``.
    similarity : float
        1 unless found as similar; then Jaro and Winkler's, from 0.75 to 1.
    """

    gene: str
    column: int
    found_by: str
    similarity: float


@dataclass(frozen=True, eq=False)
class GeneSearch:
    """Names of genes, made ready to be searched at each key pressed.

    Parameters
    ----------
    genes : tuple of str
        Names as given.
    plain : tuple of str
        The same without capitals and signs: ``"HLA-DRA"`` is ``"hladra"``.
    order : tuple of int
        Columns by plain name, alphabetically.
    sorted_plain : tuple of str
        Plain names in that order.
    rank : tuple of int
        Place of each column if shorter names come first, then the alphabet.
    """

    genes: tuple[str, ...]
    plain: tuple[str, ...]
    order: tuple[int, ...]
    sorted_plain: tuple[str, ...]
    rank: tuple[int, ...]

    @classmethod
    def of(cls, genes: Iterable[str]) -> GeneSearch:
        """Make names ready; 20,000 take about 20 ms.

        Parameters
        ----------
        genes : iterable of str
            ``AnnData.var_names``, human (``EPCAM``) or mouse (``Epcam``) symbols or any other
            names.

        Raises
        ------
        ExpressionError
            If there is no name, or a name twice: what is found could not be told apart.
        """
        names = tuple(str(gene) for gene in genes)
        if not names:
            raise ExpressionError("There are no genes to search: predict or measure cells first.")
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise ExpressionError(
                f"Gene {twice} is named more than once: make the names unique "
                "(AnnData.var_names_make_unique)."
            )
        plain = tuple(_plain(name) for name in names)
        order = tuple(sorted(range(len(names)), key=plain.__getitem__))
        rank = [0] * len(names)
        for place, column in enumerate(sorted(order, key=lambda column: len(plain[column]))):
            rank[column] = place
        return cls(names, plain, order, tuple(plain[column] for column in order), tuple(rank))

    def find(self, typed: str, most: int = 50) -> tuple[GeneHit, ...]:
        """Find genes by what was typed so far.

        Capitals, blanks, hyphens and points do not matter. The whole name comes first, then
        names that begin with it, then names that hold it, then similar ones; the shorter name
        before the longer, so that ``cd3`` gives CD3D before CD300A.

        Parameters
        ----------
        typed : str
            Any text; nothing is found without a letter or digit.
        most : int
            Stop after so many.

        Returns
        -------
        tuple of GeneHit
            Best first.
        """
        wanted = _plain(typed)
        if not wanted or most < 1:
            return ()
        found: dict[int, GeneHit] = {}
        for hit in chain(self._beginning(wanted, most), self._holding(wanted, most)):
            if len(found) == most:
                break
            found.setdefault(hit.column, hit)
        if len(found) < most and len(wanted) >= _SHORTEST_SIMILAR:
            for hit in self._similar(wanted, most):
                if len(found) == most:
                    break
                found.setdefault(hit.column, hit)
        return tuple(found.values())

    def _beginning(self, wanted: str, most: int) -> Iterator[GeneHit]:
        first = bisect_left(self.sorted_plain, wanted)
        last = bisect_left(self.sorted_plain, wanted + _LAST)
        for column in nsmallest(most, self.order[first:last], key=self.rank.__getitem__):
            yield self._hit(column, EXACT if self.plain[column] == wanted else PREFIX)

    def _holding(self, wanted: str, most: int) -> Iterator[GeneHit]:
        held = [column for column, name in enumerate(self.plain) if wanted in name]
        # Those that begin with it are held too, and found before.
        for column in nsmallest(2 * most, held, key=self.rank.__getitem__):
            yield self._hit(column, INSIDE)

    def _similar(self, wanted: str, most: int) -> Iterator[GeneHit]:
        # It weighs the beginning of a name most, which is what people know of gene symbols, and
        # forgives swapped letters.
        near = process.extract(
            wanted,
            self.plain,
            scorer=JaroWinkler.normalized_similarity,
            score_cutoff=_LEAST_SIMILAR,
            limit=2 * most,
        )
        for _, similarity, column in sorted(near, key=lambda each: (-each[1], len(each[0]))):
            yield GeneHit(self.genes[column], column, SIMILAR, float(similarity))

    def _hit(self, column: int, found_by: str) -> GeneHit:
        return GeneHit(self.genes[column], column, found_by, 1.0)


def _plain(name: str) -> str:
    """Leave letters and digits, without capitals."""
    folded = name.casefold()
    return folded if folded.isalnum() else "".join(filter(str.isalnum, folded))
