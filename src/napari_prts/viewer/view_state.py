"""Where the camera looks, how cells are painted and compared, as values that JSON holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_prts.errors import PrtsError
from napari_prts.viewer.nuclei_view import view_rectangle
from napari_prts.viewer.painted_side import Painting
from napari_prts.viewer.painting import Limits

if TYPE_CHECKING:
    from napari.components import ViewerModel


@dataclass(frozen=True)
class Camera:
    """Where the camera looks.

    Parameters
    ----------
    row, column : float
        Middle of the view in level-0 pixels.
    height, width : float
        Level-0 pixels in view.
    """

    row: float
    column: float
    height: float
    width: float

    @classmethod
    def of(cls, viewer: ViewerModel, mpp: float | None) -> Camera:
        """Take where a viewer looks; side by side, where each of its canvases does."""
        top, left, bottom, right = view_rectangle(viewer, mpp)
        return cls((top + bottom) / 2, (left + right) / 2, bottom - top, right - left)

    def show(self, viewer: ViewerModel, mpp: float | None) -> None:
        """Camera there, as near as all that was in view is seen again.

        On canvases of the same size the view is the same; on others more is seen on two sides.
        """
        now = Camera.of(viewer, mpp)
        camera = viewer.scene.camera
        camera.zoom *= min(now.height / self.height, now.width / self.width)
        pixel = mpp or 1.0
        camera.center = (*camera.center[:-2], self.row * pixel, self.column * pixel)


@dataclass(frozen=True)
class Comparing:
    """What of a comparison the style does not say.

    Parameters
    ----------
    bins_um : int or None
        Side of the bins that stand for the measured cells, in micrometres; None for the cells.
    line : float or None
        Column at which the swipe line stands, in level-0 pixels; None if it was never drawn.
    page : str
        The page of Explore that is open; empty if that is not known.
    """

    bins_um: int | None = None
    line: float | None = None
    page: str = ""


def view_to_dict(
    camera: Camera,
    painting: Painting | None,
    style: Painting,
    comparing: Comparing | None = None,
) -> dict[str, Any]:
    """Describe what is on screen.

    Parameters
    ----------
    camera : Camera
        Where the camera looks.
    painting : Painting or None
        What is painted.
    style : Painting
        How is painted next; what it says of the gene means nothing.
    comparing : Comparing, optional
        What the style does not say.
    """
    return {
        "camera": asdict(camera),
        "painting": None if painting is None else asdict(painting),
        "style": asdict(style),
        "comparing": asdict(comparing or Comparing()),
    }


def comparing_from(view: Mapping[str, Any]) -> Comparing:
    """Read the :class:`Comparing` of :func:`view_to_dict`; files from before have none.

    Raises
    ------
    PrtsError
        If it is damaged.
    """
    try:
        said = dict(view.get("comparing") or {})
        bins_um, line = said.get("bins_um"), said.get("line")
        found = Comparing(
            None if bins_um is None else int(bins_um),
            None if line is None else float(line),
            str(said.get("page", "")),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise PrtsError(_DAMAGED) from error
    if found.line is not None and not math.isfinite(found.line):
        raise PrtsError(_DAMAGED)
    return found


def camera_from(view: Mapping[str, Any]) -> Camera | None:
    """Read the camera of :func:`view_to_dict`; None if there is none.

    Raises
    ------
    PrtsError
        If it is damaged.
    """
    if "camera" not in view:
        return None
    try:
        camera = Camera(**{name: float(value) for name, value in view["camera"].items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise PrtsError(_DAMAGED) from error
    if not (camera.height > 0 and camera.width > 0):
        raise PrtsError(_DAMAGED)
    return camera


def painting_from(view: Mapping[str, Any], name: str = "painting") -> Painting | None:
    """Read the ``"painting"`` or the ``"style"`` of :func:`view_to_dict`; None if there is none.

    Raises
    ------
    PrtsError
        If it is damaged, or a newer version paints in a way that this one does not know.
    """
    said = view.get(name)
    if said is None:
        return None
    try:
        given = dict(said)
        if given.get("limits") is not None:
            given["limits"] = Limits(**given["limits"])
        if given.get("difference_limit") is not None:
            given["difference_limit"] = float(given["difference_limit"])
        if "percentiles" in given:
            low, high = given["percentiles"]
            given["percentiles"] = (float(low), float(high))
        unknown = given.keys() - {each.name for each in fields(Painting)}
        if unknown:
            raise PrtsError(
                f"The session was painted in a way that is not known here ({min(unknown)}): "
                "update napari-prts."
            )
        return Painting(**given)
    except (AttributeError, TypeError, ValueError) as error:
        raise PrtsError(_DAMAGED) from error


_DAMAGED = "What the session says of the view cannot be read: it is damaged. Use a copy."
