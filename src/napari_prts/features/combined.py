"""Several encoders side by side, under one name and one key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from napari_prts.errors import ModelError
from napari_prts.features.encoder import Encoder
from napari_prts.features.table import Features

if TYPE_CHECKING:
    from napari_prts.features.request import ExtractRequest

# Between the names of the parts.
PLUS = "+"


class CombinedEncoder:
    """Encoders whose local parts are put side by side, and whose context parts are.

    :func:`~napari_prts.features.extract` runs the parts side by side and keeps
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
        tilings = [way for part in parts for way in part.tilings]
        self.tilings = tuple(dict.fromkeys(tilings))

    def where(self, request: ExtractRequest) -> str:
        """Say where each part will run."""
        return "; ".join(f"{part.name}: {part.where(request)}" for part in self.parts)

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


def parts_of(encoder: Encoder | CombinedEncoder) -> tuple[Encoder, ...]:
    """Encoders that run one by one: the parts of a combination, or the one."""
    return encoder.parts if isinstance(encoder, CombinedEncoder) else (encoder,)
