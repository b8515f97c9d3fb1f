"""Pixel size of the small tissue images that Space Ranger writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

from napari_prts.slide.pixel_size import PixelSize

SCALES_NAME = "scalefactors_json.json"
SOURCE = "file (Space Ranger scale factors)"
SPOT_SOURCE = "file (Space Ranger scale factors, from a spot diameter of 65 um)"

# The printed spots of Visium are 55 um wide, but spot_diameter_fullres is "the number of pixels
# that span the diameter of a theoretical 65 um spot" (10x Genomics, Space Ranger outputs, who
# themselves compute microns per pixel as 65 / spot_diameter_fullres). With 65 the distance of
# neighbouring spots comes out at the 100 um it is; with 55 it would be 85 um.
SPOT_UM = 65.0

_FACTORS = {
    "tissue_hires_image": "tissue_hires_scalef",
    "tissue_lowres_image": "tissue_lowres_scalef",
}


def hires_size(path: Path) -> PixelSize | None:
    """Return the pixel size of a downscaled tissue image from the scale factors beside it.

    Parameters
    ----------
    path : Path
        Any image. Only ``tissue_hires_image`` and ``tissue_lowres_image``, of any
        file ending, have a size here; their ``scalefactors_json.json`` lies in the
        same folder.

    Returns
    -------
    PixelSize or None
        um per pixel of this image. From ``microns_per_pixel`` of the full image
        (Visium HD) if it is stated; of older Visium, from the diameter of a spot,
        and then the source says so. None if the image is another one, or the scale
        factors are absent, damaged or lack what is needed.
    """
    factor_name = _FACTORS.get(path.stem.lower())
    if factor_name is None:
        return None
    scales = _read(path.with_name(SCALES_NAME))
    factor = _positive(scales, factor_name)
    if factor is None:
        return None
    mpp = _positive(scales, "microns_per_pixel")
    source = SOURCE
    # A bin of Visium HD is no spot: there the "spot" is one bin wide.
    if mpp is None and "bin_size_um" not in scales:
        spot = _positive(scales, "spot_diameter_fullres")
        mpp = None if spot is None else SPOT_UM / spot
        source = SPOT_SOURCE
    if mpp is None or not math.isfinite(mpp / factor):
        return None
    return PixelSize(mpp / factor, mpp / factor, source)


def _read(path: Path) -> dict[str, object]:
    try:
        scales = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return scales if isinstance(scales, dict) else {}


def _positive(scales: dict[str, object], name: str) -> float | None:
    value = scales.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # An integer of hundreds of digits is JSON, but no float; NaN compares as false.
    if not 0 < value < 1e12:
        return None
    return float(value)
