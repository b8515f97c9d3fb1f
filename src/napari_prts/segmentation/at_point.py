"""A nucleus grown at a click."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_prts.nuclei import Nuclei, Source
from napari_prts.nuclei.selection import overlapping
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.normalisation import Normalisation
from napari_prts.segmentation.runner import Runner, receptive_radius
from napari_prts.segmentation.tiling import Rectangle
from napari_prts.slide import Slide

# Model pixels around the click in which a nucleus that holds it may have its best point: a
# nucleus of twice this diameter is larger than any that the network draws.
_NEAR = 32
# Model pixels that the network sees around them; as for the whole slide, so that a nucleus
# comes out the same.
_CONTEXT = 96
# Below this share of the model's threshold the network all but denies a nucleus.
_FAINT = 0.25
_MUCH = 0.5


@dataclass(frozen=True, eq=False)
class Grown:
    """A nucleus grown at a click.

    Parameters
    ----------
    outline : ndarray of float32, shape (n_rays, 2)
        (row, column) in level-0 pixels; the click lies inside.
    score : float
        Object probability by the network.
    likely : bool
        Whether the score reaches the model's threshold: segmenting the slide would
        find a nucleus here too.
    faint : bool
        Whether the score is so low (under a quarter of the threshold) that the shape
        is a guess: tell the user, and let them check the outline.
    overlapped : tuple of int
        Ids of existing nuclei whose intersection with the outline is more than half of
        the smaller of both: likely the same nucleus.
    """

    outline: NDArray[np.float32]
    score: float
    likely: bool
    faint: bool
    overlapped: tuple[int, ...] = ()


class PointGrower:
    """Grows nuclei at clicks on one slide with one model.

    Making one loads the network and measures the stain's limits, in about a
    second; a click then costs one pass of the network over a window of some 270 pixels.

    Parameters
    ----------
    slide : Slide
        The slide; its microns per pixel must be known.
    model : StarDistModel
        The model.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    runner : Runner, optional
        The model's network, where it is ready already.
    limits : Normalisation, optional
        The stain's limits by :func:`~napari_prts.segmentation.ground.measure_limits`,
        where they are known already.

    Raises
    ------
    MissingPixelSizeError
        If the slide's microns per pixel are unknown.
    ModelError
        If the device is not there or the model is for other images.
    """

    def __init__(
        self,
        slide: Slide,
        model: StarDistModel,
        device: str = "auto",
        runner: Runner | None = None,
        limits: Normalisation | None = None,
    ) -> None:
        self.slide, self.model = slide, model
        self.scale = model.mpp / slide.require_mpp()
        self.runner = runner or Runner(model, device)
        self.limits = limits or measure_limits(slide, model.mpp, model.percentiles)

    def grow(self, row: float, column: float, nuclei: Nuclei | None = None) -> Grown | None:
        """Grow a nucleus at a click.

        Of the shapes that hold the click the most probable is taken, however
        improbable it is and whatever nuclei are there already: the user says that
        there is one.

        Parameters
        ----------
        row, column : float
            The click, in level-0 pixels.
        nuclei : Nuclei, optional
            The nuclei that are there already, to tell which are overlapped.

        Returns
        -------
        Grown or None
            None if the click is off the slide, or no shape holds it.
        """
        rows, columns = self.slide.shape
        if not (-0.5 <= row < rows - 0.5 and -0.5 <= column < columns - 0.5):
            return None
        found = self._around((row + 0.5) / self.scale - 0.5, (column + 0.5) / self.scale - 0.5)
        polygons = found.polygons(self.scale)
        held = np.flatnonzero(_hold(polygons, row, column))
        if not len(held):
            return None
        best = held[np.argmax(found.prob[held])]
        outline, score = polygons[best], float(found.prob[best])
        return Grown(
            outline,
            score,
            likely=score > self.model.prob_threshold,
            faint=score < _FAINT * self.model.prob_threshold,
            overlapped=_overlapped(outline, nuclei),
        )

    def _around(self, row: float, column: float) -> Candidates:
        """All points of the network near a place, as shapes in model pixels of the slide."""
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

        divisor = self.model.config.divisor
        context = min(_CONTEXT, receptive_radius(self.model.config))
        context = -(-context // math.lcm(*divisor)) * math.lcm(*divisor)
        # Corners at multiples of the divisor: the points are those of the whole slide.
        at = Rectangle(round(row), round(column), round(row) + 1, round(column) + 1)
        inner = at.grown(_NEAR).aligned(divisor)
        seen = inner.grown(context)
        image = self.slide.read(
            seen.row0 * self.scale,
            seen.column0 * self.scale,
            seen.height,
            seen.width,
            mpp=self.model.mpp,
        )
        window = (
            slice(context, context + inner.height),
            slice(context, context + inner.width),
        )
        # One thread does it in a quarter of a second; several wait for each other several times
        # as long wherever another job, such as segmenting the slide, keeps the processor busy.
        with ThreadpoolController().limit(limits=1, user_api="openmp"):
            found = self.runner.candidates(self.limits.apply(image), 0.0, window)
        found = found.shifted(seen.row0, seen.column0)
        size = np.array(self.slide.shape) / self.scale
        on_slide = (found.points >= 0) & (found.points + 0.5 < size)
        found = found.take(np.flatnonzero(on_slide.all(axis=1))).limited(*size)
        # Smaller shapes, in squared model pixels, are numerical dust.
        return found.take(found.areas() >= 1.0)


def shape_at(
    slide: Slide,
    model: StarDistModel,
    row: float,
    column: float,
    runner: Runner | None = None,
    nuclei: Nuclei | None = None,
) -> Grown | None:
    """Grow one nucleus at a place; for many, keep a :class:`PointGrower`.

    Parameters
    ----------
    slide : Slide
        The slide; its microns per pixel must be known.
    model : StarDistModel
        The model.
    row, column : float
        The place, in level-0 pixels.
    runner : Runner, optional
        The model's network, where it is ready already.
    nuclei : Nuclei, optional
        The nuclei that are there already.

    Returns
    -------
    Grown or None
        See :meth:`PointGrower.grow`, and :class:`PointGrower` for what is raised.
    """
    return PointGrower(slide, model, runner=runner).grow(row, column, nuclei)


def _hold(polygons: NDArray[np.float32], row: float, column: float) -> NDArray[np.bool_]:
    """Tell which polygons, shape (n, k, 2), hold a place."""
    import shapely

    low, high = polygons.min(axis=1, initial=np.inf), polygons.max(axis=1, initial=-np.inf)
    place = np.array([row, column])
    holds: NDArray[np.bool_] = ((low <= place) & (place <= high)).all(axis=1)
    near = shapely.polygons(polygons[holds][..., ::-1].astype(np.float64))
    holds[holds] = shapely.contains_xy(near, column, row)
    return holds


def _overlapped(outline: NDArray[np.float32], nuclei: Nuclei | None) -> tuple[int, ...]:
    if nuclei is None:
        return ()
    grown = Nuclei.from_polygons([outline], source=Source.MANUAL)
    positions, _ = overlapping(nuclei, grown, _MUCH)
    return tuple(int(id_) for id_ in nuclei.ids[positions])
