"""Nuclei that share tiles on a lattice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder, tiles_needed
from napari_prts.features.lattice import Lattice, Waiting
from napari_prts.features.vit import VitEncoder
from napari_prts.features.worklist import Worklist
from napari_prts.focus import Focus, View
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from tests.features.conftest import TINY, encode, octagon

GRID = ExtractRequest(TINY, device="cpu", tiles="grid")
TILE, STRIDE = 64, 34

places = st.lists(st.tuples(st.floats(0, 900), st.floats(0, 700)), min_size=1, max_size=30)


@given(points=places)
@settings(max_examples=100, deadline=None)
def test_each_nucleus_lies_well_inside_of_a_tile(points):
    points = np.array(points)
    lattice = Lattice.of(points, (900, 700), TILE)
    offset = points[:, None] - lattice.corners[lattice.around]
    margin = np.minimum(offset, TILE - offset).min(axis=2)
    assert margin.max(axis=1).min() >= (TILE - STRIDE) / 2 - 1e-9
    pairs = {(n, int(tile)) for n, tiles in enumerate(lattice.around) for tile in tiles}
    assert sorted(pairs) == sorted(map(tuple, lattice.pairs.tolist())), "each once"


@given(points=places)
@settings(max_examples=100, deadline=None)
def test_context_is_interpolated_between_the_tiles_around(points):
    """A context that changes evenly over the slide is given exactly, but for its border."""
    points = np.array(points)
    lattice = Lattice.of(points, (900, 700), TILE)
    np.testing.assert_allclose(lattice.weights.sum(axis=1), 1, atol=1e-6)
    centres = (lattice.corners + TILE / 2).astype(np.float32)
    found = lattice.context(np.arange(len(points)), centres)
    low, high = STRIDE / 2, STRIDE * (np.ceil(np.array([900, 700]) / STRIDE) - 0.5)
    np.testing.assert_allclose(found, np.clip(points, low, high), atol=1e-3)


@given(points=places, seed=st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_a_nucleus_is_ready_when_the_last_of_its_tiles_is(points, seed):
    lattice = Lattice.of(np.array(points), (900, 700), TILE)
    waiting, done = Waiting.for_all(lattice), np.zeros(len(lattice), bool)
    told = []
    for tile in np.random.default_rng(seed).permutation(len(lattice)):
        done[tile] = True
        ready = waiting.finish(np.array([tile]))
        assert done[lattice.around[ready]].all()
        told.extend(ready.tolist())
    assert sorted(told) == list(range(len(points)))


def test_in_the_middle_of_a_tile_the_context_is_that_of_an_own_one(
    noise_slide: Slide, tiny: VitEncoder
) -> None:
    """There the tile of the lattice is the very one that the nucleus would have."""
    centre = np.array([4.5 * STRIDE, 6.5 * STRIDE]) - 0.5
    nuclei = Nuclei.from_polygons([octagon(*centre)])
    own = encode(tiny, noise_slide, nuclei)
    shared = encode(tiny, noise_slide, nuclei, tiles="grid")
    size = tiny.context_size
    assert np.array_equal(own[:, :size], shared[:, :size])


def test_the_local_part_is_interpolated_in_all_tiles_around(
    noise_slide: Slide, tiny: VitEncoder
) -> None:
    """By hand: tokens of the four tiles, weighed by their distance to the centroid."""
    centre = np.array([200.3, 311.8])
    nuclei = Nuclei.from_polygons([octagon(*centre)])
    place = nuclei.centroids[0].astype(float) + 0.5
    first = np.floor(place / STRIDE - 0.5).astype(int)
    parts = []
    for step in np.ndindex(2, 2):
        corner = (first + step) * STRIDE - (TILE - STRIDE) // 2
        within = place - corner
        if not ((within >= 15) & (within <= TILE - 15)).all():
            continue
        tile = noise_slide.read(*corner, TILE, TILE)
        image = torch.from_numpy((tile / 255 - 0.5) / 0.5).float().permute(2, 0, 1)[None]
        with torch.inference_mode():
            tokens = tiny._model.forward_features(image)[0, 1:].numpy().reshape(4, 4, -1)
        away = np.abs(within[:, None] / 16 - 0.5 - np.arange(4))
        row, column = np.maximum(0, 1 - away / 0.8)
        weights = row[:, None] * column
        parts.append((tokens * weights[..., None]).sum(axis=(0, 1)) / weights.sum())
    assert parts
    mean = np.mean(parts, axis=0)
    expected = (mean[0::2] + mean[1::2]) / 2
    found = encode(tiny, noise_slide, nuclei, tiles="grid", precision="float32")
    np.testing.assert_allclose(found[0, tiny.context_size :], expected, atol=1e-4)


def test_company_batches_and_order_change_nothing(
    noise_slide: Slide, scattered: Nuclei, tiny: VitEncoder
) -> None:
    whole = encode(tiny, noise_slide, scattered, tiles="grid")
    assert np.array_equal(whole, encode(tiny, noise_slide, scattered, tiles="grid", batch=1))
    some = np.array([41, 3, 17])
    assert np.array_equal(whole[some], encode(tiny, noise_slide, scattered, some, tiles="grid"))


def test_each_tile_is_looked_at_once(
    noise_slide: Slide, scattered: Nuclei, tiny: VitEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_prts.features.vit_network import VitNetwork

    looked: list[int] = []
    look = VitNetwork.look

    def counting(self: VitNetwork, pixels: np.ndarray, *tokens: np.ndarray) -> tuple:
        looked.append(len(pixels))
        return look(self, pixels, *tokens)

    monkeypatch.setattr(VitNetwork, "look", counting)
    dense = Nuclei.from_polygons(
        [octagon(r, c) for r in range(9, 499, 20) for c in range(9, 690, 20)]
    )
    needed = tiles_needed(noise_slide, dense, tiny)
    assert needed is not None
    assert needed.exact == len(dense)
    assert needed.grid < len(dense) / 2
    encode(tiny, noise_slide, dense, tiles="grid")
    assert sum(looked) == needed.grid


def test_both_ways_are_kept_apart_in_the_store(
    noise_slide: Slide, scattered: Nuclei, tmp_path
) -> None:
    store = FeatureStore(tmp_path)
    shared = run(extract(noise_slide, scattered, GRID, store))
    own = run(extract(noise_slide, scattered, ExtractRequest(TINY, device="cpu"), store))
    assert shared.settings["extraction"] == "grid"
    assert own.settings["extraction"] == "exact"
    assert not np.array_equal(shared.matrix, own.matrix)
    again = run(extract(noise_slide, scattered, GRID, store))
    assert np.array_equal(shared.matrix, again.matrix)
    cosine = (shared.matrix * own.matrix).sum(1)
    cosine /= np.linalg.norm(shared.matrix, axis=1) * np.linalg.norm(own.matrix, axis=1)
    assert cosine.mean() > 0.5


def test_encoders_without_tiles_have_nothing_to_share(
    noise_slide: Slide, scattered: Nuclei
) -> None:
    assert tiles_needed(noise_slide, scattered, load_encoder("morphology")) is None
    request = ExtractRequest("morphology", tiles="grid")
    assert run(extract(noise_slide, scattered, request)).settings["extraction"] == "exact"
    both = tiles_needed(noise_slide, scattered, load_encoder(f"morphology+{TINY}"))
    assert both == tiles_needed(noise_slide, scattered, load_encoder(TINY))


class Watching:
    """Goes through the batches of an encoder while somebody looks at a part of the slide."""

    def __init__(self, encoder: VitEncoder, slide: Slide, nuclei: Nuclei, view: View) -> None:
        self.focus = Focus(view)
        work = Worklist(nuclei.centroids, np.arange(len(nuclei)), block=200.0, focus=self.focus)
        request = ExtractRequest(TINY, device="cpu", tiles="grid", batch=2)
        self.batches = encoder.encode(slide, nuclei, work, request)
        self.early: dict[int, np.ndarray] = {}
        self.whole: dict[int, np.ndarray] = {}

    def step(self) -> bool:
        batch = next(self.batches, None)
        if batch is None:
            return False
        if batch.early is not None:
            for place, local in zip(batch.early.positions, batch.early.local, strict=True):
                assert int(place) not in self.whole, "never after all of it is known"
                assert int(place) not in self.early, "and once"
                self.early[int(place)] = local
        for place, local in zip(batch.positions, batch.local, strict=True):
            self.whole[int(place)] = local
        return True


@pytest.fixture
def dense() -> Nuclei:
    return Nuclei.from_polygons(
        [octagon(r, c) for r in range(9, 499, 12) for c in range(9, 690, 12)]
    )


def test_half_of_the_tiles_show_the_view_before_the_other_half_comes(
    noise_slide: Slide, dense: Nuclei, tiny: VitEncoder
) -> None:
    view = View(100.0, 150.0, 200.0, 250.0)
    seen = Watching(tiny, noise_slide, dense, view)
    in_view = set(np.flatnonzero(view.holds(dense.centroids)).tolist())
    while not in_view <= set(seen.early) | set(seen.whole):
        assert seen.step()
    waiting = in_view - set(seen.whole)
    assert len(waiting) > len(in_view) / 4, "all are shown before all is known"
    assert set(seen.early) <= in_view, "nobody looks at the others"
    while seen.step():
        pass
    assert set(seen.whole) == set(range(len(dense)))
    alone = encode(tiny, noise_slide, dense, tiles="grid")[:, tiny.context_size :]
    whole = np.array([seen.whole[place] for place in range(len(dense))])
    assert np.array_equal(whole, alone), "what is kept is the same to the bit"
    early = np.array([seen.early[place] for place in sorted(seen.early)])
    kept = whole[sorted(seen.early)]
    assert np.isfinite(early).all()
    likeness = np.sum(early * kept, axis=1) / np.linalg.norm(early, axis=1)
    assert np.median(likeness / np.linalg.norm(kept, axis=1)) > 0.8


def test_who_looks_elsewhere_is_served_before_the_other_half(
    noise_slide: Slide, dense: Nuclei, tiny: VitEncoder
) -> None:
    seen = Watching(tiny, noise_slide, dense, View(0.0, 0.0, 150.0, 150.0))
    for _ in range(4):
        seen.step()
    other = View(300.0, 450.0, 120.0, 120.0)
    seen.focus.look_at(other)
    there = set(np.flatnonzero(other.holds(dense.centroids)).tolist())
    steps = 0
    while not there <= set(seen.early) | set(seen.whole):
        assert seen.step()
        steps += 1
    tiles = tiles_needed(noise_slide, dense, tiny)
    assert tiles is not None
    assert steps < tiles.grid / 4
    while seen.step():
        pass
    assert set(seen.whole) == set(range(len(dense))), "and nobody is forgotten"


@given(points=places)
@settings(max_examples=100, deadline=None)
def test_the_dark_tiles_around_a_nucleus_lie_on_a_diagonal(points):
    lattice = Lattice.of(np.array(points), (900, 700), TILE)
    around = lattice.dark[lattice.around]
    four = np.array([len(set(tiles)) == 4 for tiles in lattice.around.tolist()])
    assert (around[four].sum(axis=1) == 2).all()
    assert (around[four, 0] == around[four, 3]).all()
