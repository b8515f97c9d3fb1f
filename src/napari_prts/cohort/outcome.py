"""What has become of a slide."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

DONE, FAILED, LOST = "done", "failed", "lost"


@dataclass(frozen=True)
class SlideOutcome:
    """What has become of a slide.

    Parameters
    ----------
    name, path : str
        The slide.
    status : str
        ``"done"``, ``"failed"``, or ``"lost"``: its process ended without a word, or had too
        little memory, which may be better another time.
    error : str
        One sentence, empty if done.
    seconds : dict of float
        What each step took when it was done, be it now or in an earlier run.
    kept : tuple of str
        Steps that an earlier run had done.
    nuclei, genes, clusters : int or None
        How many; None if it did not come to that.
    mean_confidence : float or None
        Mean over the cells, 0 to 1.
    unlike_training : float or None
        Share of cells that are unlike all that the model was trained on.
    pcc_mean : float or None
        Mean PCC over genes, if measured cells were given.
    warnings : tuple of str
        About the picture's quality, and what was repaired.
    attempts : int
        How often the slide was begun in this run.
    """

    name: str
    path: str
    status: str
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    nuclei: int | None = None
    genes: int | None = None
    clusters: int | None = None
    mean_confidence: float | None = None
    unlike_training: float | None = None
    pcc_mean: float | None = None
    warnings: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.status == DONE

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SlideOutcome:
        """Read what :meth:`as_dict` gives, also after a way through JSON."""
        return replace(
            cls(**values), kept=tuple(values["kept"]), warnings=tuple(values["warnings"])
        )


@dataclass(frozen=True)
class StepProgress:
    """How far a slide is.

    Parameters
    ----------
    name : str
        Of the slide.
    step : str
        One of :data:`napari_prts.cohort.record.STEPS`.
    done, total : int
        As in :class:`~napari_prts.jobs.Progress`.
    unit : str
        What is counted.
    """

    name: str
    step: str
    done: int
    total: int
    unit: str
