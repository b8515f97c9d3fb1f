"""What a vision transformer looks at for each nucleus: a tile of its own, or shared ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.lattice import Lattice, Waiting
from napari_prts.features.tiles import TileReader, Tiles, tile_corners, to_encoder_pixels
from napari_prts.features.tokens import local_features, token_mask
from napari_prts.pipeline import Step

if TYPE_CHECKING:
    from napari_prts.features.vit import VitEncoder
    from napari_prts.features.vit_network import VitNetwork
    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Read:
    """Tiles, and which of their tokens lie under which nucleus.

    Parameters
    ----------
    tiles : Tiles
        ``positions`` are those of nuclei, or of tiles on the lattice.
    members : ndarray of int64, shape (k,)
        Nuclei that take tokens from these tiles, by tile.
    owner, patches : ndarray of int64, shape (t,)
        Tile in the batch and patch in the tile of each token, by nucleus.
    counts : ndarray of int64, shape (k,)
        Tokens of each nucleus.
    """

    tiles: Tiles
    members: Ints
    owner: Ints
    patches: Ints
    counts: Ints


class _Tokens:
    """Finds the tokens under nuclei."""

    def __init__(self, encoder: VitEncoder, slide: Slide, nuclei: Nuclei) -> None:
        self._nuclei, self._encoder = nuclei, encoder
        self._slide_mpp = slide.require_mpp()

    def of(self, tiles: Tiles, members: Ints, owner: Ints) -> _Read:
        """Those of ``members``, each in the tile of the batch that ``owner`` says, ascending."""
        encoder = self._encoder
        corners = tiles.corners[owner]
        polygons = [
            to_encoder_pixels(self._nuclei.polygon(int(i)), self._slide_mpp, encoder.mpp) - corner
            for i, corner in zip(members, corners, strict=True)
        ]
        centres = self._nuclei.centroids[members]
        centres = to_encoder_pixels(centres, self._slide_mpp, encoder.mpp) - corners
        mask = token_mask(polygons, centres, encoder.grid, encoder.patch)
        which, patches = np.nonzero(mask.reshape(len(members), encoder.grid**2))
        counts = np.bincount(which, minlength=len(members))
        return _Read(tiles, members, owner[which], patches, counts)


class OwnTiles:
    """A tile for each nucleus, centred on it, as in the paper."""

    def __init__(
        self,
        encoder: VitEncoder,
        slide: Slide,
        nuclei: Nuclei,
        work: Worklist,
        network: VitNetwork,
    ) -> None:
        corners = tile_corners(nuclei.centroids, slide.require_mpp(), encoder.mpp, encoder.tile)
        self._reader = TileReader(slide, corners, encoder.mpp, encoder.tile)
        self._tokens = _Tokens(encoder, slide, nuclei)
        self._work, self._network = work, network

    def batches(self, size: int) -> Iterator[Ints]:
        """Nuclei to look at together."""
        while len(positions := self._work.take(size)):
            yield positions

    def steps(self, readers: int) -> Sequence[Step]:
        """What is done with a batch."""
        return Step(self._read, readers), Step(self._look, self._network.lookers)

    def _read(self, positions: Ints) -> _Read:
        tiles = self._reader.read(positions)
        return self._tokens.of(tiles, positions, np.arange(len(positions)))

    def _look(self, read: _Read) -> Encoded:
        tokens, context = self._network.look(read.tiles.pixels, read.owner, read.patches)
        local = local_features(tokens, read.counts)
        return Encoded(read.members, local, context, self._network.remark)


class SharedTiles:
    """Tiles on a lattice, each looked at once; see :mod:`~napari_prts.features.lattice`."""

    def __init__(
        self,
        encoder: VitEncoder,
        slide: Slide,
        nuclei: Nuclei,
        work: Worklist,
        network: VitNetwork,
    ) -> None:
        self._work, self._network, self._positions = work, network, work.positions
        self._lattice = lattice_under(encoder, slide, nuclei.centroids[self._positions])
        self._row = np.full(len(nuclei), -1)
        self._row[self._positions] = np.arange(len(self._positions))
        self._reader = TileReader(slide, self._lattice.corners, encoder.mpp, encoder.tile)
        self._tokens = _Tokens(encoder, slide, nuclei)
        self._waiting = Waiting(self._lattice)
        order = np.argsort(self._lattice.nearest, kind="stable")
        edges = np.searchsorted(self._lattice.nearest[order], np.arange(1, len(self._lattice)))
        self._members = np.split(order, edges)
        self._local = np.empty((len(self._positions), encoder.local_size), np.float32)
        self._context = np.empty((len(self._lattice), encoder.stored_context_size), np.float32)

    def batches(self, size: int) -> Iterator[Ints]:
        """Tiles to look at together: those that the next nuclei need."""
        asked = np.zeros(len(self._lattice), np.bool_)
        batch: list[int] = []
        while len(positions := self._work.take(1)):
            for tile in np.unique(self._lattice.around[self._row[positions]]):
                if not asked[tile]:
                    asked[tile] = True
                    batch.append(int(tile))
            while len(batch) >= size:
                yield np.array(batch[:size])
                batch = batch[size:]
        if batch:
            yield np.array(batch)

    def steps(self, readers: int) -> Sequence[Step]:
        """What is done with a batch."""
        look = Step(self._look, self._network.lookers)
        return Step(self._read, readers), look, Step(self._settle)

    def _read(self, tiles: Ints) -> _Read:
        read = self._reader.read(tiles)
        rows = [self._members[tile] for tile in tiles]
        owner = np.repeat(np.arange(len(tiles)), [len(r) for r in rows])
        return self._tokens.of(read, self._positions[np.concatenate(rows)], owner)

    def _look(self, read: _Read) -> tuple[_Read, NDArray[np.float32], NDArray[np.float32]]:
        tokens, context = self._network.look(read.tiles.pixels, read.owner, read.patches)
        return read, local_features(tokens, read.counts), context

    def _settle(self, found: tuple[_Read, NDArray[np.float32], NDArray[np.float32]]) -> Encoded:
        read, local, context = found
        self._local[self._row[read.members]] = local
        self._context[read.tiles.positions] = context
        rows = self._waiting.finish(read.tiles.positions)
        return Encoded(
            self._positions[rows],
            self._local[rows],
            self._lattice.context(rows, self._context),
            self._network.remark,
        )


def lattice_under(encoder: Encoder, slide: Slide, centroids: NDArray[np.floating]) -> Lattice:
    """Lay the lattice of an encoder under nuclei.

    Parameters
    ----------
    encoder : Encoder
        Says scale and tile.
    slide : Slide
        Its mpp must be known.
    centroids : ndarray, shape (n, 2)
        (row, column) in level-0 pixels.
    """
    slide_mpp = slide.require_mpp()
    places = to_encoder_pixels(centroids, slide_mpp, encoder.mpp)
    rows, columns = (side * slide_mpp / encoder.mpp for side in slide.shape[:2])
    return Lattice.of(places, (rows, columns), encoder.tile)
