"""How to train; cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_prts.errors import ExpressionError
from napari_prts.expression.splitting import SplitRequest

LOSS_NAMES = ("paper", "focal")
USES = ("both", "local", "global")
GENE_CHOICES = ("selected", "all")
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
        The same seed, data and device give the same model.
    loss : str
        ``"paper"``, or ``"focal"`` as in the authors' scripts.
    split : SplitRequest
        Which cells are left out, and where.
    use : str
        Features used: ``"both"``, ``"local"`` or ``"global"`` (the context alone).
    genes : str
        ``"selected"``: those marked in ``measured.var["selected"]``, all if there
        is no such column; ``"all"``: all.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

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

    def __post_init__(self) -> None:
        _one_of("loss", self.loss, LOSS_NAMES)
        _one_of("use", self.use, USES)
        _one_of("genes", self.genes, GENE_CHOICES)
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


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ExpressionError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
