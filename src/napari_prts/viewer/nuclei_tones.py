"""The few values that the picture of all nuclei is painted with, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from napari_prts.nuclei import Source

if TYPE_CHECKING:
    import pandas as pd

Rgba = tuple[float, float, float, float]

SOURCE_COLOURS: dict[Source, Rgba] = {
    Source.STARDIST: (0.05, 0.75, 0.35, 1.0),
    Source.IMPORTED: (0.05, 0.55, 0.85, 1.0),
    Source.MANUAL: (1.0, 0.55, 0.0, 1.0),
    Source.EDITED: (0.95, 0.85, 0.1, 1.0),
}
# An outline is painted with its source plus one; 0 is where nothing is.
FIRST_OUTLINE = 1
# Density is painted with this value and those that follow it.
FIRST_DENSITY = 16
# Nuclei per squared millimetre at which the second and each further class begins: half an
# octave apart, from scattered stroma to packed lymphocytes.
CLASSES = tuple(float(round(100 * 2 ** (step / 2))) for step in range(17))

# Pale yellow to deep green-blue: no stain has these, and the order is seen in grey too. The
# tissue shines through all of them.
_RAMP = np.array(
    [
        [1.00, 0.95, 0.55, 0.30],
        [0.62, 0.85, 0.35, 0.42],
        [0.10, 0.68, 0.48, 0.52],
        [0.05, 0.45, 0.55, 0.60],
        [0.02, 0.22, 0.42, 0.68],
    ]
)


def outline_values(sources: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the values that outlines are painted with, by how the nuclei came about."""
    return (sources + FIRST_OUTLINE).astype(np.uint8)


def density_values(density: NDArray[np.floating], least: float) -> NDArray[np.uint8]:
    """Return the values that a picture of densities is painted with.

    Parameters
    ----------
    density : ndarray
        Nuclei per squared millimetre.
    least : float
        Below this nothing is painted.
    """
    edges = np.asarray(CLASSES, np.float32)
    painted = np.searchsorted(edges, density, side="right").astype(np.uint8)
    painted += FIRST_DENSITY
    painted[density < least] = 0
    return painted


def tones() -> CyclicLabelColormap:
    """Return the colours of all values, 0 transparent.

    A cyclic map that no value goes round: napari's direct one is compiled first, which
    stops the window for seconds.
    """
    colours = np.zeros((FIRST_DENSITY + len(CLASSES) + 1, 4), np.float32)
    for source, colour in SOURCE_COLOURS.items():
        colours[int(source) + FIRST_OUTLINE] = colour
    at = np.linspace(0, len(_RAMP) - 1, len(CLASSES) + 1)
    for channel, values in enumerate(_RAMP.T):
        colours[FIRST_DENSITY:, channel] = np.interp(at, np.arange(len(_RAMP)), values)
    return CyclicLabelColormap(colors=colours, background_value=0)


def legend() -> pd.DataFrame:
    """Say what each value means, for the window's status line: columns ``index``, ``nuclei``."""
    import pandas as pd

    said = {0: "none"}
    said |= {int(source) + FIRST_OUTLINE: source.name.lower() for source in Source}
    said[FIRST_DENSITY] = f"below {CLASSES[0]:,.0f} per mm²"
    for step, edge in enumerate(CLASSES):
        said[FIRST_DENSITY + step + 1] = f"{edge:,.0f} or more per mm²"
    return pd.DataFrame({"index": list(said), "nuclei": list(said.values())})
