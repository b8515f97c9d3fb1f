"""Features of a slide's nuclei, from the store or encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch

from napari_prts.errors import MissingPixelSizeError, ModelError
from napari_prts.features import Encoded, ExtractRequest, Features, FeatureStore, extract
from napari_prts.features.vit import VitEncoder
from napari_prts.features.vit_network import VitNetwork
from napari_prts.features.worklist import Worklist
from napari_prts.focus import Focus, View
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide, open_slide
from tests.features.conftest import TINY, octagon

REQUEST = ExtractRequest(TINY, batch=8, device="cpu", precision="float32")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nuclei each extraction has encoded."""
    counts: list[int] = []
    original = VitEncoder.encode

    def counting(
        self: VitEncoder, slide: Slide, nuclei: Nuclei, work: Worklist, how: ExtractRequest
    ) -> Iterator[Encoded]:
        counts.append(len(work))
        return original(self, slide, nuclei, work, how)

    monkeypatch.setattr(VitEncoder, "encode", counting)
    return counts


def _by_hand(slide: Slide, nuclei: Nuclei, position: int, encoder: VitEncoder) -> np.ndarray:
    """Context and local part of one nucleus, as the method says, step by step."""
    scale = slide.require_mpp() / encoder.mpp
    outline = (nuclei.polygon(position).astype(float) + 0.5) * scale
    centre = (nuclei.centroids[position].astype(float) + 0.5) * scale
    top, left = np.rint(centre - encoder.tile / 2)
    tile = slide.read(top / scale, left / scale, encoder.tile, encoder.tile, mpp=encoder.mpp)
    image = torch.from_numpy((tile / 255 - 0.5) / 0.5).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        tokens = encoder._model.forward_features(image)[0].numpy()
    polygon = shapely.Polygon(outline[:, ::-1] - [left, top])
    under = [
        tokens[1 + r * encoder.grid + c]
        for r in range(encoder.grid)
        for c in range(encoder.grid)
        if polygon.intersection(shapely.box(*(encoder.patch * np.array([c, r, c + 1, r + 1])))).area
    ]
    mean = np.mean(under, axis=0)
    return np.concatenate([tokens[0], (mean[0::2] + mean[1::2]) / 2])


@pytest.mark.parametrize("mpp", [0.25, 0.499, 0.5])
def test_each_row_is_what_the_method_says(
    noise_slide: Slide, scattered: Nuclei, tiny: VitEncoder, mpp: float
) -> None:
    slide = noise_slide.with_mpp(mpp)
    features = run(extract(slide, scattered, REQUEST))
    assert np.array_equal(features.ids, scattered.ids)
    assert features.matrix.shape == (60, 64 + 32)
    for position in range(0, 60, 12):
        expected = _by_hand(slide, scattered, position, tiny)
        # A tile read alone can differ by one grey value from one cut out of a block.
        np.testing.assert_allclose(features.matrix[position], expected, atol=0.02)


def test_the_second_time_nothing_is_encoded(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore, encoded: list[int]
) -> None:
    first = run(extract(noise_slide, scattered, REQUEST, store))
    second = run(extract(noise_slide, scattered, REQUEST, store))
    assert encoded == [60, 0]
    assert np.array_equal(first.matrix, second.matrix)


def test_only_what_was_edited_is_encoded_again(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore, encoded: list[int]
) -> None:
    before = run(extract(noise_slide, scattered, REQUEST, store))
    edited = (
        scattered.replace(17, octagon(250, 300, radius=9)).remove([3, 4]).add([octagon(100, 100)])
    )
    after = run(extract(noise_slide, edited, REQUEST, store))
    assert encoded == [60, 2]
    kept = [int(i) for i in edited.ids if i in scattered.ids and i != 17]
    assert np.array_equal(
        after.matrix[edited.positions_of(kept)], before.matrix[scattered.positions_of(kept)]
    )
    alone = run(extract(noise_slide, edited, REQUEST))
    assert np.array_equal(after.matrix, alone.matrix), "in any company, to the last bit"


@pytest.mark.parametrize("other", ["slide", "mpp", "encoder"])
def test_another_slide_mpp_or_encoder_finds_nothing(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore, encoded: list[int], other: str
) -> None:
    run(extract(noise_slide, scattered, REQUEST, store))
    slide, request = noise_slide, REQUEST
    if other == "slide":
        pixels = np.asarray(noise_slide.levels[0]).copy()
        pixels[250, 250] ^= 255
        slide = Slide.from_array(pixels, mpp=0.5)
    elif other == "mpp":
        slide = noise_slide.with_mpp(0.499)
    else:
        request = replace(REQUEST, encoder="random-vit:test_vit,img_size=96")
    run(extract(slide, scattered, request, store))
    assert encoded == [60, 60]


