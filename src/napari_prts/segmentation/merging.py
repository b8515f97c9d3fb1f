"""Merging the candidates of neighbouring tiles without seams.

Suppression is a chain: whether a candidate survives depends on those of higher
rank that it overlaps, and so on. Near a tile that is not done yet, someone
unknown may begin the chain. So each candidate is *final* as soon as nobody
unknown can change its fate, *pending* as long as somebody can, and dropped when
it loses for certain. The survivors are those of one suppression over the whole
slide, whatever the tiles and their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_prts.segmentation.candidates import Candidates, one_thread
from napari_prts.segmentation.tiling import Rectangle, distance_to

# stardist rounds corners to whole pixels before it compares areas: allow for that.
_ROUNDING = 2.0


@dataclass(frozen=True, eq=False)
class Settled:
    """What is left of the candidates of a tile.

    Parameters
    ----------
    final : Candidates
        Nuclei, whatever else is found.
    pending : Candidates
        Those whose fate depends on what lies beyond the tile's borders.
    """

    final: Candidates
    pending: Candidates

    def both(self) -> Candidates:
        """Final ones, then pending ones."""
        return Candidates.concatenate([self.final, self.pending], self.final.dist.shape[1])


def settle_tile(found: Candidates, tile: Rectangle, nms_threshold: float, rim: float) -> Settled:
    """Drop what loses for certain, knowing nothing beyond a tile's borders.

    Parameters
    ----------
    found : Candidates
        All candidates whose points the tile owns, in model pixels of the slide.
    tile : Rectangle
        The tile.
    nms_threshold : float
        See :meth:`Candidates.suppressed`.
    rim : float
        Longest ray of any candidate, in model pixels.
    """
    exposed = _depth(found, tile) < _reach(found) + rim + _ROUNDING
    with one_thread():
        survives = found.survivors(nms_threshold)
        uncertain = _uncertain(found, exposed, np.zeros(len(found), bool), survives, nms_threshold)
    return Settled(found.take(survives & ~uncertain), found.take(uncertain))


class Merger:
    """Collects candidates tile by tile and suppresses overlaps across borders.

    What is kept grows with the number of nuclei, not of candidates, if the tiles to
    come are known.

    Parameters
    ----------
    nms_threshold : float
        See :meth:`Candidates.suppressed`.
    n_rays : int
        Rays of each candidate.
    rim : int
        Longest ray of any candidate, in model pixels.
    plan : iterable of Rectangle, optional
        All tiles that will be added. Without it nothing near a border is decided
        before :meth:`result`.
    """

    def __init__(
        self,
        nms_threshold: float,
        n_rays: int,
        rim: int,
        plan: Iterable[Rectangle] | None = None,
    ) -> None:
        self._nms_threshold = nms_threshold
        self._n_rays = n_rays
        self._rim = rim
        self._waited_for = None if plan is None else set(plan)
        self._tiles: dict[Rectangle, _Held] = {}

    def add(self, found: Candidates, tile: Rectangle) -> Candidates:
        """Take the candidates that a tile owns; see :meth:`take`."""
        return self.take(settle_tile(found, tile, self._nms_threshold, self._rim), tile)

    def take(self, settled: Settled, tile: Rectangle) -> Candidates:
        """Take what is left of a tile's candidates.

        Parameters
        ----------
        settled : Settled
            From :func:`settle_tile`, with the same threshold and rim.
        tile : Rectangle
            The tile.

        Returns
        -------
        Candidates
            Those to be shown meanwhile: survivors in this tile that do not overlap
            with one returned before.
        """
        with one_thread():
            return self._take(settled, tile)

    def _take(self, settled: Settled, tile: Rectangle) -> Candidates:
        both = settled.both()
        survivors = both.take(both.survivors(self._nms_threshold))
        fresh = self._not_yet_shown(survivors, tile)
        at_rim = _depth(fresh, tile) < 2 * self._rim
        self._tiles[tile] = _Held(settled.final, settled.pending, fresh.take(at_rim))
        if self._waited_for is not None:
            self._waited_for.discard(tile)
            self._settle_around(tile)
        return fresh

    def result(self) -> Candidates:
        """All nuclei, by row and column of their points."""
        final = self._all(held.final for held in self._tiles.values())
        pending = self._all(held.pending for held in self._tiles.values())
        if len(pending):
            near = final.take(_near(final, pending, 2 * self._rim + _ROUNDING))
            both = Candidates.concatenate([near, pending], self._n_rays)
            with one_thread():
                survives = both.survivors(self._nms_threshold)
            survives[: len(near)] = False
            final = Candidates.concatenate([final, both.take(survives)], self._n_rays)
        return final.in_rows()

    @property
    def pending(self) -> int:
        """Number of candidates whose fate is not known yet."""
        return sum(len(held.pending) for held in self._tiles.values())

    def _settle_around(self, tile: Rectangle) -> None:
        """Decide what a tile's arrival lets be decided, in it and around it."""
        assert self._waited_for is not None
        seen = tile.grown(6 * self._rim)
        near = [other for other in self._tiles if not other.within(seen).empty]
        pending = self._all(self._tiles[other].pending for other in near)
        owner = np.repeat(np.arange(len(near)), [len(self._tiles[o].pending) for o in near])
        in_sight = _depth(pending, seen) >= 0
        pending, owner = pending.take(in_sight), owner[in_sight]
        if not len(pending):
            return
        final = self._all(self._tiles[other].final for other in near)
        final = final.take(_near(final, pending, 2 * self._rim + _ROUNDING))
        both = Candidates.concatenate([final, pending], self._n_rays)
        is_final = np.arange(len(both)) < len(final)
        # Beyond what is seen here others are pending too, so those at its edge stay as they are.
        exposed = ~is_final & (_depth(both, seen) < 2 * self._rim + _ROUNDING)
        around = tile.grown(8 * self._rim)
        unknown = [other for other in self._waited_for if not other.within(around).empty]
        exposed |= distance_to(unknown, both.points) < _reach(both) + self._rim + _ROUNDING
        survives = both.survivors(self._nms_threshold)
        uncertain = _uncertain(both, exposed & ~is_final, is_final, survives, self._nms_threshold)
        own = slice(len(final), None)
        for number in np.unique(owner):
            self._sort_out(
                self._tiles[near[number]],
                seen,
                pending.take((owner == number) & uncertain[own]),
                pending.take((owner == number) & (survives & ~uncertain)[own]),
            )

    def _sort_out(
        self, held: _Held, seen: Rectangle, pending: Candidates, final: Candidates
    ) -> None:
        """Replace what is pending in a tile where it was seen."""
        unseen = held.pending.take(_depth(held.pending, seen) < 0)
        held.pending = self._all([unseen, pending])
        held.final = self._all([held.final, final])

    def _all(self, parts: Iterable[Candidates]) -> Candidates:
        return Candidates.concatenate(parts, self._n_rays)

    def _not_yet_shown(self, survivors: Candidates, tile: Rectangle) -> Candidates:
        around = tile.grown(2 * self._rim)
        shown = self._all(
            held.shown for other, held in self._tiles.items() if not other.within(around).empty
        )
        near = shown.take(_depth(shown, around) >= 0)
        if not len(near) or not len(survivors):
            return survivors
        # A probability above one lets what is shown already win.
        both = self._all([Candidates(near.points, near.prob + 1, near.dist), survivors])
        return both.take(both.survivors(self._nms_threshold) & (both.prob <= 1))


