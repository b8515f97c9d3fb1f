"""A study's two tables as they were at one moment, to see whether they still are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.study import Study


@dataclass(frozen=True, eq=False)
class Tables:
    """Predicted and measured cells; AnnData cannot be compared but by identity.

    Parameters
    ----------
    predicted, measured : AnnData or None
        The tables.
    """

    predicted: AnnData | None = None
    measured: AnnData | None = None

    @classmethod
    def of(cls, study: Study | None) -> Tables:
        """Take those that a study has now."""
        return cls() if study is None else cls(study.predicted, study.measured)

    def same(self, other: Tables | None) -> bool:
        """Whether these are the very same tables."""
        return (
            other is not None
            and self.predicted is other.predicted
            and self.measured is other.measured
        )

    @property
    def some(self) -> bool:
        """Whether there is any."""
        return self.predicted is not None or self.measured is not None

    @property
    def both(self) -> bool:
        """Whether there are both."""
        return self.predicted is not None and self.measured is not None