def test_a_moved_slide_is_the_same_slide(
    demo_slide_path: Path, tmp_path: Path, store: FeatureStore, encoded: list[int]
) -> None:
    nuclei = Nuclei.from_polygons([octagon(600, 700), octagon(1200, 900)])
    run(extract(open_slide(demo_slide_path), nuclei, REQUEST, store))
    moved = tmp_path / "elsewhere.svs"
    moved.write_bytes(demo_slide_path.read_bytes())
    run(extract(open_slide(moved), nuclei, REQUEST, store))
    assert encoded == [2, 0]


def test_a_cancelled_job_keeps_what_it_has_encoded(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore, encoded: list[int]
) -> None:
    job = extract(noise_slide, scattered, REQUEST, store)
    len_kept = next(progress.done for progress in job if progress.done >= 24)
    job.close()
    run(extract(noise_slide, scattered, REQUEST, store))
    # A batch that was under way when it was closed is lost.
    assert encoded[0] == 60
    assert encoded[1] == 60 - len_kept


def test_progress_is_in_nuclei_and_names_encoder_and_device(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore
) -> None:
    reports = []
    run(extract(noise_slide, scattered.take(range(20)), REQUEST, store))
    run(extract(noise_slide, scattered, REQUEST, store), reports.append)
    reports = [reports[0], *(p for p in reports if " on " in p.note)]
    done = list(dict.fromkeys(p.done for p in reports[1:]))
    # Small batches first, then eight at once.
    assert (done[0], done[-1]) == (20, 60)
    assert max(np.diff(done)) == 8
    assert {(p.total, p.unit) for p in reports} == {(60, "nuclei")}
    assert reports[0].note == f"loading {TINY}"
    assert reports[-1].note.startswith(f"{TINY} on CPU (")


def test_the_features_say_how_they_were_made(
    noise_slide: Slide, scattered: Nuclei, tiny: VitEncoder
) -> None:
    features = run(extract(noise_slide, scattered, REQUEST))
    assert (features.encoder, features.encoder_key, features.mpp) == (TINY, tiny.key, 0.5)
    assert features.settings["tile"] == 64
    assert features.settings["slide_mpp"] == 0.5
    part = features.take(np.array([5, 2]))
    assert part.ids.tolist() == [5, 2]
    assert np.array_equal(part.matrix, features.matrix[[5, 2]])


@pytest.mark.parametrize("encoder", [TINY, "morphology"])
def test_no_nuclei_give_no_rows(noise_slide: Slide, store: FeatureStore, encoder: str) -> None:
    features = run(extract(noise_slide, Nuclei.empty(), ExtractRequest(encoder), store))
    assert len(features) == 0
    assert features.matrix.shape[0] == 0
    assert features.matrix.shape[1] > 50


def test_the_device_is_chosen_or_refused(
    noise_slide: Slide, scattered: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="No cuda device was found; choose 'cpu' or 'auto'"):
        run(extract(noise_slide, scattered, replace(REQUEST, device="cuda")))
    with pytest.raises(ModelError, match="Device 'gpu' is unknown"):
        run(extract(noise_slide, scattered, replace(REQUEST, device="gpu")))


def test_an_unknown_pixel_size_is_asked_for(scattered: Nuclei) -> None:
    slide = Slide.from_array(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(MissingPixelSizeError, match="--mpp"):
        run(extract(slide, scattered, REQUEST))


def test_values_that_are_not_finite_are_refused(
    noise_slide: Slide, scattered: Nuclei, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: VitNetwork, pixels: np.ndarray, tiles: np.ndarray, *_: object) -> tuple:
        return np.full((len(tiles), 64), np.nan), np.zeros((len(pixels), 64))

    monkeypatch.setattr(VitNetwork, "look", broken)
    with pytest.raises(ModelError, match="not finite"):
        run(extract(noise_slide, scattered, REQUEST, store))
    assert store.size() == 0


def test_requests_and_features_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ModelError, match="batch is 0"):
        ExtractRequest(batch=0)
    empty = np.empty((2, 3), np.float32)
    with pytest.raises(ModelError, match="one row a nucleus"):
        Features(np.arange(3), empty, empty, "e", "k", 0.5, {})


def test_what_vanishes_from_the_store_after_it_was_found_is_encoded(
    noise_slide: Slide, scattered: Nuclei, tmp_path: Path
) -> None:
    """Another window clears the store between the first look at it and the reading."""
    for encoder in (TINY, "morphology"):
        request, store = ExtractRequest(encoder, device="cpu"), FeatureStore(tmp_path / encoder[:4])
        before = run(extract(noise_slide, scattered, request, store))
        job = extract(noise_slide, scattered, request, store, focus=Focus(View(0, 0, 300, 300)))
        told: list[int] = []
        found = None
        while found is None:
            try:
                report = next(job)
            except StopIteration as stop:
                found = stop.value
                break
            if report.done == len(scattered):
                store.clear()
            if report.partial is not None:
                told.extend(report.partial.ids.tolist())
        assert np.array_equal(found.matrix, before.matrix)
        assert sorted(told) == sorted(scattered.ids.tolist()), "each is told once"
