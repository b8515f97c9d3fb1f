"""Folded sections of a page: a narrow line each, with what grows and shrinks inside."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """A line to click, and what it unfolds.

    superqt's collapsible keeps the height that its content had when it was unfolded, and needs
    three times the room when folded.

    Parameters
    ----------
    title : str
        Of the line.
    content : QWidget
        What is unfolded.
    tooltip : str
        Of the line.

    Attributes
    ----------
    toggled : qtpy.QtCore.Signal
        Emitted with whether it is open now.
    grown : qtpy.QtCore.Signal
        Emitted when it has become taller while it is open.
    """

    toggled = QtSignal(bool)
    grown = QtSignal()

    def __init__(
        self, title: str, content: QWidget, tooltip: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.content = content
        self.line = QToolButton()
        self.line.setText(title)
        self.line.setToolTip(tooltip)
        self.line.setCheckable(True)
        self.line.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.line)
        layout.addWidget(content)
        self.line.toggled.connect(self._on_toggled)
        self._show(False)

    @property
    def is_open(self) -> bool:
        """Whether its content is shown."""
        return self.line.isChecked()

    def open(self, opened: bool = True) -> None:
        """Unfold it, or fold it."""
        self.line.setChecked(opened)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Tell when more is to be seen."""
        super().resizeEvent(event)
        if event is not None and self.is_open and event.size().height() > event.oldSize().height():
            self.grown.emit()

    def _on_toggled(self, opened: bool) -> None:
        self._show(opened)
        self.toggled.emit(opened)

    def _show(self, opened: bool) -> None:
        self.line.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.content.setVisible(opened)
