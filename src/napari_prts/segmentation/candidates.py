"""Candidate nuclei: grid points with their probability and radial distances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        As ``stardist.nms.non_maximum_suppression_sparse``, but equal probabilities
        are ordered by point, so that the result does not depend on the order in
        which tiles were looked at.
        """
        from stardist.nms import non_maximum_suppression_inds

        order = np.lexsort((self.points[:, 1], self.points[:, 0], -self.prob))
        ranked = self.take(order)
        if not len(ranked):
            return ranked
        kept = non_maximum_suppression_inds(
            ranked.dist, ranked.points, scores=ranked.prob, thresh=nms_threshold, verbose=False
        )
        return ranked.take(np.asarray(kept, bool))

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
