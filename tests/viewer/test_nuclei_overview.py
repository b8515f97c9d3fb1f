"""All nuclei as one lazy pyramid: what is drawn bit by bit is what drawing all would give."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.nuclei import Nuclei, Source
from napari_prts.viewer.nuclei_blocks import SIDE, BlockCache, BlockLevel
from napari_prts.viewer.nuclei_overview import NucleiOverview
from napari_prts.viewer.nuclei_tones import FIRST_DENSITY, FIRST_OUTLINE

ANGLE = np.linspace(0, 2 * np.pi, 16, endpoint=False)
CIRCLE = np.stack([np.sin(ANGLE), np.cos(ANGLE)], axis=1)
SHAPE = (1500, 2300)


def scattered(count: int, shape: tuple[int, int], seed: int = 0) -> Nuclei:
    rng = np.random.default_rng(seed)
    centres = rng.uniform((0, 0), shape, (count, 2))
    return Nuclei.from_polygons([centre + CIRCLE * rng.uniform(4, 12) for centre in centres])


def shown(
    nuclei: Nuclei, shape: tuple[int, int] = SHAPE, mpp: float | None = 0.5
) -> NucleiOverview:
    overview = NucleiOverview(shape, mpp)
    overview.show(nuclei)
    return overview


def look(overview: NucleiOverview) -> list[np.ndarray]:
    """Look at all levels, whole."""
    return [np.array(level[:, :]) for level in overview.levels]


def test_levels_halve_until_one_screen_holds_the_slide_and_density_is_shown() -> None:
    overview = NucleiOverview((5000, 3000), 0.25)
    shapes = [level.shape for level in overview.levels]
    assert shapes == [(5000, 3000), (2500, 1500), (1250, 750), (625, 375), (313, 188)]


def test_even_a_small_slide_has_two_levels() -> None:
    assert [level.shape for level in NucleiOverview((61, 40), None).levels] == [(61, 40), (31, 20)]


def test_an_outline_runs_along_the_border_of_the_nucleus() -> None:
    alone = Nuclei.from_polygons([CIRCLE * 10 + 100])
    picture = look(shown(alone))[0]
    rows, columns = np.nonzero(picture)
    away = np.hypot(rows - 100, columns - 100)
    assert away.min() > 8
    assert away.max() < 13


def test_blocks_join_without_seams() -> None:
    """A nucleus across the corner of four blocks looks as it does elsewhere."""
    centre = np.array([SIDE, SIDE])
    across = look(shown(Nuclei.from_polygons([CIRCLE * 12 + centre])))[0]
    elsewhere = look(shown(Nuclei.from_polygons([CIRCLE * 12 + centre - 100])))[0]
    np.testing.assert_array_equal(across[100:, 100:], elsewhere[:-100, :-100])


def test_the_colour_tells_how_a_nucleus_came_about() -> None:
    nuclei = scattered(3, SHAPE).add([CIRCLE * 8 + 700], Source.MANUAL)
    values = set(np.unique(look(shown(nuclei))[0]))
    assert values == {0, Source.IMPORTED + FIRST_OUTLINE, Source.MANUAL + FIRST_OUTLINE}


def test_far_away_density_appears() -> None:
    overview = shown(scattered(4000, (6000, 6000)), (6000, 6000), mpp=0.5)
    kinds = [picture.max() >= FIRST_DENSITY for picture in look(overview)]
    assert kinds == [False, False, False, True]
    assert [overview.shows_density(level) for level in range(4)] == kinds


def test_a_nucleus_far_from_all_others_is_seen_on_every_level() -> None:
    lone = Nuclei.from_polygons([CIRCLE * 8 + 2345])
    for level, picture in enumerate(look(shown(lone, (20000, 20000), 0.25))):
        rows, _ = np.nonzero(picture)
        assert rows.size
        assert abs(rows.mean() * 2**level - 2345) < 8 * 2**level


def test_denser_tissue_is_painted_with_a_higher_value() -> None:
    rng = np.random.default_rng(2)
    sparse = rng.uniform((0, 0), (6000, 3000), (500, 2))
    dense = rng.uniform((0, 3000), (6000, 6000), (8000, 2))
    nuclei = Nuclei.from_polygons([CIRCLE * 8 + at for at in np.concatenate([sparse, dense])])
    picture = look(shown(nuclei, (6000, 6000)))[-1].astype(int)
    half = picture.shape[1] // 2
    assert np.median(picture[:, half:]) > picture[:, : half - 8].mean() + 2


def test_without_nuclei_nothing_is_drawn() -> None:
    assert not any(picture.any() for picture in look(shown(Nuclei.empty())))


def test_a_very_large_outline_is_whole() -> None:
    nuclei = scattered(50, SHAPE).add([CIRCLE * 700 + (750, 1150)])
    row = look(shown(nuclei))[0][750]
    assert row[448:454].any()
    assert row[1846:1852].any()


@pytest.mark.parametrize("mpp", [0.25, 2.0, None])
def test_after_random_edits_the_picture_is_that_of_drawing_from_scratch(mpp: float | None) -> None:
    rng = np.random.default_rng(5)
    nuclei = scattered(250, SHAPE, seed=3)
    overview = shown(nuclei, mpp=mpp)
    before: list[Nuclei] = []
    for step in range(40):
        before.append(nuclei)
        kind = rng.integers(4)
        id_ = int(rng.choice(nuclei.ids))
        if kind == 0:
            nuclei = nuclei.remove([id_])
        elif kind == 1:
            nuclei = nuclei.add([rng.uniform((0, 0), SHAPE) + CIRCLE * rng.uniform(3, 60)])
        elif kind == 2:
            outline = nuclei.polygon(int(nuclei.positions_of([id_])[0]))
            nuclei = nuclei.replace(id_, outline + rng.uniform(-40, 40, 2))
        else:
            nuclei = before[int(rng.integers(len(before)))]
        overview.show(nuclei)
        if step % 7 == 0:
            # Whoever reads all vertices has them laid out anew: nothing that is seen changes.
            assert len(nuclei.vertices)
        if step % 4 == 0:
            for mended, scratch in zip(look(overview), look(shown(nuclei, mpp=mpp)), strict=True):
                np.testing.assert_array_equal(mended, scratch)


def test_an_edit_draws_only_the_blocks_it_touches() -> None:
    nuclei = scattered(400, SHAPE)
    overview = shown(nuclei)
    look(overview)
    kept = len(overview._cache)
    assert overview.show(nuclei.add([CIRCLE * 5 + 100]))
    # One block of each of the three levels that are not held whole.
    assert len(overview._cache) == kept - 3


def test_what_is_the_same_is_not_drawn_again() -> None:
    nuclei = scattered(400, SHAPE)
    overview = shown(nuclei)
    assert not overview.show(nuclei)


def test_another_pixel_size_moves_the_border_between_outlines_and_density() -> None:
    nuclei = scattered(400, SHAPE)
    overview = shown(nuclei, mpp=0.5)
    overview.set_mpp(3.0)
    # A pyramid keeps the number of its levels.
    for mended, scratch in zip(look(overview), look(shown(nuclei, mpp=3.0)), strict=False):
        np.testing.assert_array_equal(mended, scratch)


def test_a_level_is_indexed_like_an_array() -> None:
    overview = shown(scattered(300, SHAPE))
    level = overview.levels[0]
    whole = np.asarray(level)
    assert whole.shape == level.shape == SHAPE
    assert whole.dtype == level.dtype
    for key in (5, -1, (slice(500, 530), slice(None, None, 3)), (..., 7), slice(20, 10)):
        np.testing.assert_array_equal(level[key], whole[key])
    with pytest.raises(IndexError, match="out of bounds"):
        level[SHAPE[0]]


def test_only_so_many_blocks_are_kept() -> None:
    drawn: list[tuple[int, int]] = []

    def draw(top: int, left: int, height: int, width: int) -> np.ndarray:
        drawn.append((top, left))
        return np.ones((height, width), np.uint8)

    cache = BlockCache(kept=3)
    level = BlockLevel(0, (SIDE, 5 * SIDE), cache, draw)
    assert np.asarray(level).all()
    assert len(cache) == 3
    level[:, 4 * SIDE :]
    assert len(drawn) == 5
    level[:, :SIDE]
    assert len(drawn) == 6
