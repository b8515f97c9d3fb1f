"""One button for all that leaves the window: session, figure, picture, tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QMenu, QToolButton, QWidget

from napari_prts.viewer.cell_names import is_simulated
from napari_prts.widgets.export._save_dialogs import (
    FIGURE,
    OPEN_FOLDER,
    OPEN_SESSION,
    PICTURE,
    SAVE_FOLDER,
    SAVE_SESSION,
    SPATIALDATA,
    SaveDialogs,
    Words,
    table_words,
)

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session


class SaveMenu(QToolButton):
    """The button Save with its menu.

    Parameters
    ----------
    session : Session
        Whose window.

    Attributes
    ----------
    dialogs : SaveDialogs
        What its entries do.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.dialogs = SaveDialogs(session, self)
        self.sessions, self.exports = self.dialogs.sessions, self.dialogs.exports
        self.setText("Save ▾")
        # The theme's own arrow lies on the text.
        self.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.setToolTip("Save the session, a figure, or tables for other tools")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self._fill()
        self.setMenu(self._menu)
        self._menu.aboutToShow.connect(self.refresh)

    def _fill(self) -> None:
        dialogs = self.dialogs
        self.save_session = self._action(SAVE_SESSION, dialogs.save_session)
        self.open_session = self._action(OPEN_SESSION, dialogs.open_session)
        self._menu.addSeparator()
        self.save_figure = self._action(FIGURE, dialogs.save_figure)
        self.copy_picture = self._action(PICTURE, self.exports.copy_picture)
        self._menu.addSeparator()
        self.save_predicted = self._action(
            table_words("predicted"), lambda: dialogs.save_table("predicted")
        )
        self.save_measured = self._action(
            table_words("measured"), lambda: dialogs.save_table("measured")
        )
        self.save_spatialdata = self._action(SPATIALDATA, dialogs.save_spatialdata)
        self._menu.addSeparator()
        self.save_folder = self._action(SAVE_FOLDER, dialogs.save_folder)
        self.open_folder = self._action(OPEN_FOLDER, dialogs.open_folder)

    def _action(self, words: Words, do: Callable[[], None]) -> QAction:
        action = QAction(words.text, self)
        action.setToolTip(words.tooltip)
        action.triggered.connect(lambda: do())
        self._menu.addAction(action)
        return action

    def refresh(self) -> None:
        """Offer what there is to save."""
        study = self._session.study
        measured = None if study is None else study.measured
        for action in (self.save_session, self.save_figure, self.save_folder):
            action.setEnabled(study is not None)
        self.copy_picture.setEnabled(len(self._session.viewer.layers) > 0)
        self.save_predicted.setEnabled(study is not None and study.predicted is not None)
        self.save_measured.setEnabled(measured is not None)
        words = table_words("measured", simulated=is_simulated(measured, "measured"))
        self.save_measured.setText(words.text)
        self.save_spatialdata.setEnabled(study is not None and len(study.nuclei) > 0)
