"""What happened to the nuclei of a file while they were read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from napari_prts.nuclei.table import Nuclei

_NAMED = 20


class Problem(Enum):
    """What was wrong with an outline and what was done, for one and for several."""

    CROSSED = (
        "outline crossed itself and was mended",
        "outlines crossed themselves and were mended",
    )
    PARTS = (
        "outline was in several parts, of which the largest was kept",
        "outlines were in several parts, of which the largest was kept",
    )
    HOLES = ("outline had holes, which were filled", "outlines had holes, which were filled")
    CUT = (
        "outline reached over the slide's border and was cut there",
        "outlines reached over the slide's border and were cut there",
    )
    SAME_ID = (
        "outline had the id of another and got a new one",
        "outlines had the id of another and got new ones",
    )
    NO_WHOLE_ID = (
        "outline had an id that is no whole number from 0 to 2,147,483,646 and got a new one",
        "outlines had ids that are no whole numbers from 0 to 2,147,483,646 and got new ones",
    )
    BAD_SCORE = (
        "outline had a score that is no number and got 1",
        "outlines had scores that are no numbers and got 1",
    )
    NO_OUTLINE = (
        "entry had no polygon and was left out",
        "entries had no polygon and were left out",
    )
    FEW_POINTS = (
        "outline has fewer than 3 points and was left out",
        "outlines have fewer than 3 points and were left out",
    )
    NO_NUMBERS = (
        "outline has a coordinate that is not a number or beyond any slide and was left out",
        "outlines have a coordinate that is not a number or beyond any slide and were left out",
    )
    NO_AREA = ("outline has no area and was left out", "outlines have no area and were left out")
    OUTSIDE = (
        "outline lies outside the slide and was left out",
        "outlines lie outside the slide and were left out",
    )
    NO_NUCLEUS = (
        "feature is no nucleus (an annotation or tile, say) and was left out",
        "features are no nuclei (annotations or tiles, say) and were left out",
    )


@dataclass(frozen=True)
class Finding:
    """One problem and the nuclei that had it.

    Attributes
    ----------
    problem : Problem
        What was wrong and what was done.
    ids : tuple of int or str
        Ids of the nuclei; a text such as ``"feature 12"`` for those that had none,
        ``"7 (now 12)"`` for those that got another.
    """

    problem: Problem
    ids: tuple[int | str, ...]

    def sentence(self) -> str:
        """Say it: ``"3 outlines crossed themselves and were mended: ids 4, 17, 20."``."""
        count = len(self.ids)
        names = ", ".join(str(id_) for id_ in self.ids[:_NAMED])
        more = f" and {count - _NAMED:,} more" if count > _NAMED else ""
        numbered = isinstance(self.ids[0], int) or self.ids[0][:1].isdigit()
        kind = ("ids " if count > 1 else "id ") if numbered else ""
        return f"{count:,} {self.problem.value[count > 1]}: {kind}{names}{more}."


@dataclass(frozen=True)
class ReadReport:
    """Nuclei as they were read, and all that was done to them on the way.

    Attributes
    ----------
    nuclei : Nuclei
        Those that can be used.
    repaired : tuple of Finding
        Which were changed, by problem; they are among ``nuclei``.
    left_out : tuple of Finding
        Which are not among ``nuclei``, by problem.
    notes : tuple of str
        What else the user should know, such as the scale of a label image.
    """

    nuclei: Nuclei
    repaired: tuple[Finding, ...] = ()
    left_out: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """All of it for the user, one sentence each; empty if there is nothing to say."""
        found = (finding.sentence() for finding in (*self.left_out, *self.repaired))
        return (*self.notes, *found)
