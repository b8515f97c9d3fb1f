"""Keys for looking at genes, and the dialog that lists all our keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_prts.viewer import Role
from napari_prts.viewer.tools_keys import LayerKeys
from napari_prts.widgets._links import Links
from napari_prts.widgets._shortcuts_list import LOOKING, Action, as_html

if TYPE_CHECKING:
    from napari_prts.viewer.compare_stage import Stage
    from napari_prts.widgets._session import Session
    from napari_prts.widgets.explore._explore_panel import ExplorePanel

# Fits on a screen of 768 pixels with its frame.
_SIZE = (520, 600)


class LookingKeys:
    """What the keys do while genes are looked at, on the layers of the study on screen.

    Parameters
    ----------
    session : Session
        Whose study and layers.
    explore : ExplorePanel
        Whose gene list and compare bar.
    """

    def __init__(self, session: Session, explore: ExplorePanel) -> None:
        self._session = session
        self._explore = explore
        self._bound: LayerKeys | None = None

    def bind(self) -> None:
        """Bind the keys anew: the slide's layer may be ours only since now."""
        self.close()
        keys = {key: self._does(each.action) for each in LOOKING for key in each.keys}
        self._bound = LayerKeys(self._session.viewer, keys)

    def close(self, _: object = None) -> None:
        """Give the keys back."""
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    def _does(self, action: Action | None) -> Callable[[], Any]:
        compare, gene = self._explore.compare, self._explore.gene
        actions: dict[Action | None, Callable[[], Any]] = {
            Action.NEXT_GENE: lambda: gene.step(1),
            Action.PREVIOUS_GENE: lambda: gene.step(-1),
            Action.SWAP: compare.swap,
            Action.NEXT_MODE: compare.next_mode,
            Action.LINE_LEFT: lambda: self._move_line(-1),
            Action.LINE_RIGHT: lambda: self._move_line(1),
            Action.PEEK: self._peek,
            Action.NUCLEI: self._toggle_nuclei,
        }
        return actions[action]

    @property
    def _stage(self) -> Stage | None:
        view = self._session.view
        return None if view is None else view.expression.stage

    def _move_line(self, by: int) -> None:
        if (stage := self._stage) is not None and stage.mode == "swipe":
            stage.line.step(by)

    def _peek(self) -> Iterator[None]:
        stage = self._stage
        if stage is not None:
            stage.peek(True)
        yield
        if stage is not None:
            stage.peek(False)

    def _toggle_nuclei(self) -> None:
        view = self._session.view
        if view is None:
            return
        found = [view.book.get(role) for role in (Role.NUCLEI, Role.EDITING)]
        outlines = [layer for layer in found if layer is not None]
        show = not any(layer.visible for layer in outlines)
        for layer in outlines:
            layer.visible = show


class ShortcutsButton(QToolButton):
    """Opens the list of keys; the keys for looking at genes are bound as long as it lives.

    Parameters
    ----------
    session : Session
        Whose layers get the keys.
    explore : ExplorePanel
        What they act on.
    """

    def __init__(
        self, session: Session, explore: ExplorePanel, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setText("Keys")
        self.setToolTip("All keyboard shortcuts")
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.clicked.connect(self.open)
        self.keys = LookingKeys(session, explore)
        # A method of this widget would no longer be called once it is deleted.
        self.destroyed.connect(self.keys.close)
        self._links = Links(self)
        self._links.connect(session.study_changed, self.keys.bind)
        self.keys.bind()

    def open(self) -> QDialog:
        """Show the list of keys."""
        dialog = shortcuts_dialog(self.window())
        dialog.show()
        return dialog


def shortcuts_dialog(parent: QWidget | None) -> QDialog:
    """Make the dialog that lists all our keys; closing deletes it.

    Parameters
    ----------
    parent : QWidget or None
        The window over which it opens.
    """
    dialog = QDialog(parent)
    dialog.setWindowTitle("Keyboard shortcuts")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    words = QLabel(as_html())
    words.setTextFormat(Qt.TextFormat.RichText)
    words.setWordWrap(True)
    words.setAlignment(Qt.AlignmentFlag.AlignTop)
    words.setMargin(8)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(words)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.close)
    column = QVBoxLayout(dialog)
    column.addWidget(area)
    column.addWidget(buttons)
    dialog.resize(*_SIZE)
    return dialog
