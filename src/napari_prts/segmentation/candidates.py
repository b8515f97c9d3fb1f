"""Candidate nuclei: grid points with their probability and radial distances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Pairs judged at once: their fields stay so near to the origin that no fraction of a pixel is lost.
_PAIRS = 1024


@dataclass(frozen=True, eq=False)
class Candidates:
    """Star-convex polygons around points of an image at the model's scale.

    Parameters
    ----------
    points : ndarray of float32, shape (n, 2)
        (row, column) in pixels of the image, pixel centres at whole numbers.
    prob : ndarray of float32, shape (n,)
        Object probability.
    dist : ndarray of float32, shape (n, n_rays)
        Distances to the border in pixels, along rays that start towards +column
        and turn towards +row.
    """

    points: NDArray[np.float32]
    prob: NDArray[np.float32]
    dist: NDArray[np.float32]

    @classmethod
    def empty(cls, n_rays: int) -> Candidates:
        """No candidates."""
        return cls(
            np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros((0, n_rays), np.float32)
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Candidates], n_rays: int) -> Candidates:
        """All candidates of several parts, in their order."""
        parts = [cls.empty(n_rays), *parts]
        return cls(
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.prob for part in parts]),
            np.concatenate([part.dist for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.prob)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        """Candidates at positions or where a mask is true."""
        return Candidates(self.points[which], self.prob[which], self.dist[which])

    def shifted(self, row: float, column: float) -> Candidates:
        """The same candidates in an image whose corner lies at (-row, -column)."""
        return Candidates(self.points + np.array([row, column], np.float32), self.prob, self.dist)

    def in_rows(self) -> Candidates:
        """Candidates ordered by row, then column, of their points."""
        return self.take(np.lexsort((self.points[:, 1], self.points[:, 0])))

    def by_rank(self) -> NDArray[np.intp]:
        """Positions by falling probability; of equal ones by row and column.

        The order of the points decides between equal probabilities, so that no result
        depends on the order in which tiles were looked at.
        """
        return np.lexsort((self.points[:, 1], self.points[:, 0], -self.prob))

    def suppressed(self, nms_threshold: float) -> Candidates:
        """Keep the more probable of candidates that overlap.

        Parameters
        ----------
        nms_threshold : float
            Largest tolerated overlap: area of the intersection over the area of
            the smaller polygon.

        Returns
        -------
        Candidates
            Survivors, by falling probability.

        Notes
        -----
        As ``stardist.nms.non_maximum_suppression_sparse``, but in the order of
        :meth:`by_rank`.
        """
        order = self.by_rank()
        with one_thread():
            return self.take(order[self.survivors(nms_threshold)[order]])

    def survivors(self, nms_threshold: float) -> NDArray[np.bool_]:
        """Tell which candidates :meth:`suppressed` keeps, shape (n,)."""
        order = self.by_rank()
        kept = np.zeros(len(self), bool)
        kept[order] = _suppress(self.dist[order], self.points[order], nms_threshold)
        return kept

    def beaten(
        self,
        winners: NDArray[np.intp],
        losers: NDArray[np.intp],
        nms_threshold: float,
    ) -> NDArray[np.bool_]:
        """Tell which of given pairs overlap so much that the loser is dropped.

        Parameters
        ----------
        winners, losers : ndarray of intp, shape (n,)
            Positions of the candidates of each pair.
        nms_threshold : float
            See :meth:`suppressed`.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        parts = [
            self._beaten(winners[at : at + _PAIRS], losers[at : at + _PAIRS], nms_threshold)
            for at in range(0, len(winners), _PAIRS)
        ]
        return np.concatenate([np.zeros(0, bool), *parts])

    def _beaten(
        self, winners: NDArray[np.intp], losers: NDArray[np.intp], nms_threshold: float
    ) -> NDArray[np.bool_]:
        # Each pair is moved to a field of its own, by whole pixels: one run judges all pairs.
        base = np.floor(self.points[winners])
        away = np.abs(self.points[losers] - base).max(initial=0)
        field = np.ceil(2 * (away + 2 * self.dist.max(initial=0) + 2))
        across = np.ceil(np.sqrt(len(winners)))
        places = np.arange(len(winners))
        # Nothing may lie below 0, where corners are rounded the other way.
        corner = (np.stack([places // across, places % across], axis=1) + 1) * field
        points = np.concatenate([self.points[winners], self.points[losers]])
        points += np.tile(corner - base, (2, 1)).astype(np.float32)
        dist = np.concatenate([self.dist[winners], self.dist[losers]])
        return ~_suppress(dist, points, nms_threshold)[len(winners) :]

    def boxes(self) -> NDArray[np.float32]:
        """Smallest upright boxes, shape (n, 4): first row, first column, last row, last column."""
        if not len(self):
            return np.zeros((0, 4), np.float32)
        rays = _ray_directions(self.dist.shape[1]).astype(np.float32)
        rows, columns = self.dist * rays[:, 0], self.dist * rays[:, 1]
        reach = np.stack(
            [rows.min(axis=1), columns.min(axis=1), rows.max(axis=1), columns.max(axis=1)], axis=1
        )
        boxes: NDArray[np.float32] = np.tile(self.points, (1, 2)) + reach
        return boxes

    def shortened(self, most: float) -> Candidates:
        """The same candidates with rays of at most ``most`` pixels."""
        if self.dist.max(initial=0) <= most:
            return self
        return Candidates(self.points, self.prob, np.minimum(self.dist, np.float32(most)))

    def areas(self) -> NDArray[np.float32]:
        """Areas of the polygons in squared pixels, shape (n,)."""
        beside = np.roll(self.dist, -1, axis=1)
        sine = np.sin(2 * np.pi / self.dist.shape[1])
        areas: NDArray[np.float32] = (self.dist * beside).sum(axis=1) * np.float32(sine / 2)
        return areas

    def limited(self, height: float, width: float) -> Candidates:
        """Shorten rays that leave an image; the polygons stay star-convex.

        Parameters
        ----------
        height, width : float
            Size of the image in pixels; it begins at -0.5, the border of pixel 0.
            All points must lie inside.
        """
        ends = np.array([height, width])
        room = np.minimum(self.points + 0.5, ends - 0.5 - self.points).min(axis=1)
        leaving = np.flatnonzero(self.dist.max(axis=1, initial=0) > room)
        rays = _ray_directions(self.dist.shape[1])
        border = np.where(rays > 0, ends - 0.5, -0.5)
        away = np.abs(border - self.points[leaving, None, :])
        with np.errstate(divide="ignore", invalid="ignore"):
            most = np.where(np.abs(rays) > 1e-9, away / np.abs(rays), np.inf).min(axis=2)
        dist = self.dist.copy()
        dist[leaving] = np.minimum(dist[leaving], most)
        return Candidates(self.points, self.prob, dist)

    def polygons(self, scale: float | tuple[float, float] = 1.0) -> NDArray[np.float32]:
        """Vertices of the polygons, at this or another resolution.

        Parameters
        ----------
        scale : float or tuple of float
            Pixels of the wanted image per pixel of this one, for (row, column).

        Returns
        -------
        ndarray of float32, shape (n, n_rays, 2)
            (row, column) in the wanted image, pixel centres at whole numbers: pixel
            ``p`` of this image covers ``p - 0.5`` to ``p + 0.5``, so it lies at
            ``(p + 0.5) * scale - 0.5`` there.
        """
        rays = _ray_directions(self.dist.shape[1])
        vertices = self.points[:, None, :].astype(np.float64) + self.dist[..., None] * rays
        scales = np.broadcast_to(np.asarray(scale, np.float64), 2)
        return ((vertices + 0.5) * scales - 0.5).astype(np.float32)


def _ray_directions(n_rays: int) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, n_rays, endpoint=False)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def _suppress(
    dist: NDArray[np.float32], points: NDArray[np.float32], nms_threshold: float
) -> NDArray[np.bool_]:
    """Suppress overlaps of candidates that are ordered by rank."""
    from stardist.nms import non_maximum_suppression_inds

    if not len(dist):
        return np.zeros(0, bool)
    kept = non_maximum_suppression_inds(
        dist, points, scores=None, thresh=nms_threshold, verbose=False
    )
    return np.asarray(kept, bool)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let suppression, in this thread, start no threads of its own.

    stardist starts them anew for each survivor; beside a busy network, waiting for
    them takes ten times as long as the work.
    """
    import stardist.nms  # noqa: F401  what is loaded later would not be limited
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

    with ThreadpoolController().limit(limits=1, user_api="openmp"):
        yield
