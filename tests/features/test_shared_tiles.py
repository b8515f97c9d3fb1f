"""Nuclei that share tiles on a lattice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder, tiles_needed
from napari_prts.features.lattice import Lattice, Waiting
from napari_prts.features.vit import VitEncoder
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from tests.features.conftest import TINY, encode, octagon

GRID = ExtractRequest(TINY, device="cpu", tiles="grid")
TILE, STRIDE = 64, 48

places = st.lists(st.tuples(st.floats(0, 900), st.floats(0, 700)), min_size=1, max_size=30)


@given(points=places)
@settings(max_examples=100, deadline=None)
def test_the_nearest_tile_holds_the_nucleus_well_inside(points):
    points = np.array(points)
    lattice = Lattice.of(points, (900, 700), TILE)
    offset = points - lattice.corners[lattice.nearest]
    assert offset.min() >= (TILE - STRIDE) / 2 - 1e-9
    assert offset.max() <= TILE - (TILE - STRIDE) / 2 + 1e-9
    centres = lattice.corners + TILE / 2
    away = np.linalg.norm(points[:, None] - centres[None], axis=2)
    nearest = away[np.arange(len(points)), lattice.nearest]
    np.testing.assert_allclose(nearest, away.min(axis=1))


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
    waiting, done = Waiting(lattice), np.zeros(len(lattice), bool)
    told = []
    for tile in np.random.default_rng(seed).permutation(len(lattice)):
        done[tile] = True
        ready = waiting.finish(np.array([tile]))
        assert done[lattice.around[ready]].all()
        told.extend(ready.tolist())
    assert sorted(told) == list(range(len(points)))


def test_a_nucleus_in_the_middle_of_a_tile_is_encoded_as_with_its_own(
    noise_slide: Slide, tiny: VitEncoder
) -> None:
    """There the tile of the lattice is the very one that it would have."""
    centre = np.array([4.5 * STRIDE, 6.5 * STRIDE]) - 0.5
    nuclei = Nuclei.from_polygons([octagon(*centre)])
    own = encode(tiny, noise_slide, nuclei)
    shared = encode(tiny, noise_slide, nuclei, tiles="grid")
    assert np.array_equal(own, shared)


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
    assert needed.grid < len(dense) / 4
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
    assert cosine.mean() > 0.7


def test_encoders_without_tiles_have_nothing_to_share(
    noise_slide: Slide, scattered: Nuclei
) -> None:
    assert tiles_needed(noise_slide, scattered, load_encoder("morphology")) is None
    request = ExtractRequest("morphology", tiles="grid")
    assert run(extract(noise_slide, scattered, request)).settings["extraction"] == "exact"
    both = tiles_needed(noise_slide, scattered, load_encoder(f"morphology+{TINY}"))
    assert both == tiles_needed(noise_slide, scattered, load_encoder(TINY))
