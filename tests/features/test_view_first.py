"""Features of nuclei on screen come first, and are the same as without anybody looking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_prts.errors import ModelError
from napari_prts.features import EncoderShelf, ExtractRequest, Features, FeatureStore, extract
from napari_prts.features import vit_network as module
from napari_prts.features.shelf import warm_up_job
from napari_prts.features.vit_network import VitNetwork
from napari_prts.focus import Focus, View
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from tests.features.conftest import TINY, encode

ENCODERS = [TINY, "morphology", "unet", "texture", f"morphology+{TINY}"]


def told(reports: list[Progress]) -> list[Features]:
    return [report.partial for report in reports if report.partial is not None]


@pytest.mark.parametrize("tiles", ["exact", "grid"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_told_on_the_way_is_the_result(
    noise_slide: Slide, scattered: Nuclei, encoder: str, tiles: str
) -> None:
    request = ExtractRequest(encoder, device="cpu", tiles=tiles)
    without = run(extract(noise_slide, scattered, request))
    reports: list[Progress] = []
    focus = Focus(View(100, 200, 150, 150))
    watched = run(extract(noise_slide, scattered, request, focus=focus), reports.append)
    assert np.array_equal(watched.matrix, without.matrix), "to the last bit"
    parts = told(reports)
    ids = np.concatenate([part.ids for part in parts])
    # What was told last of each: of shared tiles, half of them tell something first.
    last = {int(id_): place for place, id_ in enumerate(ids)}
    assert sorted(last) == sorted(scattered.ids)
    assert len(ids) == len(last) or (tiles == "grid" and encoder == TINY), "others once"
    partial = np.concatenate([part.matrix for part in parts])[[last[int(i)] for i in scattered.ids]]
    np.testing.assert_allclose(partial, without.matrix, rtol=1e-4, atol=1e-4)


def test_the_view_is_told_first_and_then_the_one_that_the_user_pans_to(
    noise_slide: Slide, scattered: Nuclei
) -> None:
    first, second = View(0, 0, 250, 350), View(250, 350, 250, 350)
    focus, seen = Focus(first), []
    request = ExtractRequest(TINY, device="cpu", batch=2)
    for report in extract(noise_slide, scattered, request, focus=focus):
        if report.partial is not None:
            seen.extend(report.partial.ids.tolist())
        if len(seen) >= 4:
            focus.look_at(second)
    centroids = scattered.centroids[scattered.positions_of(seen)]
    assert first.holds(centroids[:4]).all()
    # What was under way when the user panned still comes: some batches of two.
    count = int(second.holds(scattered.centroids).sum())
    assert second.holds(centroids[4 : 4 + count + 10]).sum() == count


def test_what_the_store_holds_is_told_at_once_view_first(
    noise_slide: Slide, scattered: Nuclei, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_prts.features import extraction

    monkeypatch.setattr(extraction, "_CHUNK", 16)
    store, request = FeatureStore(tmp_path), ExtractRequest(TINY, device="cpu")
    run(extract(noise_slide, scattered, request, store))
    view = View(100, 100, 200, 300)
    reports: list[Progress] = []
    run(extract(noise_slide, scattered, request, store, Focus(view)), reports.append)
    parts = told(reports)
    assert [len(part) for part in parts] == [16, 16, 16, 12]
    inside = view.holds(scattered.centroids[scattered.positions_of(parts[0].ids)])
    assert inside.sum() == min(16, view.holds(scattered.centroids).sum())


def test_the_encoder_is_loaded_once(
    noise_slide: Slide, scattered: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_prts.features import shelf as shelves

    loaded: list[str] = []
    load = shelves.load_encoder

    def counting(name: str, **how: object) -> object:
        loaded.append(name)
        return load(name, **how)

    monkeypatch.setattr(shelves, "load_encoder", counting)
    shelf, request = EncoderShelf(), ExtractRequest(TINY, device="cpu")
    assert not shelf.ready(TINY)
    speed = run(warm_up_job(request, noise_slide, shelf))
    assert speed.tiles_per_s is not None
    assert speed.tiles_per_s > 0
    assert "CPU" in speed.where
    assert shelf.ready(TINY)
    run(extract(noise_slide, scattered, request, shelf=shelf))
    assert loaded == [TINY]
    assert run(warm_up_job(ExtractRequest("morphology"), noise_slide, shelf)).tiles_per_s is None


def test_a_short_memory_means_smaller_batches_and_the_same_values(
    noise_slide: Slide, scattered: Nuclei, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = encode(tiny, noise_slide, scattered)
    passed, sizes = VitNetwork._pass, []

    def short(self: VitNetwork, pixels: np.ndarray, *tokens: np.ndarray) -> tuple:
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        sizes.append(len(pixels))
        return passed(self, pixels, *tokens)

    monkeypatch.setattr(VitNetwork, "_pass", short)
    assert np.array_equal(plenty, encode(tiny, noise_slide, scattered, batch=16))
    assert max(sizes) == 2
    notes: list[Progress] = []
    request = ExtractRequest(TINY, device="cpu", batch=16)
    run(extract(noise_slide, scattered, request), notes.append)
    assert notes[-1].note.endswith("(memory was short: 2 tiles at once)")


def test_no_memory_for_one_tile_is_an_error_that_helps(
    noise_slide: Slide, scattered: Nuclei, tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> tuple:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(VitNetwork, "_pass", short)
    with pytest.raises(ModelError, match=r"does not suffice for one tile .* choose 'cpu'"):
        encode(tiny, noise_slide, scattered)


def test_bfloat16_gives_nearly_the_same_and_is_kept_apart(
    noise_slide: Slide, scattered: Nuclei, tiny, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_prts.segmentation import runtimes

    monkeypatch.setattr(runtimes, "has_bfloat16", lambda: True)
    store = FeatureStore(tmp_path)
    quick = run(extract(noise_slide, scattered, ExtractRequest(TINY, device="cpu"), store))
    exact = run(
        extract(
            noise_slide,
            scattered,
            ExtractRequest(TINY, device="cpu", precision="float32"),
            store,
        )
    )
    assert quick.settings["precision"] == "bfloat16"
    assert exact.settings["precision"] == "float32"
    assert not np.array_equal(quick.matrix, exact.matrix)
    cosine = (quick.matrix * exact.matrix).sum(1)
    cosine /= np.linalg.norm(quick.matrix, axis=1) * np.linalg.norm(exact.matrix, axis=1)
    assert cosine.min() > 0.999
    monkeypatch.setattr(runtimes, "has_bfloat16", lambda: False)
    assert tiny.precision(ExtractRequest(TINY, device="cpu")) == "float32"


@pytest.mark.parametrize("how", [{"tiles": "some"}, {"precision": "int8"}, {"batch": 0}])
def test_requests_that_make_no_sense_are_refused(how: dict) -> None:
    with pytest.raises(ModelError, match=r"some|int8|batch is 0"):
        ExtractRequest(TINY, **how)


def test_on_a_cpu_two_batches_are_looked_at_side_by_side(tiny) -> None:
    network = module.VitNetwork(tiny._model, torch.device("cpu"), "float32", (0.5,) * 3, (0.5,) * 3)
    assert network.lookers == min(2, torch.get_num_threads())
    assert network.batch(None) == 4
    assert network.batch(9) == 9
