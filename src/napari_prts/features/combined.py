"""Several encoders side by side, under one name and one key."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_prts.errors import ModelError
from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.table import Features

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# Between the names of the parts.
PLUS = "+"


class CombinedEncoder:
    """Encoders whose local parts are put side by side, and whose context parts are.

    :func:`~napari_prts.features.extract` runs the parts one after the other and keeps
    what each gives under that part's own key: what one of them has encoded before, alone
    or in another combination, is found again.

    Parameters
    ----------
    parts : sequence of Encoder
        Two or more; none of them a combination, none twice.

    Raises
    ------
    ModelError
        If there are fewer than two, or one is there twice.
    """

    def __init__(self, parts: Sequence[Encoder]) -> None:
        names = [part.name for part in parts]
        if len(parts) < 2 or len({part.key for part in parts}) < len(parts):
            raise ModelError(
                f"Encoder {PLUS.join(names)!r} combines {len(set(names))} different encoder(s): "
                "name two or more, each once, such as 'morphology+unet'."
            )
        self.parts = tuple(parts)
        self.name = PLUS.join(names)
        keys = [part.key for part in parts]
        digest = xxhash.xxh3_64("\n".join(keys).encode()).hexdigest()
        self.key = f"{PLUS.join(keys)}-{digest}"
        self.licence = "; ".join(dict.fromkeys(part.licence for part in parts))
        # The finest scale and the widest view of them.
        self.mpp = min(part.mpp for part in parts)
        self.tile = round(max(part.mpp * part.tile for part in parts) / self.mpp)
        self.local_size = sum(part.local_size for part in parts)
        self.context_size = sum(part.context_size for part in parts)
        self.stored_context_size = sum(part.stored_context_size for part in parts)

    def where(self, device: str) -> str:
        """Say where each part will run."""
        return "; ".join(f"{part.name}: {part.where(device)}" for part in self.parts)

    def encode(
        self,
        slide: Slide,
        nuclei: Nuclei,
        positions: NDArray[np.int64],
        batch: int,
        device: str,
    ) -> Generator[Encoded, None, None]:
        """Run the parts one after the other; nuclei are given once the last part has them."""
        rows = _Joined.of(self.parts, len(nuclei))
        for number, part in enumerate(self.parts):
            for encoded in part.encode(slide, nuclei, positions, batch, device):
                rows.add(number, encoded)
                if number + 1 == len(self.parts):
                    yield rows.give(encoded.positions)
                else:
                    yield rows.give(np.empty(0, np.int64))

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Context of each part from its own columns, side by side."""
        locals_ = _columns(local, [part.local_size for part in self.parts])
        kept = _columns(stored, [part.stored_context_size for part in self.parts])
        return np.concatenate(
            [
                part.context_of(own, stored_part, centroids_um)
                for part, own, stored_part in zip(self.parts, locals_, kept, strict=True)
            ],
            axis=1,
        )

    def join(self, features: Sequence[Features]) -> Features:
        """Put the features of the parts, in their order and of the same nuclei, side by side."""
        return Features(
            features[0].ids,
            np.concatenate([part.local for part in features], axis=1),
            np.concatenate([part.context for part in features], axis=1),
            self.name,
            self.key,
            self.mpp,
            {"extraction": "side by side", **{part.encoder: part.settings for part in features}},
        )


@dataclass(frozen=True, eq=False)
class _Joined:
    """What the parts have given so far, side by side."""

    local: NDArray[np.float32]
    context: NDArray[np.float32]
    local_edges: list[int] = field(default_factory=list)
    context_edges: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, parts: Sequence[Encoder], count: int) -> _Joined:
        local = [0, *np.cumsum([part.local_size for part in parts]).tolist()]
        context = [0, *np.cumsum([part.stored_context_size for part in parts]).tolist()]
        return cls(
            np.zeros((count, local[-1]), np.float32),
            np.zeros((count, context[-1]), np.float32),
            local,
            context,
        )

    def add(self, number: int, encoded: Encoded) -> None:
        columns = slice(self.local_edges[number], self.local_edges[number + 1])
        self.local[encoded.positions, columns] = encoded.local
        columns = slice(self.context_edges[number], self.context_edges[number + 1])
        self.context[encoded.positions, columns] = encoded.context

    def give(self, positions: NDArray[np.int64]) -> Encoded:
        return Encoded(positions, self.local[positions], self.context[positions])


def _columns(table: NDArray[np.float32], sizes: Sequence[int]) -> list[NDArray[np.float32]]:
    return np.split(table, np.cumsum(sizes)[:-1], axis=1)
