"""The features of a slide's nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import ModelError


@dataclass(frozen=True, eq=False)
class Features:
    """Features of n nuclei, one row each.

    Parameters
    ----------
    ids : ndarray of int64, shape (n,)
        Ids of the nuclei, in their order.
    local : ndarray of float32, shape (n, L)
        What the nucleus itself looks like.
    context : ndarray of float32, shape (n, G)
        What its surroundings look like; PRTS calls it global.
    encoder : str
        Name by which the encoder is loaded again.
    encoder_key : str
        Identity of the encoder: two that differ in weights, normalisation, tile
        or scale have different keys.
    mpp : float
        Microns per pixel at which the encoder looked.
    settings : dict
        How the features were extracted.

    Raises
    ------
    ModelError
        If the parts differ in their number of rows.
    """

    ids: NDArray[np.int64]
    local: NDArray[np.float32]
    context: NDArray[np.float32]
    encoder: str
    encoder_key: str
    mpp: float
    settings: dict[str, Any]

    def __post_init__(self) -> None:
        rows = {len(self.ids), len(self.local), len(self.context)}
        if len(rows) != 1 or self.local.ndim != 2 or self.context.ndim != 2:
            raise ModelError(
                f"Features do not fit together: {len(self.ids)} ids, local {self.local.shape}, "
                f"context {self.context.shape}; give one row a nucleus."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Context, then local, side by side, shape (n, G + L).

        The order is that of the authors' scripts (global first); the paper names
        them the other way round.
        """
        return np.concatenate((self.context, self.local), axis=1)

    def take(self, positions: NDArray[np.intp] | NDArray[np.bool_]) -> Features:
        """Give the rows at ``positions`` (integers or a mask), in that order."""
        return Features(
            self.ids[positions],
            self.local[positions],
            self.context[positions],
            self.encoder,
            self.encoder_key,
            self.mpp,
            self.settings,
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Features]) -> Features:
        """Put parts by the same encoder, one at least, one below the other."""
        return replace(
            parts[0],
            ids=np.concatenate([part.ids for part in parts]),
            local=np.concatenate([part.local for part in parts]),
            context=np.concatenate([part.context for part in parts]),
        )
