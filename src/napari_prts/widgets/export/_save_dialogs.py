"""What can be saved and opened: one wording, one question for a file, wherever it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_prts.errors import PrtsError
from napari_prts.viewer.cell_names import is_simulated
from napari_prts.widgets._panel import button
from napari_prts.widgets.export._export_figure import FigureDialog, FigureSize
from napari_prts.widgets.export._export_files import Exports
from napari_prts.widgets.export._export_sessions import SESSIONS, SessionFiles

if TYPE_CHECKING:
    from qtpy.QtWidgets import QPushButton

    from napari_prts.widgets._session import Session

_FIGURES = "PNG (*.png);;SVG (*.svg);;PDF (*.pdf)"
_SPATIALDATA = "SpatialData (*.zarr)"
_TABLES = "AnnData (*.h5ad)"
_FOR_TOOLS = "A table for squidpy, scanpy and CELLxGENE, with places, clusters and a small picture"


@dataclass(frozen=True)
class Words:
    """What a menu's entry or a button says.

    Parameters
    ----------
    text : str
        On it.
    tooltip : str
        What it does.
    """

    text: str
    tooltip: str

    def button(self, do: Callable[[], None]) -> QPushButton:
        """Make a button that does it."""
        made = button(self.text, self.tooltip)
        made.clicked.connect(lambda: do())
        return made


SAVE_SESSION = Words(
    "Save session…",
    "Slide, nuclei, expression, model, clusters and what is on screen, in one file",
)
OPEN_SESSION = Words("Open session…", "Everything as it was when it was saved")
SAVE_FOLDER = Words(
    "Save study folder…",
    "Nuclei, tables and model as files of their own in a folder, for scripts and other tools",
)
OPEN_FOLDER = Words(
    "Open study folder…", "A folder that Save study folder, a script, or a batch made"
)
FIGURE = Words("Figure of what is in view…", "PNG, SVG or PDF with scale bar, colour bar and names")
PICTURE = Words("Copy picture", "The canvas as it is, to the clipboard")
SPATIALDATA = Words(
    "SpatialData (.zarr)…", "The slide, nuclei and tables in one folder, for napari-spatialdata"
)


def table_words(side: str, *, simulated: bool = False) -> Words:
    """What saving a side's table is called: predicted, measured or simulated expression."""
    word = "simulated" if simulated and side == "measured" else side
    return Words(f"Save {word} expression (.h5ad)…", _FOR_TOOLS)


class SaveDialogs:
    """Asks for a file, then saves or opens it in the background; tells what cannot be.

    Parameters
    ----------
    session : Session
        Whose window.
    parent : QWidget
        Over which questions are asked.
    """

    def __init__(self, session: Session, parent: QWidget) -> None:
        self._session = session
        self._parent = parent
        self.sessions = SessionFiles(session, parent)
        self.exports = Exports(session)
        self.size = FigureSize()

    def save_session(self) -> None:
        """Save the session as one file."""
        path = self._ask_where("Save session", "", ".prts", SESSIONS)
        if path is not None:
            self._tell_errors(lambda: self.sessions.save(path))

    def open_session(self) -> None:
        """Open a session file."""
        path, _ = QFileDialog.getOpenFileName(self._parent, "Open session", "", SESSIONS)
        if path:
            self._tell_errors(lambda: self.sessions.open(path))

    def save_folder(self) -> None:
        """Save the study as a folder of files."""
        folder = QFileDialog.getExistingDirectory(self._parent, "Save study into folder")
        if folder:
            self.sessions.save_folder(folder)

    def open_folder(self) -> None:
        """Open a study folder."""
        folder = QFileDialog.getExistingDirectory(self._parent, "Open study folder")
        if folder:
            self.sessions.open_folder(folder)

    def save_figure(self) -> None:
        """Draw what is in view, after asking how large and how fine."""
        self._tell_errors(self._save_figure)

    def save_table(self, side: str) -> None:
        """Save the ``"predicted"`` or the ``"measured"`` cells for other tools."""
        study = self._session.study
        simulated = study is not None and is_simulated(getattr(study, side), side)
        word = "simulated" if simulated and side == "measured" else side
        path = self._ask_where("Save table", word, ".h5ad", _TABLES)
        if path is not None:
            self._tell_errors(lambda: self.exports.table(side, path))

    def save_spatialdata(self) -> None:
        """Save slide, nuclei and tables as SpatialData."""
        self._tell_errors(self._save_spatialdata)

    def _save_figure(self) -> None:
        shows = self.exports.figure_request(self.size)
        dialog = FigureDialog(shows.title, self.size, self._parent)
        accepted = bool(dialog.exec())
        size = dialog.size_chosen
        # Qt would keep it with its parent until the window closes.
        dialog.deleteLater()
        if not accepted:
            return
        self.size = size
        gene = self._session.brush.gene or ""
        path = self._ask_where("Save figure", gene, ".png", _FIGURES)
        if path is not None:
            self.exports.figure(path, size)

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
        chosen, kind = QFileDialog.getSaveFileName(self._parent, title, suggested, kinds)
        if not chosen:
            return None
        path = Path(chosen)
        endings = kind.partition("*")[2].rstrip(")") or ending
        known = [part.partition("*")[2].rstrip(")") for part in kinds.split(";;")]
        return path if path.suffix.lower() in known else path.with_name(path.name + endings)

    @staticmethod
    def _tell_errors(do: Callable[[], None]) -> None:
        try:
            do()
        except PrtsError as error:
            show_error(str(error))
