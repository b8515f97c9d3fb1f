"""What every encoder offers, whatever it is inside."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.features.request import ExtractRequest
    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder made of one batch of nuclei.

    Parameters
    ----------
    positions : ndarray of int64, shape (b,)
        Positions of these nuclei in the table that was given.
    local : ndarray of float32, shape (b, L)
        Local part.
    context : ndarray of float32, shape (b, C)
        Part of the context that depends on no other nucleus; C is the encoder's
        ``stored_context_size``, which may be 0.
    remark : str
        What the user should know, such as that memory was short.
    early : Encoded, optional
        Other nuclei, of which something is known: to be shown until all of it is, and
        never kept.
    """

    positions: NDArray[np.int64]
    local: NDArray[np.float32]
    context: NDArray[np.float32]
    remark: str = ""
    early: Encoded | None = None


class Encoder(Protocol):
    """Turns nuclei on a slide into numbers.

    Attributes
    ----------
    name : str
        Name by which :func:`~napari_prts.features.load_encoder` loads it again.
    key : str
        Identity: changes with weights, normalisation, tile and scale.
    licence : str
        Licence of the weights, as far as it is known.
    mpp : float
        Microns per pixel at which it looks.
    tile : int
        Side of the square that it looks at, in pixels of that scale.
    local_size, context_size : int
        Columns of the two parts of :class:`~napari_prts.features.Features`.
    stored_context_size : int
        Columns of the context that belong to the nucleus alone and are kept in the
        store; 0 if the context is made from the neighbours' local parts.
    reach_um : float
        How far away a neighbour may be whose local part is part of the context, in
        micrometres; 0 if none is.
    tilings : tuple of str
        In which ways it can look: ``"exact"``, and ``"grid"`` where nuclei may share tiles.
    """

    name: str
    key: str
    licence: str
    mpp: float
    tile: int
    local_size: int
    context_size: int
    stored_context_size: int
    reach_um: float
    tilings: tuple[str, ...]

    def encode(
        self, slide: Slide, nuclei: Nuclei, work: Worklist, request: ExtractRequest
    ) -> Generator[Encoded, None, None]:
        """Encode the nuclei of a worklist, each once, those on screen first.

        Batches may be empty; after each one the caller may close the iterator. What a
        nucleus is given does not depend on the order, nor on the other nuclei.
        """
        ...

    def context_of(
        self,
        local: NDArray[np.float32],
        stored: NDArray[np.float32],
        centroids_um: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Context of all nuclei, shape (n, ``context_size``), from what was encoded of all.

        Parameters
        ----------
        local : ndarray of float32, shape (n, ``local_size``)
            Local parts of all nuclei of the slide.
        stored : ndarray of float32, shape (n, ``stored_context_size``)
            Context parts that belong to one nucleus alone.
        centroids_um : ndarray of float32, shape (n, 2)
            Centroids (row, column) in micrometres.
        """
        ...

    def where(self, request: ExtractRequest) -> str:
        """Say in a few words on what it will run; raise ModelError if it cannot."""
        ...

    def precision(self, request: ExtractRequest) -> str:
        """Name of the precision in which it will be computed."""
        ...
