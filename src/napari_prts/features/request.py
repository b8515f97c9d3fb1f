"""How features are to be made."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_prts.errors import ModelError
from napari_prts.features.licences import Consent

MORPHOLOGY = "morphology"
EXACT, GRID = "exact", "grid"
TILINGS = (EXACT, GRID)
FLOAT32 = "float32"
PRECISIONS = ("auto", FLOAT32)


@dataclass(frozen=True)
class ExtractRequest:
    """How to make features.

    Parameters
    ----------
    encoder : str
        Name or path of the encoder, see :func:`~napari_prts.features.load_encoder`.
    batch : int, optional
        Tiles encoded at once; by default what suits the device. It changes no value.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    tiles : str
        ``"exact"``: a tile of its own for each nucleus, as in the paper; ``"grid"``: tiles
        on a lattice that nuclei share, see :mod:`~napari_prts.features.lattice`. Encoders
        that look at no tiles are the same either way.
    precision : str
        ``"auto"``: the quickest that the device computes itself, bfloat16 on CPUs that
        have it and half on GPUs; ``"float32"``.
    accept_licence : bool or callable
        Whether weights that are not on this computer may be downloaded.

    Raises
    ------
    ModelError
        If the batch is not positive, or a word is unknown.
    """

    encoder: str = MORPHOLOGY
    batch: int | None = None
    device: str = "auto"
    tiles: str = EXACT
    precision: str = "auto"
    accept_licence: Consent = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise ModelError(f"batch is {self.batch}; give at least 1 tile a batch.")
        for name, value, known in (
            ("tiles", self.tiles, TILINGS),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise ModelError(f"{name} is {value!r}; give one of {', '.join(known)}.")
