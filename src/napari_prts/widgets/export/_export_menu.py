"""One button for all that leaves the window: session, figure, picture, tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from napari_prts.errors import PrtsError
from napari_prts.viewer.cell_names import is_simulated
from napari_prts.widgets.export._export_figure import FigureDialog, FigureSize
from napari_prts.widgets.export._export_files import Exports
from napari_prts.widgets.export._export_sessions import SESSIONS, SessionFiles

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session

_FIGURES = "PNG (*.png);;SVG (*.svg);;PDF (*.pdf)"
_SPATIALDATA = "SpatialData (*.zarr)"


class SaveMenu(QToolButton):
    """The button Save with its menu.

    Parameters
    ----------
    session : Session
        Whose window.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.sessions = SessionFiles(session, self)
        self.exports = Exports(session)
        self._size = FigureSize()
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
        self.save_session = self._action(
            "Save session…",
            "Slide, nuclei, expression, model, clusters and what is on screen, in one file",
            self._save_session,
        )
        self.open_session = self._action(
            "Open session…", "Everything as it was when it was saved", self._open_session
        )
        self._menu.addSeparator()
        self.save_figure = self._action(
            "Figure of what is in view…",
            "PNG, SVG or PDF with scale bar, colour bar and names",
            self._save_figure,
        )
        self.copy_picture = self._action(
            "Copy picture", "The canvas as it is, to the clipboard", self.exports.copy_picture
        )
        self._menu.addSeparator()
        tools = "for squidpy, scanpy and CELLxGENE, with places, clusters and a small picture"
        self.save_predicted = self._action(
            "Predicted expression (.h5ad)…", f"A table {tools}", lambda: self._table("predicted")
        )
        self.save_measured = self._action(
            "Measured expression (.h5ad)…", f"A table {tools}", lambda: self._table("measured")
        )
        self.save_spatialdata = self._action(
            "SpatialData (.zarr)…",
            "The slide, nuclei and tables in one folder, for napari-spatialdata",
            self._save_spatialdata,
        )

    def _action(self, text: str, tooltip: str, do: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        action.setToolTip(tooltip)
        action.triggered.connect(lambda: self._tell_errors(do))
        self._menu.addAction(action)
        return action

    def refresh(self) -> None:
        """Offer what there is to save."""
        study = self._session.study
        measured = None if study is None else study.measured
        for action in (self.save_session, self.save_figure):
            action.setEnabled(study is not None)
        self.copy_picture.setEnabled(len(self._session.viewer.layers) > 0)
        self.save_predicted.setEnabled(study is not None and study.predicted is not None)
        self.save_measured.setEnabled(measured is not None)
        word = "Simulated" if is_simulated(measured, "measured") else "Measured"
        self.save_measured.setText(f"{word} expression (.h5ad)…")
        self.save_spatialdata.setEnabled(study is not None and len(study.nuclei) > 0)

    def _tell_errors(self, do: Callable[[], None]) -> None:
        try:
            do()
        except PrtsError as error:
            show_error(str(error))

    def _save_session(self) -> None:
        path = self._ask_where("Save session", "", ".prts", SESSIONS)
        if path is not None:
            self.sessions.save(path)

    def _open_session(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open session", "", SESSIONS)
        if path:
            self.sessions.open(path)

    def _save_figure(self) -> None:
        shows = self.exports.figure_request(self._size)
        dialog = FigureDialog(shows.title, self._size, self)
        accepted = bool(dialog.exec())
        size = dialog.size_chosen
        # Qt would keep it with the button until the window closes.
        dialog.deleteLater()
        if not accepted:
            return
        self._size = size
        gene = self._session.brush.gene or ""
        path = self._ask_where("Save figure", gene, ".png", _FIGURES)
        if path is not None:
            self.exports.figure(path, size)

    def _table(self, side: str) -> None:
        study = self._session.study
        simulated = study is not None and is_simulated(getattr(study, side), side)
        word = "simulated" if simulated and side == "measured" else side
        path = self._ask_where("Save table", word, ".h5ad", "AnnData (*.h5ad)")
        if path is not None:
            self.exports.table(side, path)

    def _save_spatialdata(self) -> None:
        from napari_prts.study.spatialdata_export import require_spatialdata

        require_spatialdata()
        path = self._ask_where("Save SpatialData", "", ".zarr", _SPATIALDATA)
        if path is not None:
            self.exports.spatialdata(path)

    def _ask_where(self, title: str, what: str, ending: str, kinds: str) -> Path | None:
        """Ask for a file; None if the user does not say."""
        study = self._session.study
        name = "session" if study is None else Path(study.slide.name).stem
        suggested = f"{name} {what}".strip() + ending
        chosen, kind = QFileDialog.getSaveFileName(self, title, suggested, kinds)
        if not chosen:
            return None
        path = Path(chosen)
        endings = kind.partition("*")[2].rstrip(")") or ending
        known = [part.partition("*")[2].rstrip(")") for part in kinds.split(";;")]
        return path if path.suffix.lower() in known else path.with_name(path.name + endings)
