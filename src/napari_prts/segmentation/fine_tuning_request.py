"""What to learn from corrected regions and how, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_prts.errors import ModelError
from napari_prts.segmentation.fine_tuning_shapes import Region
from napari_prts.segmentation.loading import DEFAULT_MODEL
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.scoring import NucleiScore


@dataclass(frozen=True)
class FineTuneRequest:
    """What to learn from and how.

    Parameters
    ----------
    name : str
        Name of the new model.
    regions : tuple
        Where every nucleus is right, and none is missing: (row, column, height, width) in
        level-0 pixels, or three or more (row, column) corners.
    base : str, path or StarDistModel
        Model to begin with, as for :func:`~napari_prts.segmentation.load_model`.
    frozen : "encoder" or "none"
        ``"encoder"`` tunes only what makes outlines of what the base model sees;
        ``"none"`` tunes the whole network.
    minutes : float or None
        About how long to train; None for all of ``steps``.
    steps : int
        Most steps of each run.
    learning_rate : float
        Peak rate of Adam.
    pull : float
        How strongly weights are pulled back to those of the base model.
    batch : int
        Crops per step.
    average : float
        Decay of the running average of the weights.
    held_out : float
        Share of the nuclei held out to choose and judge by, 0.1 to 0.5.
    checks : int
        How often a run's network is looked at on what is held out; less often if that
        would take too much of ``minutes``.
    seed : int
        Of the part held out and of the crops.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ModelError
        If a number is out of its range.
    """

    name: str
    regions: tuple[Region, ...]
    base: str | Path | StarDistModel = DEFAULT_MODEL
    frozen: Literal["encoder", "none"] = "none"
    minutes: float | None = 5.0
    steps: int = 400
    learning_rate: float = 3e-4
    pull: float = 1.0
    batch: int = 4
    average: float = 0.9
    held_out: float = 0.25
    checks: int = 6
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.frozen not in ("encoder", "none"):
            raise ModelError(f"frozen is {self.frozen!r}: choose 'encoder' or 'none'.")
        for what, low, high in (
            ("steps", 1, 100_000),
            ("learning_rate", 1e-7, 1e-2),
            ("pull", 0, 1000),
            ("batch", 1, 64),
            ("average", 0, 0.9999),
            ("held_out", 0.1, 0.5),
            ("checks", 1, 1000),
            ("seed", 0, 2**63),
        ):
            if not low <= getattr(self, what) <= high:
                raise ModelError(f"{what} is {getattr(self, what)}: give {low:g} to {high:g}.")
        if self.minutes is not None and not 0.01 <= self.minutes <= 1440:
            raise ModelError(f"minutes is {self.minutes}: give 0.01 to 1440.")


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What came of it.

    Parameters
    ----------
    model : StarDistModel
        The new model, as it was saved.
    folder : Path
        Where it is kept.
    base : str
        Name of the base model.
    before, after : NucleiScore
        Of the base model and of the new one on the part held out.
    """

    model: StarDistModel
    folder: Path
    base: str
    before: NucleiScore
    after: NucleiScore

    @property
    def better(self) -> bool:
        """Whether F1 at IoU 0.5 on the part held out rose."""
        return self.after.f1[0.5] > self.before.f1[0.5]

    @property
    def recommended(self) -> str:
        """Name of the model to use on such slides."""
        return self.model.name if self.better else self.base

    @property
    def words(self) -> str:
        """A sentence for the user."""
        figures = (
            f"F1 on the part held out: {self.before.f1[0.5]:.2f} before, "
            f"{self.after.f1[0.5]:.2f} after"
        )
        if self.better:
            return f"{figures}; model {self.model.name!r} saved."
        return (
            f"{figures}: no better. Model {self.model.name!r} is saved, but {self.base!r} "
            "remains the one to use; correct more nuclei, or other ones."
        )
