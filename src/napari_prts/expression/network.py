"""The PRTS network: one trunk, and for each gene how much and whether at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Sizes and dropout: the paper.
WIDTHS = (512, 512, 1024, 1024)
DROPOUT = 0.1


class PrtsNetwork(nn.Module):
    """Features of cells to scaled expression and to the logit of "is expressed".

    Each layer of the trunk is linear, LeakyReLU, batch norm, dropout, in the
    paper's order (the authors' scripts have batch norm first, and ReLU).

    Parameters
    ----------
    features : int
        Numbers per cell; 576 for a ViT-S/16 (context 384, local 192).
    genes : int
        Genes predicted.
    widths : tuple of int
        Outputs of the trunk's layers.
    """

    def __init__(self, features: int, genes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = features
        for width in widths:
            layers += [
                nn.Linear(size, width),
                nn.LeakyReLU(),
                nn.BatchNorm1d(width),
                nn.Dropout(DROPOUT),
            ]
            size = width
        self.trunk = nn.Sequential(*layers)
        self.expression = nn.Linear(size, genes)
        self.expressed = nn.Linear(size, genes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Parameters
        ----------
        features : Tensor, shape (cells, features)
            Standardised.

        Returns
        -------
        expression : Tensor, shape (cells, genes)
            Scaled as the targets are, see
            :class:`~napari_prts.expression.scaling.GeneScaling`.
        logit : Tensor, shape (cells, genes)
            Of the probability that the gene is expressed.
        """
        hidden = self.trunk(features)
        return self.expression(hidden), self.expressed(hidden)


def used_device(network: nn.Module) -> torch.device:
    """Device that a network lies on."""
    return next(network.parameters()).device
