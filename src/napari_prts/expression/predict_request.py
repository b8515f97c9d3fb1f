"""How to predict: device, batch and precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_prts.errors import ExpressionError
from napari_prts.expression.steady import BFLOAT16, FLOAT32

if TYPE_CHECKING:
    import torch

AUTO = "auto"
PRECISIONS = (AUTO, FLOAT32, BFLOAT16)


@dataclass(frozen=True)
class PredictRequest:
    """How to predict.

    Parameters
    ----------
    batch : int
        Cells reported at once.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    precision : str
        Of the matrix products: ``"float32"``, ``"bfloat16"``, or ``"auto"`` for bfloat16 on
        a CPU that computes it itself (AVX-512 BF16 or AMX), else float32.

    Raises
    ------
    ExpressionError
        If the batch is not positive, or the precision is none of these.
    """

    batch: int = 1024
    device: str = "auto"
    precision: str = AUTO

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ExpressionError(f"batch is {self.batch}; give at least 1 cell a batch.")
        if self.precision not in PRECISIONS:
            raise ExpressionError(
                f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}."
            )


def chosen_precision(precision: str, device: torch.device) -> str:
    """Turn a request's precision into ``"float32"`` or ``"bfloat16"``.

    Parameters
    ----------
    precision : str
        As :class:`PredictRequest` takes it.
    device : torch.device
        Where the network is computed.
    """
    if precision != AUTO:
        return precision
    if device.type != "cpu":
        return FLOAT32
    from napari_prts.segmentation.runtimes import has_bfloat16

    return BFLOAT16 if has_bfloat16() else FLOAT32