@dataclass(eq=False)
class _Held:
    """What is kept of a tile; ``shown`` are those near its border."""

    final: Candidates
    pending: Candidates
    shown: Candidates


def _uncertain(
    c: Candidates,
    exposed: NDArray[np.bool_],
    final: NDArray[np.bool_],
    survives: NDArray[np.bool_],
    nms_threshold: float,
) -> NDArray[np.bool_]:
    """Tell whose fate may still change if that of exposed ones is open.

    A candidate is uncertain if it is exposed, or may overlap with an uncertain one of
    higher rank; but not if a certain survivor beats it anyhow.
    """
    rank = np.empty(len(c), np.intp)
    rank[c.by_rank()] = np.arange(len(c))
    overlaps = _Overlaps(c, rank, nms_threshold)
    uncertain = np.zeros(len(c), bool)
    touched = exposed.copy()
    newly = np.flatnonzero(touched)
    winners, losers = np.zeros((2, 0), np.intp)
    standing = np.flatnonzero(survives)
    while True:
        i, j = overlaps.between(standing, newly)
        # More overlap than need be: corners are rounded otherwise where the pair is judged.
        sure = c.beaten(i, j, min(1.0, nms_threshold * 1.1 + 0.02))
        winners = np.concatenate([winners, i[sure]])
        losers = np.concatenate([losers, j[sure]])
        # A survivor that has become uncertain excuses nobody any more.
        beaten = np.zeros(len(c), bool)
        beaten[losers[~uncertain[winners]]] = True
        fresh = touched & ~beaten & ~uncertain
        if not fresh.any():
            break
        uncertain |= fresh
        open_ = np.flatnonzero(~touched & ~final)
        _, reached = overlaps.between(np.flatnonzero(fresh), open_)
        newly = np.unique(reached)
        touched[newly] = True
    return uncertain


