"""Whatever computes the network, the nuclei are the same, and the record says what it was."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_prts.errors import ModelError
from napari_prts.segmentation import StarDistConfig, StarDistModel, StarDistNetwork, load_model
from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.runner import Runner, choose_device, device_name
from napari_prts.segmentation.runtime_ncnn import NcnnNetwork
from napari_prts.segmentation.runtime_torch import TorchNetwork
from napari_prts.segmentation.runtimes import Window, has_bfloat16
from tests.segmentation.agreement import f1
from tests.segmentation.oracle import oracle

NOISE = np.random.default_rng(0).random((256, 320, 3), np.float32)
MODEL = load_model()


def random_model(config: StarDistConfig, seed: int = 0) -> StarDistModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StarDistNetwork(config).eval()
    return StarDistModel("random", network, config, 0.5, 0.3, 0.5, {}, "none")


@given(
    depth=st.integers(0, 3),
    grid=st.sampled_from([(1, 1), (2, 2), (2, 4), (4, 1)]),
    features=st.sampled_from([0, 8]),
    convs=st.integers(1, 3),
    kernel=st.sampled_from([3, 5]),
    n_rays=st.sampled_from([3, 16, 31]),
    corners=st.tuples(*[st.integers(0, 15)] * 4),
)
@settings(max_examples=20, deadline=None)
def test_any_part_of_any_network_is_what_pytorch_gives(
    depth, grid, features, convs, kernel, n_rays, corners
):
    """Each leaves out what a window of the grid does not need, and nothing else."""
    config = StarDistConfig(
        n_rays=n_rays,
        grid=grid,
        depth=depth,
        filters=4,
        convs_per_depth=convs,
        features=features,
        kernel=kernel,
    )
    network = random_model(config).network
    # Tall enough for several of the strips in which ncnn computes the first and last levels.
    tall = -(-300 * grid[0] // config.divisor[0]) * config.divisor[0]
    image = np.random.default_rng(0).random((tall, 2 * config.divisor[1], 3), np.float32)
    rows, columns = image.shape[0] // grid[0], image.shape[1] // grid[1]
    top, left, bottom, right = corners
    window = Window(
        min(top, rows - 1),
        min(left, columns - 1),
        max(min(top, rows - 1) + 1, rows - bottom),
        max(min(left, columns - 1) + 1, columns - right),
    )
    part = slice(window.row0, window.row1), slice(window.column0, window.column1)
    with torch.inference_mode():
        logit, dist = network(torch.from_numpy(image).permute(2, 0, 1)[None])
    logit, dist = logit[0, 0, *part], dist[0, :, *part]
    for quick in (TorchNetwork(network, "cpu", threads=1), NcnnNetwork(network, threads=1)):
        found_logit, found_dist = quick.look(image, window)
        assert found_dist.shape == dist.shape
        np.testing.assert_allclose(torch.sigmoid(found_logit), torch.sigmoid(logit), atol=1e-4)
        np.testing.assert_allclose(found_dist, dist, rtol=1e-4, atol=1e-4)


# Probability and distance in pixels. On processors without bfloat16 it is computed all the same.
@pytest.mark.parametrize(
    ("device", "prob", "dist"), [("ncnn", 1e-4, 1e-2), ("torch-bf16", 0.03, 0.5)]
)
def test_the_same_nuclei_on_a_real_slide(demo_slide, device, prob, dist):
    limits = measure_limits(demo_slide, MODEL.mpp, MODEL.percentiles)
    image = limits.apply(demo_slide.read(1000, 960, 512, 496, mpp=MODEL.mpp))
    inner = (slice(96, 416), slice(64, 432))
    one, other = (
        Runner(MODEL, name).candidates(image, MODEL.prob_threshold, inner)
        for name in (device, "torch-cpu")
    )
    nuclei, wanted = (found.suppressed(MODEL.nms_threshold).polygons() for found in (one, other))
    assert len(wanted) > 50
    assert f1(nuclei, wanted, 0.9) >= 0.99
    # A point on the verge of the threshold may be a candidate on one side only.
    points, mine, theirs = np.intersect1d(
        *(found.points[:, 0] * 1e4 + found.points[:, 1] for found in (one, other)),
        return_indices=True,
    )
    assert len(points) >= 0.97 * max(len(one), len(other))
    np.testing.assert_allclose(one.prob[mine], other.prob[theirs], rtol=0, atol=prob)
    np.testing.assert_allclose(one.dist[mine], other.dist[theirs], rtol=0, atol=dist)
    assert np.abs(one.dist[mine] - other.dist[theirs]).mean() < dist / 10


def test_the_same_bytes_every_time_and_on_any_number_of_threads():
    inner = (slice(0, 256), slice(0, 320))

    def looked() -> list[bytes]:
        found = Runner(MODEL, "ncnn").candidates(NOISE, 0.0, inner)
        return [found.prob.tobytes(), found.dist.tobytes()]

    threads = torch.get_num_threads()
    first = looked()
    assert looked() == first
    try:
        torch.set_num_threads(1)
        assert looked() == first
    finally:
        torch.set_num_threads(threads)


def test_one_runner_looks_at_images_of_any_size():
    """Also at those whose sides the network cannot halve: they are filled up by reflection."""
    quick, reference = Runner(MODEL, "ncnn"), Runner(MODEL, "torch-cpu")
    for rows, columns in [(64, 64), (101, 33), (17, 240), (64, 64)]:
        image, inner = NOISE[:rows, :columns], (slice(0, rows), slice(0, columns))
        one, other = (runner.candidates(image, 0.0, inner) for runner in (quick, reference))
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_allclose(one.prob, other.prob, rtol=0, atol=1e-4)


def test_several_looking_at_once_see_the_same():
    """Each in a thread of its own, with its share of the cores."""
    inner = (slice(0, 256), slice(0, 320))
    for device in ("ncnn", "torch-bf16"):
        alone = Runner(MODEL, device).candidates(NOISE, 0.0, inner)
        runner = Runner(MODEL, device, lookers=2)
        assert runner.lookers == min(2, torch.get_num_threads())
        before = torch.get_num_threads()
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(runner.candidates, NOISE, 0.0, inner) for _ in range(4)]
            for each in (future.result() for future in waiting):
                # PyTorch adds in another order on another number of threads.
                np.testing.assert_allclose(each.prob, alone.prob, rtol=0, atol=1e-4)
                np.testing.assert_allclose(each.dist, alone.dist, rtol=0, atol=1e-3)
        assert torch.get_num_threads() == before


def test_the_quickest_runtime_is_taken_and_named():
    quickest = "torch-bf16" if has_bfloat16() else "ncnn"
    for device in ("cpu", "auto") if not torch.cuda.is_available() else ("cpu",):
        runner = Runner(MODEL, device)
        assert (runner.device.type, runner.device.runtime, runner.device.remark) == (
            "cpu",
            quickest,
            "",
        )
        threads = torch.get_num_threads()
        assert runner.name == device_name(choose_device(device))
        assert runner.name.startswith("cpu (torch 2." if has_bfloat16() else "cpu (ncnn 1.")
        assert ("bf16" in runner.name) == has_bfloat16()
        assert runner.name.endswith(f", {threads} threads)")
    assert Runner(MODEL, "torch-cpu").name.startswith("cpu (torch 2.")
    assert Runner(MODEL, "ncnn").name.startswith("cpu (ncnn 1.")
    assert "bf16" in Runner(MODEL, "torch-bf16").name


def test_a_network_that_only_pytorch_can_compute():
    """Such as one of another class: no warning, but the record tells."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner = Runner(oracle(), "cpu")
    assert runner.device.runtime == "torch"
    assert "not ncnn: it only computes StarDist networks" in runner.name
    with pytest.raises(ModelError, match="cannot run on 'ncnn'"):
        Runner(oracle(), "ncnn")


