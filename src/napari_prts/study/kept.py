"""Where a study is kept on disk, and what of it is still as it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_prts.study.state import StudyState

_PARTS = ("slide", "nuclei", "measured", "predicted", "model")


@dataclass(frozen=True, eq=False)
class Kept:
    """A folder or session file that holds a study as it was at one moment.

    Parameters
    ----------
    place : Path
        What :func:`napari_prts.open` opens: a folder that
        :meth:`~napari_prts.study.Study.save` wrote, or a session file; absolute.
    parts : mapping
        What the study had then, by the study's own names; parts are replaced, never changed,
        so that one that is still the same object is still the same.
    """

    place: Path
    parts: Mapping[str, object]

    @classmethod
    def of(cls, study: StudyState, place: Path) -> Kept:
        """Note that a study is kept as it is now."""
        return cls(place.absolute(), {name: getattr(study, name) for name in _PARTS})

    def holds(self, study: StudyState, *names: str) -> bool:
        """Whether these parts of the study, and its slide, are those that are kept there."""
        # It may have been moved since.
        return self.place.exists() and all(
            getattr(study, name) is self.parts[name] for name in ("slide", *names)
        )
