"""The PRTS network made ready to predict: what can be computed beforehand is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_prts.expression.scaling import GeneScaling
from napari_prts.expression.steady import alike

if TYPE_CHECKING:
    from napari_prts.expression.network import PrtsNetwork

Kind = TypeVar("Kind", bound=nn.Module)

# Cells at once, for what is computed of them to stay in the processor's cache.
_BLOCK = 64
# To pick genes costs a little; and how many are picked is a multiple of this.
_MOST_GENES = 0.75
_FEWEST_GENES = 64


class ReadyNetwork:
    """Features of cells to expected counts, without dropout.

    Matrix products are in the precision asked for; their sums, and all that is done between
    them, are in float32. In bfloat16 a number loses less the nearer it is to zero: what is
    multiplied has been centred by batch norm, and what a product gives is rounded before its
    bias is added. Genes that none of some hundred cells expresses are not computed for them.

    A cell's result is the same to the bit whichever cells are predicted with it, in threads
    of :class:`~napari_prts.expression.lone_threads.LoneThreads`.

    Parameters
    ----------
    network : PrtsNetwork
        Trained.
    scaling : GeneScaling
        Of its genes.
    threshold : float
        Probability below which a gene counts as not expressed.
    device : torch.device
        Where the products are computed.
    precision : str
        ``"float32"`` or ``"bfloat16"``.
    """

    def __init__(
        self,
        network: PrtsNetwork,
        scaling: GeneScaling,
        threshold: float,
        device: torch.device,
        precision: str,
    ) -> None:
        self._device, self._dtype = device, getattr(torch, precision)
        self._threshold = np.float32(threshold)
        trunk = list(network.trunk)
        self._slope = next(m.negative_slope for m in trunk if isinstance(m, nn.LeakyReLU))
        self._layers = [
            (self._there(linear.weight.detach()), *_on(device, linear.bias, *_affine(norm)))
            for linear, norm in zip(
                _all(trunk, nn.Linear), _all(trunk, nn.BatchNorm1d), strict=True
            )
        ]
        # A count is at least the gene's smallest: the larger of it, and of it and more.
        self._smallest, span = scaling.minimum, torch.from_numpy(scaling.span)
        counted, expressed = network.expression, network.expressed
        self._count_weight = self._there(counted.weight.detach() * span[:, None])
        self._count_bias = (counted.bias.detach() * span).numpy() + scaling.minimum
        self._expressed_weight = self._there(expressed.weight.detach())
        self._minus_bias = -expressed.bias.detach().numpy()

    def predict(
        self,
        features: NDArray[np.float32],
        counts: NDArray[np.float32],
        probability: NDArray[np.float32],
    ) -> None:
        """Predict cells into the rows of two arrays.

        Parameters
        ----------
        features : ndarray of float32, shape (n, features)
            Standardised.
        counts, probability : ndarray of float32, shape (n, genes)
            Where expected counts go, 0 where a gene counts as not expressed, and the
            probability of being expressed.
        """
        with torch.inference_mode(), np.errstate(over="ignore"):
            for part, given in alike(features, self._dtype, self._device):
                hidden = self._trunk(given)
                logit = nn.functional.linear(hidden, self._expressed_weight).cpu()
                for here, rows in _blocks(part):
                    self._probability(logit[here], probability[rows])
                self._counts(hidden, counts[part], probability[part])

    def _trunk(self, given: Tensor) -> Tensor:
        for weight, bias, scale, shift in self._layers:
            found = nn.functional.linear(given, weight).float()
            nn.functional.leaky_relu_(found.add_(bias), self._slope)
            given = found.mul_(scale).add_(shift).to(self._dtype)
        return given

    def _probability(self, logit: Tensor, out: NDArray[np.float32]) -> None:
        # NumPy's functions give a number the same bits wherever it lies in an array;
        # PyTorch's sigmoid does not.
        torch.from_numpy(out).copy_(logit)
        np.subtract(self._minus_bias, out, out=out)
        np.exp(out, out=out)
        np.add(out, np.float32(1), out=out)
        np.reciprocal(out, out=out)

    def _counts(
        self, hidden: Tensor, counts: NDArray[np.float32], probability: NDArray[np.float32]
    ) -> None:
        """Expected counts: probability of being expressed x count if it is (the paper)."""
        kept = probability >= self._threshold
        genes = _to_compute(np.asarray(kept.any(0)))
        if genes is None:
            scaled = nn.functional.linear(hidden, self._count_weight).cpu()
            for here, _ in _blocks(slice(0, len(counts))):
                block = counts[here]
                torch.from_numpy(block).copy_(scaled[here])
                np.add(block, self._count_bias, out=block)
                np.maximum(block, self._smallest, out=block)
                np.multiply(block, probability[here], out=block)
                np.multiply(block, kept[here], out=block)
            return
        weight = self._count_weight[torch.from_numpy(genes).to(self._device)]
        some = nn.functional.linear(hidden, weight).cpu().float().numpy()[: len(counts)]
        some += self._count_bias[genes]
        np.maximum(some, self._smallest[genes], out=some)
        some *= probability[:, genes]
        some *= kept[:, genes]
        counts.fill(0)
        counts[:, genes] = some

    def _there(self, values: Tensor) -> Tensor:
        return values.to(self._device, self._dtype)


def _blocks(part: slice) -> Iterator[tuple[slice, slice]]:
    """Rows counted from the part's first, and from the first of all."""
    for start in range(part.start, part.stop, _BLOCK):
        stop = min(start + _BLOCK, part.stop)
        yield slice(start - part.start, stop - part.start), slice(start, stop)


def _to_compute(expressed: NDArray[np.bool_]) -> NDArray[np.intp] | None:
    """Genes that any cell expresses, and some more; None if it is as quick to take all.

    A product with few genes is computed in another way and rounds differently: measured
    with PyTorch 2.15, below 12.
    """
    genes = np.flatnonzero(expressed)
    wanted = max(_FEWEST_GENES, -(-len(genes) // _FEWEST_GENES) * _FEWEST_GENES)
    if wanted > _MOST_GENES * len(expressed):
        return None
    others = np.flatnonzero(~expressed)[: wanted - len(genes)]
    return np.sort(np.concatenate((genes, others)))


def _all(modules: list[nn.Module], kind: type[Kind]) -> list[Kind]:
    return [module for module in modules if isinstance(module, kind)]


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """What batch norm multiplies with and adds."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias.detach() - norm.running_mean * scale


def _on(device: torch.device, *tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().to(device) for tensor in tensors)
