"""What is known about a slide, as plain values for JSON."""

from __future__ import annotations

from typing import Any

from napari_prts.slide.slide import Slide


def slide_info(slide: Slide) -> dict[str, Any]:
    """Describe a slide.

    Returns
    -------
    dict
        ``path``, ``format``, ``levels`` (list of [rows, columns]), ``dtype``,
        ``mpp`` (um per level-0 pixel or None), ``mpp_source``, ``fingerprint``.
    """
    return {
        "path": None if slide.path is None else str(slide.path),
        "format": slide.format,
        "levels": [list(level.pixels.shape) for level in slide.stack],
        "dtype": "uint8",
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "fingerprint": slide.fingerprint,
    }
