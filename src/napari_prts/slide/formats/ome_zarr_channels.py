"""Whether the channels of an OME-Zarr image are red, green and blue, or fluorescence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from napari_prts.slide.formats.slide_file import check_samples, refused

_RGB = ["FF0000", "00FF00", "0000FF"]
# Names of dyes and filters that nobody gives to red, green or blue of a brightfield scan.
_DYE = re.compile(r"dapi|hoechst|fitc|tritc|cy[23357]|alexa|texas|gfp|rfp|yfp|mcherry|draq", re.I)


def check_channels(path: Path, count: int, ome: dict[str, Any]) -> None:
    """Refuse channels that are not red, green, blue and perhaps opacity.

    Parameters
    ----------
    path : Path
        The image, for messages.
    count : int
        Number of channels.
    ome : dict
        Its OME metadata. ``omero`` may name the channels and the colours they are shown in.

    Raises
    ------
    SlideError
        If they are another number, or their colours or names are those of
        fluorescence.
    """
    if count == 2 or count > 4:
        raise refused(path, f"of {count} channels, as in fluorescence")
    check_samples(path, count)
    channels = _channels(ome)[:3]
    for name in (str(channel.get("label", "")) for channel in channels):
        if _DYE.search(name):
            raise refused(path, f"fluorescence (it has a channel named {name})")
    colours = [str(channel.get("color", "")).upper().lstrip("#") for channel in channels]
    # One colour for all, or none, is what writers put who do not care.
    if len(set(colours)) > 1 and colours != _RGB:
        raise refused(
            path,
            f"fluorescence (its channels are shown in {', '.join(colours)}, "
            "not in red, green and blue)",
        )


def _channels(ome: dict[str, Any]) -> list[dict[str, Any]]:
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return []
    return [channel for channel in channels if isinstance(channel, dict)]
