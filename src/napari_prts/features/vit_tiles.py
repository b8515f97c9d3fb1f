"""What a vision transformer looks at for each nucleus: a tile of its own, or shared ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.features.encoder import Encoded, Encoder
from napari_prts.features.first_look import Early, FirstLook
from napari_prts.features.lattice import Lattice, Waiting, well_inside
from napari_prts.features.tile_order import TileOrder
from napari_prts.features.tiles import TileReader, Tiles, tile_corners, to_encoder_pixels
from napari_prts.features.tokens import local_features, token_mask, token_weights
from napari_prts.pipeline import Step

if TYPE_CHECKING:
    from napari_prts.features.vit import VitEncoder
    from napari_prts.features.vit_network import VitNetwork
    from napari_prts.features.worklist import Worklist
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

Ints = NDArray[np.int64]

# Tiles of the first batches: somebody may be waiting for one nucleus, which has four shared
# tiles, looked at two by two.
_FIRST = (1, 1, 1, 1)


@dataclass(frozen=True, eq=False)
class _Read:
    """Tiles, and which of their tokens lie under which nucleus.

    Parameters
    ----------
    tiles : Tiles
        ``positions`` are those of nuclei, or of tiles on the lattice.
    members : ndarray of int64, shape (k,)
        Nuclei that take tokens from these tiles, by tile: positions in the table, or of
        shared tiles rows of the worklist.
    owner, patches : ndarray of int64, shape (t,)
        Tile in the batch and patch in the tile of each token, by nucleus.
    counts : ndarray of int64, shape (k,)
        Tokens of each nucleus.
    weights : ndarray of float32, shape (t,), optional
        Of each token; None if all are equal.
    guests : int
        The last so many of the members lie too near to the border to count.
    """

    tiles: Tiles
    members: Ints
    owner: Ints
    patches: Ints
    counts: Ints
    weights: NDArray[np.float32] | None = None
    guests: int = 0


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
        self._slide_mpp, self._encoder, self._nuclei = slide.require_mpp(), encoder, nuclei
        corners = tile_corners(nuclei.centroids, self._slide_mpp, encoder.mpp, encoder.tile)
        self._reader = TileReader(slide, corners, encoder.mpp, encoder.tile)
        self._work, self._network = work, network

    def batches(self, size: int) -> Iterator[Ints]:
        """Nuclei to look at together."""
        sizes = chain(_FIRST, repeat(size))
        while len(positions := self._work.take(min(size, next(sizes)))):
            yield positions

    def steps(self, readers: int) -> Sequence[Step]:
        """What is done with a batch."""
        return Step(self._read, readers), Step(self._look, self._network.lookers)

    def _read(self, positions: Ints) -> _Read:
        """Tiles, with the tokens whose patches overlap the outline."""
        tiles, encoder = self._reader.read(positions), self._encoder
        polygons = [
            to_encoder_pixels(self._nuclei.polygon(int(i)), self._slide_mpp, encoder.mpp) - corner
            for i, corner in zip(positions, tiles.corners, strict=True)
        ]
        centres = self._nuclei.centroids[positions]
        centres = to_encoder_pixels(centres, self._slide_mpp, encoder.mpp) - tiles.corners
        mask = token_mask(polygons, centres, encoder.grid, encoder.patch)
        owner, patches = np.nonzero(mask.reshape(len(positions), encoder.grid**2))
        counts = np.bincount(owner, minlength=len(positions))
        return _Read(tiles, positions, owner, patches, counts)

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
        self._network, self._positions = network, work.positions
        centroids, self._encoder = nuclei.centroids[self._positions], encoder
        self._places = to_encoder_pixels(centroids, slide.require_mpp(), encoder.mpp)
        self._lattice = lattice_under(encoder, slide, centroids)
        row = np.full(len(nuclei), -1)
        row[self._positions] = np.arange(len(self._positions))
        self._margin = well_inside(encoder.tile, encoder.patch)
        self._first: FirstLook | None = None
        if work.view is not None:
            self._first = FirstLook(
                self._lattice, self._places, encoder.tile, self._margin, encoder.local_size
            )
        middles = self._lattice.corners + encoder.tile / 2
        middles = middles * encoder.mpp / slide.require_mpp()
        self._order = TileOrder(work, row, centroids, self._lattice, middles, self._first)
        self._reader = TileReader(slide, self._lattice.corners, encoder.mpp, encoder.tile)
        self._waiting, self._members = Waiting.for_all(self._lattice), self._lattice.by_tile()
        # A few numbers of single precision add up exactly, whatever their order.
        self._local = np.zeros((len(self._positions), encoder.local_size), np.float64)
        self._seen = np.zeros(len(self._positions), np.int64)
        self._context = np.empty((len(self._lattice), encoder.stored_context_size), np.float32)

    def batches(self, size: int) -> Iterator[Ints]:
        """Tiles to look at together: those that the next nuclei need."""
        sizes = chain(_FIRST, repeat(size))
        while len(tiles := self._order.take(min(size, next(sizes)))):
            yield tiles

    def steps(self, readers: int) -> Sequence[Step]:
        """What is done with a batch."""
        look = Step(self._look, self._network.lookers)
        return Step(self._read, readers), look, Step(self._settle)

    def _read(self, tiles: Ints) -> _Read:
        """Tiles, with the tokens around the nuclei that lie well inside."""
        read, encoder = self._reader.read(tiles), self._encoder
        owner, rows = self._by_tile(tiles, [self._members[tile] for tile in tiles])
        centres = self._places[rows] - read.corners[owner]
        low, high = self._margin, encoder.tile - self._margin
        inside = ((centres >= low) & (centres <= high)).all(axis=1)
        rows, owner, centres = rows[inside], owner[inside], centres[inside]
        guests = 0
        if self._first is not None:
            host, extra = self._by_tile(tiles, [self._first.guests(int(tile)) for tile in tiles])
            moved = np.clip(self._places[extra] - read.corners[host], low, high)
            rows, owner = np.append(rows, extra), np.append(owner, host)
            centres, guests = np.concatenate((centres, moved)), len(extra)
        weights = token_weights(centres, encoder.grid, encoder.patch)
        which, patches = np.nonzero(weights)
        counts = np.bincount(which, minlength=len(rows))
        owner, weights = owner[which], weights[which, patches]
        return _Read(read, rows, owner, patches, counts, weights, guests)

    @staticmethod
    def _by_tile(tiles: Ints, members: Sequence[Ints]) -> tuple[Ints, Ints]:
        """Nuclei of several tiles: number of the tile in the batch, and row of each."""
        owner = np.repeat(np.arange(len(tiles)), [len(some) for some in members])
        return owner, np.concatenate(members)

    def _look(self, read: _Read) -> tuple[_Read, NDArray[np.float32], NDArray[np.float32]]:
        tokens, context = self._network.look(read.tiles.pixels, read.owner, read.patches)
        return read, local_features(tokens, read.counts, read.weights), context

    def _settle(self, found: tuple[_Read, NDArray[np.float32], NDArray[np.float32]]) -> Encoded:
        read, local, context = found
        tiles, own = read.tiles.positions, len(read.members) - read.guests
        np.add.at(self._local, read.members[:own], local[:own])
        np.add.at(self._seen, read.members[:own], 1)
        self._context[tiles] = context
        rows, early = self._waiting.finish(tiles), None
        if self._first is not None:
            self._first.keep(read.members[own:], local[own:])
            early = self._first.seen(
                tiles, rows, self._order.in_view, self._local, self._seen, self._context
            )
        means = self._local[rows] / self._seen[rows, None]
        return Encoded(
            self._positions[rows],
            means.astype(np.float32),
            self._lattice.context(rows, self._context),
            self._network.remark,
            self._shown(early),
        )

    def _shown(self, early: Early | None) -> Encoded | None:
        if early is None:
            return None
        return Encoded(self._positions[early.rows], early.local, early.context)


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