def test_a_runtime_whose_results_differ_is_not_used():
    """Beyond float32's range the two overflow each in its way."""
    model = random_model(StarDistConfig(filters=4, features=8))
    with torch.no_grad():
        model.network.prob.weight.fill_(float("nan"))
    with pytest.warns(RuntimeWarning, match="runs slower on the CPU than it could, with torch "):
        runner = Runner(model, "cpu")
    assert runner.device.runtime == "torch"
    assert "its results differ from PyTorch's" in runner.name
    for device in ("ncnn", "torch-bf16"):
        with (
            pytest.warns(RuntimeWarning),
            pytest.raises(ModelError, match="choose 'auto' or 'torch-cpu'"),
        ):
            Runner(model, device)


# A finder that knows no ncnn, as in an environment without it.
WITHOUT_NCNN = """
import importlib.metadata as metadata, sys, warnings
from napari_prts.errors import ModelError
sys.modules["ncnn"] = None
if {gone}:
    found = metadata.Distribution.from_name
    def without(name):
        if name == "ncnn":
            raise metadata.PackageNotFoundError(name)
        return found(name)
    metadata.Distribution.from_name = without
import torch
# As on a processor without bfloat16.
torch.cpu._is_avx512_bf16_supported = torch.cpu._is_amx_tile_supported = lambda: False
from napari_prts.segmentation import load_model
from napari_prts.segmentation.runner import Runner
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    print(Runner(load_model(), "cpu").name)
print(told[-1].message)
try:
    Runner(load_model(), "ncnn")
except ModelError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("gone", "remark"),
    [(True, "it is not installed"), (False, "it does not work (import of ncnn halted")],
)
def test_without_the_quickest_runtime_pytorch_takes_its_place_and_says_so(gone, remark):
    name, warning, error = in_new_python(WITHOUT_NCNN.format(gone=gone)).splitlines()
    assert name.startswith("cpu (torch 2.")
    assert f"not ncnn: {remark}" in name
    assert remark in warning
    assert "pip install ncnn" in error or "cannot run on 'ncnn'" in error


def test_nothing_heavy_is_loaded_before_it_is_used():
    heavy = {"torch", "ncnn", "stardist", "requests"}
    code = "import sys, napari_prts.segmentation; print(*sys.modules, sep='\\n')"
    assert not heavy & set(in_new_python(code).split())
    code = "import sys, napari_prts.segmentation.runner; print(*sys.modules, sep='\\n')"
    assert "ncnn" not in in_new_python(code).split()


# Triton and Mesa's LLVM crash together in one process: what computes the network must not.
IN_THE_WINDOW = """
import threading, numpy as np, napari
from qtpy.QtWidgets import QApplication
from napari_prts.segmentation import load_model
from napari_prts.segmentation.runner import Runner
viewer = napari.Viewer()
image = np.random.default_rng(0).random((256, 256, 3), np.float32)
viewer.add_image((255 * image).astype(np.uint8), rgb=True)
for _ in range(20):
    QApplication.processEvents()
