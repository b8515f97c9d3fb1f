"""A nucleus in its surroundings, as the encoder sees it, with its outline drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_prts.features.tiles import tile_corners, to_encoder_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_prts.slide import Slide
    from napari_prts.study import Study

# A nucleus of 7 um and its nearest neighbours fill it.
CLOSE_UM = 40.0
_FINEST_MPP = 0.25
# Where no model says what it looks at: what vision transformers on H&E usually do.
_USUAL_TILE, _USUAL_MPP = 256, 0.5
_SIDE = 140
# In neither stain; black beside it, so that it is seen on glass too.
_LINE, _EDGE = QColor(0, 230, 255), QColor(0, 0, 0, 150)


@dataclass(frozen=True)
class Sight:
    """What is looked at around a nucleus.

    Parameters
    ----------
    tile : int
        Pixels along the side.
    mpp : float
        Micrometres per pixel.
    words : str
        Of what it is the sight.
    """

    tile: int
    mpp: float
    words: str


@dataclass(frozen=True, eq=False)
class CellTile:
    """A square picture of a nucleus.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (tile, tile, 3)
        Red, green, blue.
    outline : ndarray of float64, shape (k, 2)
        (row, column) in pixels of the picture, its corner at (0, 0).
    words : str
        How large it is, and whose sight.
    """

    pixels: NDArray[np.uint8]
    outline: NDArray[np.float64]
    words: str


def model_sight(study: Study) -> Sight:
    """Return what the model that predicted a study's cells, or will, looks at.

    Of encoders side by side it is the one that looks farthest.
    """
    settings: Any = {}
    if study.predicted is not None:
        settings = study.predicted.uns.get("prts", {}).get("settings", {})
    elif study.model is not None:
        settings = study.model.card.get("encoder_settings", {})
    parts = [part for part in settings.values() if isinstance(part, dict)] or [settings]
    sights = [
        Sight(int(part["tile"]), float(part["mpp"]), "what the model looks at")
        for part in parts
        if part.get("tile") and part.get("mpp")
    ]
    if not sights:
        return Sight(_USUAL_TILE, _USUAL_MPP, "its surroundings")
    return max(sights, key=lambda sight: sight.tile * sight.mpp)


def close_sight(slide: Slide) -> Sight:
    """Return a close look, in the slide's own pixels or some finer."""
    mpp = min(slide.mpp or _FINEST_MPP, _FINEST_MPP)
    return Sight(round(CLOSE_UM / mpp), mpp, "close")


def read_tile(slide: Slide, polygon: NDArray[np.floating], sight: Sight) -> CellTile:
    """Read the pixels around a nucleus.

    Parameters
    ----------
    slide : Slide
        Where.
    polygon : ndarray, shape (k, 2)
        Outline, (row, column) in level-0 pixels.
    sight : Sight
        How much of it. Without a pixel size of the slide, so many pixels of its own.

    Raises
    ------
    SlideError
        If the pixels cannot be read.
    """
    slide_mpp, mpp = (slide.mpp, sight.mpp) if slide.mpp is not None else (1.0, 1.0)
    middle = (polygon.min(axis=0) + polygon.max(axis=0)) / 2
    corner = tile_corners(middle[None], slide_mpp, mpp, sight.tile)[0]
    place = corner * (mpp / slide_mpp)
    read_at = None if slide.mpp is None else mpp
    pixels = slide.read(float(place[0]), float(place[1]), sight.tile, sight.tile, mpp=read_at)
    outline = to_encoder_pixels(polygon, slide_mpp, mpp) - corner
    side = f"{sight.tile * mpp:.0f} µm" if slide.mpp is not None else f"{sight.tile} px"
    return CellTile(pixels, outline, f"{side}, {sight.words}")


class TilePicture(QWidget):
    """Shows a tile, and under it how large it is."""

    def __init__(self, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture, self.caption = QLabel(), QLabel()
        self.picture.setFixedSize(_SIDE, _SIDE)
        self.picture.setToolTip(tooltip)
        self.caption.setWordWrap(True)
        self.caption.setFixedWidth(_SIDE)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.picture)
        column.addWidget(self.caption)

    def show_tile(self, tile: CellTile | None) -> None:
        """Show a tile, or nothing."""
        if tile is None:
            self.picture.clear()
            self.caption.setText("")
            return
        self.picture.setPixmap(drawn(tile, _SIDE, self.devicePixelRatioF()))
        self.caption.setText(tile.words)


def drawn(tile: CellTile, side: int, ratio: float = 1.0) -> QPixmap:
    """Draw a tile with the nucleus's outline on it.

    Parameters
    ----------
    tile : CellTile
        The tile.
    side : int
        Of the picture, in pixels of the screen.
    ratio : float
        Pixels of the device per pixel of the screen.
    """
    height, width = tile.pixels.shape[:2]
    image = QImage(tile.pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    device = round(side * ratio)
    picture = QPixmap.fromImage(image).scaled(
        device,
        device,
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    places = tile.outline * (device / height)
    line = QPolygonF([QPointF(float(column), float(row)) for row, column in places])
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for colour, thick in ((_EDGE, 3.0), (_LINE, 1.5)):
        painter.setPen(QPen(colour, thick * ratio))
        painter.drawPolygon(line)
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return picture
