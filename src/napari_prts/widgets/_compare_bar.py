"""One row over the pages of Explore: how predicted and measured are compared on the canvas."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button
from napari_prts.widgets._session import Session

WORDS = {"beside": "Side by side", "one": "On one canvas"}


class CompareBar(QWidget):
    """Chooses the mode of comparison, and takes the painting away.

    Parameters
    ----------
    session : Session
        Whose brush.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.mode = QComboBox()
        for mode, words in WORDS.items():
            self.mode.addItem(words, mode)
        self.mode.setToolTip("How predicted and measured are seen together")
        self.clear_button = button("H&&E only", "Take the painting away")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.mode, 1)
        row.addWidget(self.clear_button)
        self.mode.currentIndexChanged.connect(
            lambda _: session.brush.restyle(mode=self.mode.currentData())
        )
        self.clear_button.clicked.connect(session.brush.clear)
        self._links = Links(self)
        self._links.connect(session.brush.changed, self._on_brush)
        self._on_brush()

    def _on_brush(self) -> None:
        self.mode.setCurrentIndex(self.mode.findData(self._session.brush.style.mode))
