"""StarDist under Keras, in an environment of its own: the other side of segmentation.py.

Run by the Python that has TensorFlow; needs nothing of this package. Each line on
stdin is a request as JSON, each line on stdout its answer.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def load(config: dict[str, Any], thresholds: dict[str, float], weights: str) -> Any:
    """A Keras model of a configuration with the weights of a .npz, by layer name."""
    from csbdeep.data import Normalizer
    from stardist.models import Config2D, StarDist2D

    model = StarDist2D(Config2D(**config), name=None, basedir=None)
    model.thresholds = thresholds
    values = np.load(weights)
    # StarDist leaves the convolutions before its U-Net to Keras's own counter.
    unnamed = (f"conv2d_{n}" if n else "conv2d" for n in range(len(values)))
    for layer in model.keras_model.layers:
        if layer.get_weights():
            name = next(unnamed) if layer.name.startswith("conv2d") else layer.name
            layer.set_weights([values[f"{name}/kernel"], values[f"{name}/bias"]])

    class Limits(Normalizer):  # type: ignore[misc]
        """Limits that are the slide's, as ours are, and not each block's."""

        do_after = property(lambda self: False)

        def __init__(self, low: list[float], high: list[float]) -> None:
            self.low, self.span = np.float32(low), np.float32(high) - np.float32(low)

        def before(self, image: Any, axes: str) -> Any:
            return (image.astype(np.float32) - self.low) / self.span

        def after(self, mean: Any, scale: Any, axes: str) -> Any:
            raise NotImplementedError

    return SimpleNamespace(model=model, limits=Limits)


def forward(side: int, loaded: Any) -> dict[str, float]:
    """Seconds of one forward pass of noise."""
    image = np.random.default_rng(0).random((1, side, side, 3), np.float32)
    started = perf_counter()
    loaded.model.keras_model.predict(image, verbose=0)
    return {"seconds": perf_counter() - started}


def whole(loaded: Any, request: dict[str, Any]) -> dict[str, float]:
    """Find the nuclei of an image block by block; polygons go into a .npy."""
    image = np.load(request["image"])
    limits = loaded.limits(request["low"], request["high"])
    started, worked = perf_counter(), process_time()
    _, found = loaded.model.predict_instances_big(
        image,
        axes="YXC",
        block_size=min(request["block"], *image.shape[:2]),
        min_overlap=request["overlap"],
        context=request["context"],
        normalizer=limits,
        n_tiles=tuple(request["n_tiles"]),
        labels_out=False,
        show_progress=False,
    )
    seconds, cpu = perf_counter() - started, process_time() - worked
    coordinates = np.asarray(found["coord"], np.float32)
    # From (nucleus, coordinate, ray) to (nucleus, ray, coordinate).
    np.save(request["polygons"], coordinates.transpose(0, 2, 1))
    return {"seconds": seconds, "cpu": cpu}


def main() -> None:
    # Keras and StarDist print what they do; answers keep a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    loaded = None
    for line in sys.stdin:
        request = json.loads(line)
        match request.pop("do"):
            case "load":
                loaded, answer = load(**request), {"ready": 1.0}
            case "forward":
                answer = forward(request["side"], loaded)
            case _:
                answer = whole(loaded, request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
