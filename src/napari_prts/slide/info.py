"""What is known about a slide, as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from napari_prts.slide.slide import Slide


def slide_info(slide: Slide) -> dict[str, Any]:
    """Describe a slide.

    Returns
    -------
    dict
        ``path``, ``format``, ``levels`` (list of [rows, columns]), ``dtype``,
        ``mpp`` (um per level-0 pixel or None), ``mpp_source``, ``fingerprint``,
        ``associated`` (names of the pictures that come with it), ``remarks`` (sentences),
        ``broken`` (tiles found so far that cannot be read: row, column, height and width
        in level-0 pixels, and the reason).
    """
    return {
        "path": None if slide.path is None else str(slide.path),
        "format": slide.format,
        "levels": [list(level.pixels.shape) for level in slide.stack],
        "dtype": "uint8",
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "fingerprint": slide.fingerprint,
        "associated": sorted(slide.associated),
        "remarks": list(slide.remarks),
        "broken": [asdict(tile) for tile in slide.broken],
    }
