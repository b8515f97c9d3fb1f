"""The quality of a slide in one glance: a picture and a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_prts.slide.quality import SlideQuality
from napari_prts.viewer.quality_picture import BLURRED, BROKEN, FOLD, PEN, SOFT, TISSUE

# Shares below these are specks of dust and single pixels.
_PEN_WORTH_TELLING = 0.001
_FOLDS_WORTH_TELLING = 0.01
_CLIPPED_WORTH_TELLING = 0.02


class QualityView(QWidget):
    """Shows the picture and the line; hidden until there is something to show."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setTextFormat(Qt.TextFormat.RichText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.picture)
        layout.addWidget(self.line)
        self.setVisible(False)

    def clear(self) -> None:
        """Show nothing."""
        self.setVisible(False)

    def show_quality(
        self, quality: SlideQuality, picture: NDArray[np.uint8], warnings: Sequence[str]
    ) -> None:
        """Show what was measured.

        Parameters
        ----------
        quality : SlideQuality
            The numbers.
        picture : ndarray of uint8, shape (row, column, 3)
            As :func:`~napari_prts.viewer.quality_picture.quality_picture` draws it.
        warnings : sequence of str
            Sentences about what a model has not seen.
        """
        self.picture.setPixmap(pixmap(picture))
        self.picture.setToolTip(LEGEND)
        self.line.setText(quality_line(quality) + "".join(f"<br>⚠ {text}" for text in warnings))
        self.line.setToolTip(_numbers(quality))
        self.setVisible(True)


def pixmap(image: NDArray[np.uint8]) -> QPixmap:
    """Turn an image, (row, column, 3) uint8, into a pixmap."""
    rows, columns = image.shape[:2]
    # fromImage copies the bytes, which then may go.
    made = QImage(image.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(made)


def _swatch(colour: tuple[int, int, int], text: str) -> str:
    return f'<span style="color: rgb{colour}">■</span> {text}'


LEGEND = "<br>".join(
    [
        _swatch(TISSUE, "edge of the tissue"),
        _swatch(SOFT, "soft"),
        _swatch(BLURRED, "out of focus"),
        _swatch(PEN, "pen"),
        _swatch(FOLD, "folded"),
        _swatch(BROKEN, "cannot be read"),
    ]
)


def quality_line(quality: SlideQuality) -> str:
    """Say what is good and what is not, in HTML, coloured as in the picture."""
    parts = [f"Focus {quality.focus_word}"]
    soft = sum(region.focus_word == "soft" for region in quality.regions)
    blurred = sum(region.focus_word == "out of focus" for region in quality.regions)
    if soft and quality.focus_word != "soft":
        parts.append(_swatch(SOFT, f"soft in {soft} of {quality.windows} places"))
    if blurred and quality.focus_word != "out of focus":
        parts.append(_swatch(BLURRED, f"out of focus in {blurred} of {quality.windows}"))
    if quality.haematoxylin is not None and quality.eosin is not None:
        parts.append(f"stain H {quality.haematoxylin:.2f}, E {quality.eosin:.2f}")
    if quality.pen >= _PEN_WORTH_TELLING:
        parts.append(_swatch(PEN, f"pen on {quality.pen:.1%} of the slide"))
    if quality.folds >= _FOLDS_WORTH_TELLING:
        parts.append(_swatch(FOLD, f"folds in {quality.folds:.0%} of the tissue"))
    if quality.overexposed >= _CLIPPED_WORTH_TELLING:
        parts.append(f"{quality.overexposed:.0%} overexposed")
    if quality.underexposed >= _CLIPPED_WORTH_TELLING:
        parts.append(f"{quality.underexposed:.0%} underexposed")
    return ", ".join(parts)


def _numbers(quality: SlideQuality) -> str:
    focus = "unknown" if quality.focus is None else f"{quality.focus:.2f}"
    lines = [
        f"Focus {focus} (0 no detail, 1 sharp), {quality.windows} places measured at "
        f"{quality.mpp:g} um/px",
        "Stain: mean optical density of haematoxylin and eosin over the tissue",
        *quality.notes,
    ]
    return "<br>".join(lines)
