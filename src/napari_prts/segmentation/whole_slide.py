"""Finding all nuclei of a slide, tile by tile."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import asdict, astuple, dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_prts.errors import ModelError, SlideError
from napari_prts.jobs import Job, Progress
from napari_prts.nuclei import Nuclei, Source
from napari_prts.pipeline import PULSE
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.checkpoint import Checkpoint, FinishedTile
from napari_prts.segmentation.ground import Ground, measure_limits
from napari_prts.segmentation.loading import DEFAULT_MODEL, load_model
from napari_prts.segmentation.merging import Merger
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.runner import Runner, receptive_radius
from napari_prts.segmentation.searching import LOOKERS, RIM, Search
from napari_prts.segmentation.tiling import Rectangle, plan_tiles
from napari_prts.slide import Slide
from napari_prts.slide.damage import BrokenTile

# Model pixels around a tile that the network sees but whose nuclei it does not report.
CONTEXT = 96
# Raised when the code finds other nuclei than before: unfinished work of old code is not reused.
_CODE = 1


@dataclass(frozen=True)
class SegmentRequest:
    """What to segment and how.

    Parameters
    ----------
    model : str, path or StarDistModel
        A model, or its name or path as for :func:`~napari_prts.segmentation.load_model`.
    region : tuple of float, optional
        (row, column, height, width) in level-0 pixels: only nuclei whose centroid
        lies inside. The stain's limits are still the whole slide's, so a nucleus
        comes out the same whatever the region.
    prob_threshold, nms_threshold : float, optional
        Instead of the model's own.
    tile : int
        Largest side, in model pixels, of the part that a tile owns.
    tissue_only : bool
        Look for nuclei on tissue only.
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    order_from : tuple of float, optional
        (row, column) in level-0 pixels from which tiles are done outwards; the
        result is the same.
    """

    model: str | Path | StarDistModel = DEFAULT_MODEL
    region: tuple[float, float, float, float] | None = None
    prob_threshold: float | None = None
    nms_threshold: float | None = None
    tile: int = 1024
    tissue_only: bool = True
    device: str = "auto"
    order_from: tuple[float, float] | None = None


def segment(slide: Slide, request: SegmentRequest | None = None) -> Job[Nuclei]:
    """Find the nuclei of a slide with StarDist.

    Parameters
    ----------
    slide : Slide
        The slide; its microns per pixel must be known.
    request : SegmentRequest, optional
        What to segment and how.

    Yields
    ------
    Progress
        In ``"tiles"``, and again with the same number while a tile takes long, so that
        it can be cancelled. ``partial`` holds the nuclei newly found in the tile, None
        where there is no new tile: ids count on from tile to tile. At tile borders the
        final result may choose
        otherwise, and it has ids of its own.

    Returns
    -------
    Nuclei
        In level-0 pixels, with ids from 0 row by row; empty without tissue.

    Raises
    ------
    MissingPixelSizeError
        If the slide's microns per pixel are unknown.
    SlideError
        If the region lies outside the slide.
    ModelError
        If the model cannot be loaded, or a threshold is out of range.
    """
    request = request or SegmentRequest()
    survey = Survey.of(slide, request)
    total = len(survey.tiles)
    yield Progress(0, total, "tiles", "measuring the stain" if total else "no tissue")
    if not total:
        return Nuclei.empty()
    model = survey.model
    limits = measure_limits(slide, model.mpp, model.percentiles)
    search = Search(survey, Runner(model, request.device, LOOKERS), limits)
    checkpoint = Checkpoint.open(_identity(search, request))
    # Left for the next run unless this one comes to its end.
    with closing(checkpoint):
        merger = Merger(model.nms_threshold, model.config.n_rays, RIM, survey.tiles)
        shown = yield from _resumed(survey, checkpoint, merger)
        yield from _searched(search, checkpoint, merger, shown)
        found = survey.nuclei(merger.result(), 0)
        checkpoint.discard()
    return found


@dataclass(frozen=True)
class _Shown:
    """Tiles done, and nuclei shown."""

    tiles: frozenset[Rectangle]
    nuclei: int


def _resumed(survey: Survey, checkpoint: Checkpoint, merger: Merger) -> Job[_Shown]:
    """Take over what an earlier run of the same request has found."""
    planned, done = set(survey.tiles), set()
    fresh = []
    for kept in checkpoint.finished():
        if kept.tile in planned and kept.tile not in done:
            fresh.append(merger.take(kept.settled, kept.tile))
            done.add(kept.tile)
            _restore_damage(survey.slide, kept.note)
    if not done:
        return _Shown(frozenset(), 0)
    nuclei = survey.nuclei(Candidates.concatenate(fresh, survey.model.config.n_rays), 0)
    total = len(survey.tiles)
    note = f"resumed: {len(done):,} of {total:,} tiles were done"
    yield Progress(len(done), total, "tiles", note, partial=nuclei)
    return _Shown(frozenset(done), len(nuclei))


def _searched(search: Search, checkpoint: Checkpoint, merger: Merger, before: _Shown) -> Job[None]:
    """Search the tiles that are left."""
    survey = search.survey
    left = [tile for tile in survey.tiles if tile not in before.tiles]
    shown, broken = before.nuclei, set(survey.slide.broken)
    with closing(search.run(left)) as results:
        done = len(before.tiles)
        for result in results:
            if result is PULSE:
                # Nothing new, but a chance to cancel.
                yield Progress(done, len(survey.tiles), "tiles", f"{shown:,} nuclei")
                continue
            done += 1
            tile, settled = result
            damage = [part for part in survey.slide.broken if part not in broken]
            broken.update(damage)
            checkpoint.append(FinishedTile(tile, settled, [astuple(part) for part in damage]))
            fresh = survey.nuclei(merger.take(settled, tile), shown)
            shown += len(fresh)
            note = f"{shown:,} nuclei"
            yield Progress(done, len(survey.tiles), "tiles", note, partial=fresh)


def _restore_damage(slide: Slide, broken: list[tuple[float, float, float, float, str]]) -> None:
    """Nobody reads these tiles again: what was broken in them must still be known."""
    for row, column, height, width, reason in broken:
        if slide.damage is not None:
            slide.damage.restore(BrokenTile(row, column, height, width, reason))


def _identity(search: Search, request: SegmentRequest) -> dict[str, Any]:
    """All that what is found in a tile depends on."""
    survey, model = search.survey, search.survey.model
    return {
        "code": [_CODE, version("napari-prts")],
        "slide": survey.slide.fingerprint,
        "slide_mpp": float(survey.slide.require_mpp()),
        "model": [model.name, model.hash, float(model.mpp), asdict(model.config)],
        "thresholds": [float(model.prob_threshold), float(model.nms_threshold)],
        "limits": [*search.limits.low, *search.limits.high],
        "runtime": [search.runner.device.type, search.runner.device.runtime],
        "region": None if request.region is None else [float(v) for v in request.region],
        "tissue_only": bool(request.tissue_only),
        "tiles": [int(request.tile), survey.context, RIM],
        "ground": sha256(np.packbits(survey.ground.mask).tobytes()).hexdigest(),
    }


@dataclass(frozen=True, eq=False)
class Survey:
    """Where on a slide, and at what scale, a model looks for nuclei.

    Parameters
    ----------
    slide : Slide
        The slide.
    region : tuple of float or None
        See :class:`SegmentRequest`.
    model : StarDistModel
        With the thresholds asked for.
    scale : float
        Level-0 pixels per model pixel.
    ground : Ground
        Where nuclei are looked for.
    tiles : tuple of Rectangle
        Parts that own their points, in model pixels.
    """

    slide: Slide
    region: tuple[float, float, float, float] | None
    model: StarDistModel
    scale: float
    ground: Ground
    tiles: tuple[Rectangle, ...]

    @classmethod
    def of(cls, slide: Slide, request: SegmentRequest) -> Survey:
        """Plan a request; see :func:`segment` for what it raises."""
        mpp = slide.require_mpp()
        model = requested_model(request)
        divisor = model.config.divisor
        if request.tile < max(divisor):
            raise ModelError(f"Tiles of {request.tile} px are too small; give {max(divisor)} up.")
        scale = model.mpp / mpp
        window = _window(slide, request.region, scale, divisor)
        start = None
        if request.order_from is not None:
            start = (request.order_from[0] / scale, request.order_from[1] / scale)
        ground = Ground.of(slide, request.tissue_only)
        planned = plan_tiles(window, request.tile, divisor, start)
        covers = [ground.cover(tile, scale) for tile in planned]
        tiles = tuple(cover.aligned(divisor) for cover in covers if cover is not None)
        return cls(slide, request.region, model, scale, ground, tiles)

    def nuclei(self, found: Candidates, first_id: int) -> Nuclei:
        """Nuclei in level-0 pixels, those inside the region; ids count from ``first_id``."""
        nuclei = _table(found, self.scale, first_id)
        if self.region is None or not len(nuclei):
            return nuclei
        row, column, height, width = self.region
        inside = nuclei.in_rectangle(row, column, row + height, column + width)
        return _table(found.take(inside), self.scale, first_id)

    @property
    def context(self) -> int:
        """The context, or less for a network that sees less, in multiples of its divisor."""
        divisor = math.lcm(*self.model.config.divisor)
        reach = min(CONTEXT, receptive_radius(self.model.config))
        return -(-reach // divisor) * divisor


def requested_model(request: SegmentRequest) -> StarDistModel:
    """Load the model of a request, with the thresholds that it asks for."""
    model = request.model
    if not isinstance(model, StarDistModel):
        model = load_model(model)
    prob, nms = request.prob_threshold, request.nms_threshold
    return replace(
        model,
        prob_threshold=model.prob_threshold if prob is None else prob,
        nms_threshold=model.nms_threshold if nms is None else nms,
    )


def _window(
    slide: Slide,
    region: tuple[float, float, float, float] | None,
    scale: float,
    divisor: tuple[int, int],
) -> Rectangle:
    """The region with its surroundings, or the slide, in model pixels."""
    rows, columns = slide.shape
    whole = Rectangle(0, 0, math.ceil(rows / scale), math.ceil(columns / scale)).aligned(divisor)
    if region is None:
        return whole
    row, column, height, width = region
    touches = row < rows and column < columns and row + height > 0 and column + width > 0
    if not (height > 0 and width > 0 and touches):
        raise SlideError(
            f"The region at row {row:g}, column {column:g} of {height:g} x {width:g} px is not "
            f"on the slide of {rows} x {columns} px: give row, column, height, width in its "
            "level-0 pixels."
        )
    part = Rectangle(
        math.floor(row / scale),
        math.floor(column / scale),
        math.ceil((row + height) / scale),
        math.ceil((column + width) / scale),
    )
    # A nucleus inside may be found from a point outside, or lose to a neighbour outside.
    return part.grown(RIM).aligned(divisor).within(whole)


def _table(found: Candidates, scale: float, first_id: int) -> Nuclei:
    return Nuclei.from_polygons(
        found.polygons(scale), scores=found.prob, source=Source.STARDIST, next_id=first_id
    )
