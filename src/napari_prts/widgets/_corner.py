"""The corner beside the tabs: buttons for what belongs to no panel."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QWidget


class Corner(QWidget):
    """A row of small buttons.

    Parameters
    ----------
    *buttons : QWidget
        From left to right.
    """

    def __init__(self, *buttons: QWidget) -> None:
        super().__init__()
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 2, 0)
        self._row.setSpacing(2)
        for button in buttons:
            self.add(button)

    def add(self, button: QWidget) -> None:
        """Add a button on the right."""
        self._row.addWidget(button)
