"""Scaling of features and of counts, fitted on the training cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_SMALLEST_STD = 1e-8


@dataclass(frozen=True, eq=False)
class FeatureScaling:
    """Standardisation of features.

    Parameters
    ----------
    mean, std : ndarray of float32, shape (features,), or (sections, features)
        ``std`` is 1 for a feature that is the same in all training cells.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def fit(cls, matrix: NDArray[np.float32]) -> FeatureScaling:
        """Measure mean and standard deviation of training cells, (cells, features)."""
        mean = matrix.mean(0, dtype=np.float64)
        std = matrix.std(0, dtype=np.float64)
        # Relative to the mean, for float32 leaves rounding where a feature is constant.
        constant = std <= _SMALLEST_STD + 1e-6 * np.abs(mean)
        return cls(mean.astype(np.float32), np.where(constant, 1.0, std).astype(np.float32))

    def apply(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardise, (cells, features)."""
        return (matrix - self.mean) / self.std

    def of(self, section: int) -> FeatureScaling:
        """Give one section's scaling, where these are of several, (sections, features)."""
        return FeatureScaling(self.mean[section], self.std[section])


@dataclass(frozen=True, eq=False)
class GeneScaling:
    """Scaling of each gene's non-zero counts to 0..1; zeros stay 0.

    Parameters
    ----------
    minimum : ndarray of float32, shape (genes,)
        Smallest non-zero count of the training cells; 0 for a gene that none expresses.
    span : ndarray of float32, shape (genes,)
        Largest minus smallest non-zero count; 0 if they are the same, whereupon
        all counts scale to 0 and all predictions to the one count seen.
    """

    minimum: NDArray[np.float32]
    span: NDArray[np.float32]

    @classmethod
    def fit(cls, counts: sparse.csr_matrix) -> GeneScaling:
        """Measure training cells, (cells, genes)."""
        columns = sparse.csc_matrix(counts, dtype=np.float32)
        columns.eliminate_zeros()
        minimum = np.zeros(columns.shape[1], np.float32)
        span = np.zeros(columns.shape[1], np.float32)
        filled = np.diff(columns.indptr) > 0
        if filled.any():
            # Empty columns add no data, so the next filled one begins where the last ended.
            starts = columns.indptr[:-1][filled]
            minimum[filled] = np.minimum.reduceat(columns.data, starts)
            span[filled] = np.maximum.reduceat(columns.data, starts) - minimum[filled]
        return cls(minimum, span)

    def scaled(self, counts: sparse.csr_matrix) -> NDArray[np.float32]:
        """Scale the non-zero counts, shape (number stored,), in the order of ``counts.data``.

        Parameters
        ----------
        counts : csr matrix, shape (cells, genes)
            Without stored zeros.
        """
        genes = counts.indices
        span = self.span[genes]
        above = counts.data.astype(np.float32) - self.minimum[genes]
        # A gene with a single value has no span: all of it scales to 0.
        scaled: NDArray[np.float32] = np.zeros_like(above)
        np.divide(above, span, out=scaled, where=span > 0)
        return scaled

    def targets(self, counts: sparse.csr_matrix) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale counts.

        Parameters
        ----------
        counts : csr matrix, shape (cells, genes)

        Returns
        -------
        scaled, expressed : ndarray of float32, shape (cells, genes)
            ``expressed`` is 1 where the count is above zero, else 0.
        """
        stored = sparse.csr_matrix(counts, dtype=np.float32, copy=True)
        stored.eliminate_zeros()
        expressed = (stored.toarray() > 0).astype(np.float32)
        stored.data = self.scaled(stored)
        return stored.toarray(), expressed

    def counts(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn scaled expression into counts, not below a gene's smallest one, (cells, genes)."""
        return np.maximum(scaled, 0) * self.span + self.minimum


def expected_counts(
    scaling: GeneScaling, scaled: NDArray[np.float32], probability: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Put the two heads together: probability of being expressed x count if it is.

    This is the paper's "expression x is-expressed". Both are needed: where a
    gene has few counts, nearly all that is known of it is in the probability.

    Parameters
    ----------
    scaling : GeneScaling
        Of the training cells.
    scaled, probability : ndarray, shape (cells, genes)
        What the network gives.
    """
    return scaling.counts(scaled) * probability
