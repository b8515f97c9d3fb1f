"""A small button that copies what a panel does as a script, and shows what was copied."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import show_error
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QFontDatabase, QFontMetrics
from qtpy.QtWidgets import QApplication, QFrame, QLabel, QPlainTextEdit, QToolButton, QVBoxLayout

from napari_prts.errors import PrtsError

_TOOLTIP = (
    "Copy as Python: puts a script on the clipboard that {does}, with the choices as they are now."
)
# More would cover the screen; the rest is scrolled to.
_MOST_LINES = 18
_MOST_WIDTH = 620
_EDGE = 8


class CopyPython(QToolButton):
    """Copies a script.

    Parameters
    ----------
    does : str
        What the script does, for the tooltip: ``"finds the nuclei"``.
    write : callable
        Writes the script as things are now.
    """

    def __init__(self, does: str, write: Callable[[], str]) -> None:
        super().__init__()
        self._write = write
        self.shown: CopiedScript | None = None
        self.setText("</>")
        self.setAutoRaise(True)
        self.setToolTip(_TOOLTIP.format(does=does))
        self.setAccessibleName("Copy as Python")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(self.copy)

    def copy(self) -> str:
        """Put the script on the clipboard, show it, and return it; empty if none can be written."""
        try:
            script = self._write()
        except PrtsError as error:
            show_error(str(error))
            return ""
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(script)
        # Closed by the next click anywhere, and then deleted.
        self.shown = CopiedScript(script, self)
        self.shown.destroyed.connect(self._on_closed)
        self.shown.show_below(self)
        return script

    def _on_closed(self) -> None:
        self.shown = None


class CopiedScript(QFrame):
    """Shows what was copied, until the next click or Esc.

    Parameters
    ----------
    script : str
        The script.
    parent : CopyPython
        The button that copied it.
    """

    def __init__(self, script: str, parent: CopyPython) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        # Told apart from the window behind it in any theme.
        self.setStyleSheet("CopiedScript { border: 1px solid palette(highlight); }")
        self.text = QPlainTextEdit(script.rstrip("\n"))
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        # The panels' style sheet sets a font of its own.
        self.text.setStyleSheet(f"font-family: '{font.family()}', monospace")
        self.text.setFixedSize(*self._size(script, QFontMetrics(font)))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_EDGE, _EDGE, _EDGE, _EDGE)
        layout.addWidget(QLabel("Copied to the clipboard; paste it into a notebook or a file:"))
        layout.addWidget(self.text)

    def _size(self, script: str, letters: QFontMetrics) -> tuple[int, int]:
        lines = script.splitlines()
        longest = max(map(len, lines))
        wide = longest * letters.horizontalAdvance("m") + 5 * _EDGE
        # Room for the bar below lines that are too long.
        shown = min(len(lines), _MOST_LINES) + (wide > _MOST_WIDTH)
        high = shown * letters.lineSpacing() + 3 * _EDGE
        return min(wide, _MOST_WIDTH), high

    def show_below(self, button: CopyPython) -> None:
        """Show it under a button, its right ends together, inside the screen."""
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(button.width() - self.width(), button.height()))
        screen = button.screen()
        if screen is not None:
            room = screen.availableGeometry()
            corner.setX(max(room.left(), min(corner.x(), room.right() - self.width())))
            corner.setY(max(room.top(), min(corner.y(), room.bottom() - self.height())))
        self.move(corner)
        self.show()
