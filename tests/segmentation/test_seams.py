"""No seams: the tiles leave no trace in the result. And no nuclei where there is no tissue."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.segmentation import SegmentRequest, segment
from napari_prts.segmentation.candidates import Candidates
from napari_prts.segmentation.merging import Merger, settle_tile
from napari_prts.segmentation.tiling import Rectangle, plan_tiles
from napari_prts.slide import Slide, open_slide
from tests.segmentation.oracle import GLASS, draw_discs, oracle, scattered
from tests.segmentation.test_candidates import as_set, many

SIDE = 208
WINDOW = Rectangle(0, 0, SIDE, SIDE)
RIM = 16


def owned(candidates: Candidates, tile: Rectangle) -> Candidates:
    row, column = candidates.points.T
    inside = (row >= tile.row0) & (row < tile.row1)
    return candidates.take(inside & (column >= tile.column0) & (column < tile.column1))


@given(
    seed=st.integers(0, 10_000),
    # As dense as candidates are in tissue: chains cross several of the smaller tiles.
    count=st.integers(0, 850),
    tile=st.sampled_from([32, 48, 64, 100, 104, 208]),
    nms=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]),
    planned=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=12)
def test_the_same_survive_whatever_the_tiles_and_their_order(
    seed, count, tile, nms, planned, chance
):
    """Chains of suppression may cross many tiles: the result is one suppression's still."""
    candidates = many(count, SIDE, seed)
    tiles = plan_tiles(WINDOW, tile, (16, 16))
    chance.shuffle(tiles)
    merger = Merger(nms, 32, RIM, tiles if planned else None)
    for part in tiles:
        merger.add(owned(candidates, part), part)
    assert as_set(merger.result()) == as_set(candidates.suppressed(nms))
    if planned:
        # Nothing is unknown any more, but what lay too deep to be looked at again.
        assert merger.pending <= 0.02 * count


def test_what_a_tile_drops_could_never_have_won():
    """A tile settled alone keeps its nuclei, and near its border all that may win yet."""
    candidates = many(3000, 304)
    tile = Rectangle(96, 96, 304, 304)
    settled = settle_tile(owned(candidates, tile), tile, 0.3, RIM)
    survivors = as_set(owned(candidates.suppressed(0.3), tile))
    assert as_set(settled.final) <= survivors <= as_set(settled.both())
    assert 0 < len(settled.pending) < 0.75 * len(owned(candidates, tile))


def test_the_merger_forgets_candidates_that_lost():
    """Tile after tile, only those near the tiles to come wait for their fate."""
    wide = Rectangle(0, 0, 96, 1600)
    tiles = plan_tiles(wide, 96, (16, 16))
    merger = Merger(0.3, 32, RIM, tiles)
    waiting = []
    for number, tile in enumerate(tiles):
        merger.add(many(600, 96, number).shifted(0, tile.column0), tile)
        waiting.append(merger.pending)
    assert max(waiting) < 900
    # Chains of more than a tile are left to the end.
    assert waiting[-1] < 0.02 * 600 * len(tiles)


def test_pairs_are_judged_as_in_a_suppression():
    candidates = many(120, 60).shifted(40, 40)
    rank = candidates.by_rank()
    i, j = np.triu_indices(120, 1)
    i, j = rank[i[::23]], rank[j[::23]]
    pairs = [candidates.take(np.array(pair)) for pair in zip(i, j, strict=True)]
    expected = np.array([len(pair.suppressed(0.3)) == 1 for pair in pairs])
    # Rounding to whole pixels may turn one that is just at the threshold.
    assert (candidates.beaten(i, j, 0.3) == expected).mean() > 0.99
    assert not candidates.beaten(i, j, 0.35)[~expected].any()


def f1_at(a: Nuclei, b: Nuclei, threshold: float) -> float:
    """F1 of two sets of outlines that are matched at an IoU."""
    tree = shapely.STRtree(b.shapely())
    first, second = tree.query(a.shapely(), predicate="intersects")
    ours, theirs = a.shapely()[first], b.shapely()[second]
    shared = shapely.area(shapely.intersection(ours, theirs))
    iou = shared / (shapely.area(ours) + shapely.area(theirs) - shared)
    matched = min(len(set(first[iou >= threshold])), len(set(second[iou >= threshold])))
    return 2 * matched / (len(a) + len(b))


