"""Pictures that come with a slide: shown when asked for, the label with a word of warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QMessageBox, QVBoxLayout, QWidget

from napari_prts.widgets._panel import button
from napari_prts.widgets._quality_view import pixmap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_prts.slide import Slide

LABEL = "label"


class AssociatedPictures(QWidget):
    """One button for each picture; hidden for a slide without any.

    Parameters
    ----------
    read : callable
        Called with the name of a picture, its reader, and what to do with the picture.
    """

    def __init__(self, read: Callable[[str, Callable[[], NDArray[np.uint8]]], None]) -> None:
        super().__init__()
        self._read = read
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self.buttons: dict[str, QWidget] = {}
        self.setVisible(False)

    def show_slide(self, slide: Slide) -> None:
        """Offer the pictures of a slide."""
        for old in self.buttons.values():
            old.deleteLater()
        self.buttons = {}
        for name, reader in slide.associated.items():
            tooltip = f"The {name} picture of this slide"
            if name == LABEL:
                tooltip += "; it may carry a patient's name, so it is shown only when asked for"
            made = self.buttons[name] = button(name.capitalize(), tooltip)
            made.clicked.connect(lambda _, n=name, r=reader: self._ask(n, r))
            self._row.addWidget(made)
        self.setVisible(bool(self.buttons))

    def _ask(self, name: str, reader: Callable[[], NDArray[np.uint8]]) -> None:
        if name == LABEL and not self.agreed():
            return
        self._read(name, reader)

    def agreed(self) -> bool:
        """Ask whether the label may be shown."""
        answer = QMessageBox.question(
            self,
            "Label",
            "A slide's label may carry a patient's name. Show it on this screen?",
        )
        return bool(answer == QMessageBox.StandardButton.Yes)


class PictureDialog(QDialog):
    """Shows one picture, no larger than 700 px.

    Parameters
    ----------
    title : str
        Of the window.
    image : ndarray of uint8, shape (row, column, 3)
        The picture.
    """

    def __init__(self, title: str, image: NDArray[np.uint8], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.picture = QLabel()
        shown = pixmap(image)
        if max(shown.width(), shown.height()) > 700:
            shown = shown.scaled(
                700,
                700,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        self.picture.setPixmap(shown)
        QVBoxLayout(self).addWidget(self.picture)
