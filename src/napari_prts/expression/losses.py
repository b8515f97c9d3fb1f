"""What training makes small: the paper's loss, and that of the authors' scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# The paper: L = l1 * sum_i w_i (yhat_i - y_i)^2 + l2 * BCE.
L1 = 1.0
L2 = 20.0
WEIGHT_EXPRESSED = 5.0
WEIGHT_ZERO = 1.0

# The authors' scripts.
FOCAL_ALPHA = 0.7
FOCAL_GAMMA = 2.0
FOCAL_SQUARES = 30.0
FOCAL_CLIP = 1.0


def paper_loss(expression: Tensor, logit: Tensor, scaled: Tensor, expressed: Tensor) -> Tensor:
    """Weighted squared error and binary cross-entropy, as the paper has them.

    The squared error is a sum over genes, as the paper writes it, and a mean over
    cells; the cross-entropy is a mean over both. On the paper's 1,820 genes the two
    terms are then of one size. With a mean over genes in both, the cross-entropy
    is all that counts, and the prediction of how much is expressed suffers.

    Parameters
    ----------
    expression, logit : Tensor, shape (cells, genes)
        What the network gives.
    scaled : Tensor, shape (cells, genes)
        Scaled expression.
    expressed : Tensor, shape (cells, genes)
        1 where the count is above zero, else 0. It cannot be told from ``scaled``,
        where the smallest count of a gene is 0 too.
    """
    weight = WEIGHT_ZERO + (WEIGHT_EXPRESSED - WEIGHT_ZERO) * expressed
    squares = (weight * (expression - scaled).square()).sum(dim=1).mean()
    entropy = functional.binary_cross_entropy_with_logits(logit, expressed)
    return L1 * squares + L2 * entropy


def focal_loss(expression: Tensor, logit: Tensor, scaled: Tensor, expressed: Tensor) -> Tensor:
    """Focal loss and squared error over expressed entries only, as the scripts have them.

    The focal term is a mean over cells and genes, the squared error a mean over
    the expressed entries. Parameters as for :func:`paper_loss`.
    """
    entropy = functional.binary_cross_entropy_with_logits(logit, expressed, reduction="none")
    missed = 1 - torch.exp(-entropy)
    alpha = torch.where(expressed > 0, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    focal = (alpha * missed**FOCAL_GAMMA * entropy).mean()
    squares = (expressed * (expression - scaled).square()).sum() / expressed.sum().clamp(min=1)
    return focal + FOCAL_SQUARES * squares


@dataclass(frozen=True)
class Loss:
    """A loss and what belongs to it.

    Parameters
    ----------
    function : callable
        Of expression, logit, scaled, expressed.
    clip : float or None
        Largest norm of the gradient.
    """

    function: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    clip: float | None = None


LOSSES = {"paper": Loss(paper_loss), "focal": Loss(focal_loss, FOCAL_CLIP)}