def test_tissue_looks_the_same_in_tiles_of_any_size(demo_slide_path):
    """The embedded network on dense real tissue, cut in four ways."""
    slide = open_slide(demo_slide_path)
    region = (900.0, 1300.0, 400.0, 420.0)
    found = {
        tile: run(segment(slide, SegmentRequest(region=region, tile=tile)))
        for tile in (256, 512, 1024, 2048)
    }
    assert len(found[1024]) > 80
    for tile in (256, 512, 2048):
        assert f1_at(found[tile], found[1024], 0.9) >= 0.995


def test_a_real_section_looks_the_same_in_small_tiles(shared_data):
    slide = open_slide(shared_data / "her2st" / "C2.jpg", mpp=0.69)
    region = (5300.0, 4300.0, 240.0, 240.0)
    small, large = (
        run(segment(slide, SegmentRequest(region=region, tile=tile))) for tile in (256, 1024)
    )
    assert len(large) > 40
    assert f1_at(small, large, 0.9) >= 0.995


def glass_of(slide: Slide, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Real glass from a slide, as large as asked for."""
    cell = slide.survey().tissue.downsample
    # Beyond the picture there is no glass either.
    other = np.pad(slide.survey().tissue.mask, 1, constant_values=True)
    far = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_C, 3)
    row, column = np.unravel_index(far.argmax(), far.shape)
    half = int((far.max() - 3) * cell)
    side = 2 * half
    patch = slide.read((row - 0.5) * cell - half, (column - 0.5) * cell - half, side, side)
    turns = [patch, patch[::-1], patch[:, ::-1], patch[::-1, ::-1]]
    rows = [
        np.concatenate([turns[(r + c) % 4] for c in range(-(-shape[1] // side))], axis=1)
        for r in range(-(-shape[0] // side))
    ]
    return np.ascontiguousarray(np.concatenate(rows)[: shape[0], : shape[1]])


@pytest.fixture(scope="module")
def skin(demo_slide_path) -> Slide:
    return open_slide(demo_slide_path)


def test_real_glass_holds_no_nuclei(skin):
    """With its dust and stains, but not a cell."""
    slide = Slide.from_array(glass_of(skin, (600, 600)), mpp=0.499)
    assert len(run(segment(slide))) == 0


def test_strokes_of_a_pen_hold_no_nuclei(skin):
    """Blue and green felt pen, 0.12 mm wide, on real glass beside real tissue."""
    image = glass_of(skin, (1000, 1400))
    image[60:320, 60:340] = skin.read(1200, 1400, 260, 280)
    for colour, row in (((30, 60, 170), 480), ((20, 110, 60), 800)):
        ends = np.array([[500, row], [900, row - 100], [1240, row + 40]], np.int32)
        cv2.polylines(image, [ends], False, colour, 240, cv2.LINE_AA)
    nuclei = run(segment(Slide.from_array(image, mpp=0.499)))
    assert len(nuclei) > 20
    assert nuclei.centroids.max() < 360


def test_a_small_piece_in_a_wide_white_border(skin):
    """The margin around the tissue is glass too; nuclei are on the piece alone."""
    image = np.full((1000, 1100, 3), 255, np.uint8)
    image[380:640, 400:680] = skin.read(1200, 1400, 260, 280)
    nuclei = run(segment(Slide.from_array(image, mpp=0.499)))
    assert len(nuclei) > 20
    row, column = nuclei.centroids.T
    assert row.min() >= 380
    assert row.max() < 640
    assert column.min() >= 400
    assert column.max() < 680


def test_dust_on_glass_inside_the_tissues_margin_is_no_nucleus():
    """A pale speck is glass with noise; the network's eagerness does not count."""
    image = np.full((420, 420, 3), GLASS, np.uint8)
    shape = (260, 260)
    places = scattered(shape, 9.0)
    image[:260, :260] = draw_discs(shape, places, 9.0)
    cv2.circle(image, (268, 130), 5, tuple(v - 12 for v in GLASS), -1)
    nuclei = run(segment(Slide.from_array(image, mpp=0.5), SegmentRequest(model=oracle())))
    assert len(nuclei) == len(places)
