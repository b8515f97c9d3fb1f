"""Make ``fixtures/``: what StarDist under Keras computes. Run by hand, seldom.

    uv venv /tmp/tf
    VIRTUAL_ENV=/tmp/tf uv pip install tensorflow-cpu tf_keras stardist safetensors
    .venv/bin/python -m tests.segmentation.make_keras_fixtures --crop
    /tmp/tf/bin/python tests/segmentation/make_keras_fixtures.py
    TF_USE_LEGACY_KERAS=1 /tmp/tf/bin/python tests/segmentation/make_keras_fixtures.py --keras2

The first of the three runs cuts a picture out of the embedded slide and needs this
package; the other two need TensorFlow and nothing of this package, so that what they
compute owes nothing to it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

FIXTURES = Path(__file__).resolve().parent / "fixtures"
EMBEDDED = Path(__file__).resolve().parents[2] / "src/napari_prts/data/models/he-open"
# Rows and columns: multiples of every network's divisor, and not equal.
SIDES = (32, 64)
# Where the picture is cut from the embedded slide, (row, column) in level-0 pixels, and its side.
CROP, CROP_SIDE = (1000, 960), 400

NETWORKS: dict[str, dict[str, Any]] = {
    "grey": {"n_rays": 8, "grid": (1, 1), "n_channel_in": 1, "unet_n_depth": 2},
    "rgb": {"n_rays": 16, "grid": (2, 2), "unet_n_depth": 2, "unet_n_filter_base": 6},
    "official shape, narrow": {"n_rays": 32, "grid": (2, 2), "unet_n_depth": 3},
    "coarse": {"n_rays": 32, "grid": (4, 4), "unet_n_depth": 2, "unet_n_filter_base": 8},
    "coarse, uneven, deep levels": {
        "n_rays": 8,
        "grid": (4, 2),
        "unet_n_depth": 3,
        "unet_n_conv_per_depth": 3,
    },
    "wide kernels, no features": {
        "n_rays": 8,
        "grid": (1, 1),
        "unet_n_depth": 3,
        "unet_kernel_size": (5, 5),
        "unet_n_filter_base": 2,
        "net_conv_after_unet": 0,
    },
    "classes": {"n_rays": 16, "grid": (2, 2), "unet_n_depth": 2, "n_classes": 3},
    "newer file": {"n_rays": 8, "grid": (2, 2), "unet_n_depth": 2},
    "batch norm": {"n_rays": 8, "grid": (2, 2), "unet_n_depth": 2, "unet_batch_norm": True},
    "elu": {"n_rays": 8, "grid": (1, 1), "unet_n_depth": 2, "unet_activation": "elu"},
}
# Kinds of network that this package does not have: their files are enough.
REFUSED = ("batch_norm", "elu")
KERAS2 = {"keras 2": {"n_rays": 16, "grid": (4, 4), "unet_n_depth": 3}}
COMMON = {"n_channel_in": 3, "unet_n_filter_base": 4, "net_conv_after_unet": 8}


def make_network(name: str, settings: dict[str, Any], seed: int) -> None:
    """Write a model's folder, zipped, with random weights, and what it makes of an image."""
    from stardist.models import Config2D, StarDist2D

    name = name.replace(", ", "_").replace(" ", "_")
    with TemporaryDirectory() as base:
        model = StarDist2D(Config2D(**{**COMMON, **settings}), name, base)
        image, prob, dist = fill_and_run(model, seed)
        folder = Path(base) / name
        newer = name == "newer_file"
        weights = folder / ("model.weights.h5" if newer else "weights_best.h5")
        model.keras_model.save_weights(str(weights))
        (folder / "thresholds.json").write_text(json.dumps({"prob": 0.5, "nms": 0.3}))
        with ZipFile(FIXTURES / f"{name}.zip", "w", ZIP_DEFLATED) as archive:
            for file in (folder / "config.json", folder / "thresholds.json", weights):
                archive.write(file, f"{name}/{file.name}")
    if name not in REFUSED:
        np.savez_compressed(FIXTURES / f"{name}.npz", image=image, prob=prob, dist=dist)


