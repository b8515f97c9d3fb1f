"""What the benchmark of nuclei shows: a plane as large as a slide, and nuclei all over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_prts.slide import Slide

# Rows and columns: a large section at 40x.
PLANE = (49_500, 46_350)
MPP = 0.25
VERTICES = 32


def outlines(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Make round nuclei anywhere on the plane, shape (count, 32, 2), in level-0 pixels."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
    made = rng.uniform((40, 40), np.subtract(PLANE, 40), (count, 1, 2)).astype(np.float32)
    radius = rng.uniform(10, 16, (count, 1, 1)) * rng.uniform(0.93, 1.07, (count, VERTICES, 1))
    return made + circle * radius.astype(np.float32)


def plane() -> Slide:
    """Make a slide that is glass all over and takes no memory."""
    from napari_prts.slide import Slide
    from napari_prts.slide.levels import stack
    from napari_prts.slide.pixels import ArrayPixels

    glass = np.full((1, 1, 3), 240, np.uint8)
    sizes = [tuple(side >> shift for side in PLANE) for shift in range(7)]
    levels = [ArrayPixels(np.broadcast_to(glass, (*size, 3)), "plane") for size in sizes]
    return Slide(None, "array", stack(levels, "plane"), MPP, "user", "benchmark-plane", "plane")
