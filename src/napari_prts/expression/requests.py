"""How to train; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_prts.errors import ExpressionError
from napari_prts.expression.splitting import SplitRequest

LOSS_NAMES = ("paper", "focal")
USES = ("both", "local", "global")
GENE_CHOICES = ("selected", "all")
STANDARDISE = ("all", "section")
# Batch norm needs several cells; an even division of 20 or more cells gives at least two then.
SMALLEST_BATCH = 4


@dataclass(frozen=True)
class TrainRequest:
    """How to train the PRTS network; the defaults are the paper's.

    Parameters
    ----------
    epochs : int
        At most so many.
    batch : int
        Cells a step, at most: an epoch's cells are divided evenly, so that no
        small rest upsets batch norm.
    learning_rate, weight_decay : float
        Of AdamW.
    patience : int
        Epochs without a better validation loss before training stops; on a small
        section, where an epoch has few steps, at least 500 steps.
    seed : int
        The same seed, data, device and number of threads (of ``OMP_NUM_THREADS``, else of
        the machine) give the same model.
    loss : str
        ``"paper"``, or ``"focal"`` as in the authors' scripts.
    split : SplitRequest
        Which cells are left out, and where.
    validation_sections, test_sections : tuple of str
        Names of sections that are validation or test as a whole. Where there are none,
        that part is a strip of each of the other sections.
    standardise : str
        ``"all"``: features are standardised by mean and standard deviation of all
        training cells together. ``"section"``: each section's by those of its own
        nuclei, which takes away differences of stain and scanner between sections; a
        new slide is standardised by its own at prediction.
    use : str
        Features used: ``"both"``, ``"local"`` or ``"global"`` (the context alone).
    genes : str
        ``"selected"``: those marked in ``measured.var["selected"]`` of any section with
        training cells, all if there is no such column; ``"all"``: all. Of several
        sections always only the genes that all of them have.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    keep : path, optional
        Folder to write the best model so far to if training is cancelled; its card
        says so.
    checkpoints : path, optional
        Folder where the state of unfinished trainings is kept. The same training on the
        same data, begun again, goes on from there and gives exactly the model that it
        would have given uninterrupted. Removed when training ends by itself.
    checkpoint_every_s : float
        Seconds between two writings of the state, which takes about 90 MB; it is
        written too when training is cancelled.

    Raises
    ------
    ExpressionError
        If a value is impossible.
    """

    epochs: int = 100
    batch: int = 256
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    patience: int = 10
    seed: int = 0
    loss: str = "paper"
    split: SplitRequest = field(default_factory=SplitRequest)
    use: str = "both"
    genes: str = "selected"
    device: str = "auto"
    validation_sections: tuple[str, ...] = ()
    test_sections: tuple[str, ...] = ()
    standardise: str = "all"
    keep: Path | str | None = None
    checkpoints: Path | str | None = None
    checkpoint_every_s: float = 60.0

    def __post_init__(self) -> None:
        _one_of("loss", self.loss, LOSS_NAMES)
        _one_of("use", self.use, USES)
        _one_of("genes", self.genes, GENE_CHOICES)
        _one_of("standardise", self.standardise, STANDARDISE)
        smallest = {"epochs": 1, "patience": 1, "seed": 0, "batch": SMALLEST_BATCH}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise ExpressionError(
                    f"{name} is {getattr(self, name)}; it must be {least} or more."
                )
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise ExpressionError(
                f"learning_rate is {self.learning_rate:g} and weight_decay {self.weight_decay:g}; "
                "the first must be above 0, the second not below."
            )
        if both := set(self.validation_sections) & set(self.test_sections):
            raise ExpressionError(
                f"{', '.join(sorted(both))} cannot be a validation and a test section at once: "
                "name it in one of the two."
            )


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ExpressionError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