shown = viewer.screenshot(canvas_only=True)
found = []
runner = Runner(load_model(), "ncnn")
work = lambda: found.append(runner.candidates(image, 0.0, (slice(0, 256), slice(0, 256))))
thread = threading.Thread(target=work)
thread.start()
while thread.is_alive():
    QApplication.processEvents()
viewer.add_points(found[0].points[:100])
again = viewer.screenshot(canvas_only=True)
print(len(found[0]), shown.std() > 1, again.mean() != shown.mean())
viewer.close()
"""


def test_it_lives_in_one_process_with_a_napari_window():
    if not os.environ.get("DISPLAY") and sys.platform.startswith("linux"):
        pytest.skip("there is no display; run under xvfb-run")
    assert in_new_python(IN_THE_WINDOW).split() == [str(128 * 128), "True", "True"]


def in_new_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_graphics_card_gives_what_the_cpu_gives():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    inner = (slice(0, 256), slice(0, 320))
    one, other = (Runner(MODEL, device).candidates(NOISE, 0.0, inner) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(one.prob, other.prob, rtol=0, atol=1e-2)
    assert Runner(MODEL, "auto").device.type == "cuda"


def test_devices_that_are_not_there():
    with pytest.raises(
        ModelError, match=r"'abacus' is unknown; choose one of 'auto', .*'torch-cpu'"
    ):
        choose_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="No CUDA device"):
            choose_device("cuda")
    grey = replace(MODEL, config=replace(MODEL.config, n_channel_in=1))
    with pytest.raises(ModelError, match="an H&E slide has three"):
        Runner(grey)