def fill_and_run(model: Any, seed: int) -> tuple[Any, Any, Any]:
    """Give a network random weights and look at a random image: image, prob, dist."""
    rng = np.random.default_rng(seed)
    for layer in model.keras_model.layers:
        spread = [np.sqrt(2 / max(1, np.prod(w.shape[:-1]))) for w in layer.get_weights()]
        drawn = [
            # Half-precision numbers take half the room once they are compressed.
            (
                rng.uniform(0.5, 1.5, w.shape)
                if layer.name.startswith("batch")
                else rng.normal(0.0, s if w.ndim > 1 else 0.1, w.shape)
            ).astype(np.float16)
            for w, s in zip(layer.get_weights(), spread, strict=True)
        ]
        layer.set_weights([values.astype(np.float32) for values in drawn])
    image = rng.normal(0.5, 0.4, (*SIDES, model.config.n_channel_in))
    image = image.astype(np.float16).astype(np.float32)
    prob, dist = model.keras_model.predict(image[None], verbose=0)[:2]
    return image, prob[0, ..., 0], dist[0]


def cut_picture() -> None:
    """Cut the picture on which whole polygons are compared, and note the stain's limits."""
    import cv2

    from napari_prts.sample_data import demo_slide_path
    from napari_prts.segmentation import load_model
    from napari_prts.segmentation.ground import measure_limits
    from napari_prts.slide import open_slide

    model = load_model()
    slide = open_slide(demo_slide_path())
    picture = slide.read(*CROP, CROP_SIDE, CROP_SIDE, mpp=model.mpp)
    limits = measure_limits(slide, model.mpp, model.percentiles)
    cv2.imwrite(str(FIXTURES / "picture.png"), picture[..., ::-1])
    note = {
        "low": limits.low,
        "high": limits.high,
        "prob_threshold": model.prob_threshold,
        "nms_threshold": model.nms_threshold,
        "model_hash": model.hash,
    }
    (FIXTURES / "picture.json").write_text(json.dumps(note, indent=2) + "\n")


def find_nuclei() -> None:
    """Keras's polygons of the picture, with the weights of the embedded model."""
    from imageio.v3 import imread
    from safetensors.numpy import load_file
    from stardist.models import Config2D, StarDist2D

    note = json.loads((FIXTURES / "picture.json").read_text())
    model = StarDist2D(Config2D(n_rays=32, grid=(2, 2), n_channel_in=3), None, None)
    weights = load_file(EMBEDDED / "weights.safetensors")
    # The two convolutions before the U-Net are counted on from Keras's last model.
    unnamed = iter(range(2))
    for layer in model.keras_model.layers:
        if layer.get_weights():
            number = next(unnamed) if layer.name.startswith("conv2d") else 0
            ours = embedded_name(layer.name, number)
            kernel = weights[f"{ours}.weight"].transpose(2, 3, 1, 0)
            layer.set_weights([kernel, weights[f"{ours}.bias"]])
    low, high = np.float32(note["low"]), np.float32(note["high"])
    image = (imread(FIXTURES / "picture.png").astype(np.float32) - low) / (high - low)
    _, found = model.predict_instances(
        image, prob_thresh=note["prob_threshold"], nms_thresh=note["nms_threshold"]
    )
    # From (nucleus, coordinate, ray) to (nucleus, ray, coordinate).
    polygons = np.float32(found["coord"]).transpose(0, 2, 1)
    np.savez_compressed(
        FIXTURES / "picture_keras.npz",
        polygons=polygons,
        prob=np.float32(found["prob"]),
        points=np.int32(found["points"]),
        model_hash=note["model_hash"],
    )


def embedded_name(keras: str, number: int) -> str:
    """Where the weights of a layer of Keras lie in the embedded model's file."""
    parts = keras.split("_")
    if keras.startswith("conv2d"):
        return f"pooled.0.{number}"
    if parts[0] == "down":
        return f"down.{parts[2]}.{parts[4]}"
    # StarDist numbers the last convolution of a pair 2, its U-Net has three levels up.
    if parts[0] == "middle":
        return f"middle.{int(parts[1] != '0')}"
    if parts[0] == "up":
        return f"up.{2 - int(parts[2])}.{int(parts[4] != '0')}"
    return "features.0" if keras == "features" else keras


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crop", action="store_true", help="cut the picture; needs this package")
    parser.add_argument("--keras2", action="store_true", help="only what Keras 2 is to write")
    given = parser.parse_args()
    FIXTURES.mkdir(exist_ok=True)
    if given.crop:
        cut_picture()
        return 0
    for seed, (name, settings) in enumerate((KERAS2 if given.keras2 else NETWORKS).items()):
        make_network(name, settings, seed)
    if not given.keras2:
        find_nuclei()
    return 0


if __name__ == "__main__":
    sys.exit(main())