class _Overlaps:
    """Pairs of candidates that may overlap too much."""

    def __init__(self, c: Candidates, rank: NDArray[np.intp], nms_threshold: float) -> None:
        self._points, self._rank = c.points, rank
        self._reach, self._areas = _reach(c), c.areas()
        self._boxes = c.boxes() + np.array([-1, -1, 1, 1], np.float32) * np.float32(_ROUNDING / 2)
        self._nms_threshold = nms_threshold

    def between(
        self, higher: NDArray[np.intp], lower: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of one of each, the first of higher rank."""
        if not (len(higher) and len(lower)):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        farthest = float(self._reach[higher].max() + self._reach[lower].max()) + _ROUNDING
        pairs = cKDTree(self._points[higher]).sparse_distance_matrix(
            cKDTree(self._points[lower]), farthest, output_type="ndarray"
        )
        i, j = higher[pairs["i"]], lower[pairs["j"]]
        close = pairs["v"] < self._reach[i] + self._reach[j] + _ROUNDING
        close &= self._rank[i] < self._rank[j]
        i, j = i[close], j[close]
        a, b = self._boxes[i], self._boxes[j]
        sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        most = np.maximum(sides, 0).prod(axis=1)
        enough = most > 0.7 * self._nms_threshold * np.minimum(self._areas[i], self._areas[j])
        return i[enough], j[enough]


def _reach(candidates: Candidates) -> NDArray[np.float32]:
    reach: NDArray[np.float32] = candidates.dist.max(axis=1, initial=0)
    return reach


def _near(some: Candidates, others: Candidates, distance: float) -> NDArray[np.bool_]:
    """Tell which of some lie near any of others."""
    if not (len(some) and len(others)):
        return np.zeros(len(some), bool)
    away, _ = cKDTree(others.points).query(some.points, distance_upper_bound=distance)
    near: NDArray[np.bool_] = np.isfinite(away)
    return near


def _depth(candidates: Candidates, tile: Rectangle) -> NDArray[np.float32]:
    """Distance of each point to the tile's nearest side, negative outside."""
    row, column = candidates.points[:, 0], candidates.points[:, 1]
    depth: NDArray[np.float32] = np.minimum.reduce(
        [row - tile.row0, tile.row1 - row, column - tile.column0, tile.column1 - column]
    )
    return depth
