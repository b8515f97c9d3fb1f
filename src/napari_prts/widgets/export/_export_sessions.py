"""Sessions in the window: saved as one file, and opened again as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_prts.study.session_file import SessionCard, open_session, save_session
from napari_prts.study.session_parts import SessionParts
from napari_prts.viewer.view_state import Camera, camera_from, painting_from, view_to_dict
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._other_slide import what_closes

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session

TAG = "save"
SESSIONS = "Session (*.prts)"


class SessionFiles:
    """Saves what a window shows and opens it again.

    Parameters
    ----------
    session : Session
        Of the window.
    parent : QWidget, optional
        Over which questions are asked.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        self._session = session
        self._parent = parent

    def save(self, path: Path | str) -> None:
        """Save the session in the background, as it is at this moment."""
        parts = parts_on_screen(self._session)
        if parts is None:
            return

        def done(written: Path) -> None:
            show_info(f"Session saved: {written}")

        self._session.jobs.submit(
            Task(TAG, "Saving session", lambda: save_session(parts, path), done)
        )

    def open(self, path: Path | str) -> None:
        """Open a session in the background; asks before another study leaves the screen.

        Raises
        ------
        PrtsError
            If the file is no session.
        """
        card = SessionCard.read(path)
        slide = card.slide_path()
        if slide is None:
            slide = self.ask_for_slide(card)
        if slide is None or not self._may_close(card):
            return

        self._session.jobs.submit(
            Task(
                TAG,
                f"Opening {card.path.name}",
                lambda: open_session(card, slide, wait=False),
                self._show,
            )
        )

    def ask_for_slide(self, card: SessionCard) -> Path | None:
        """Ask where a slide that was moved is now; None if the user does not say."""
        box = QMessageBox(self._parent)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Where is the slide?")
        box.setText(card.missing_slide())
        find = box.addButton("Find it…", QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.exec()
        if box.clickedButton() is not find:
            return None
        name = str(card.slide["name"])
        chosen, _ = QFileDialog.getOpenFileName(
            self._parent, f"Where is {name}?", str(card.path.parent), f"{name} ({name});;All (*)"
        )
        return Path(chosen) if chosen else None

    def _may_close(self, card: SessionCard) -> bool:
        """Whether what is on screen may make room."""
        study = self._session.study
        if study is None:
            return True
        held = len(study.nuclei) or study.measured is not None or study.predicted is not None
        return not held or self.ask_to_close(card)

    def ask_to_close(self, card: SessionCard) -> bool:
        """Ask whether the study on screen may leave it."""
        study = self._session.study
        assert study is not None
        answer = QMessageBox.question(
            self._parent,
            "Open another session",
            f"{what_closes(study)}\n\nOpen {card.path.name}?",
            QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Open

    def _show(self, parts: SessionParts) -> None:
        session = self._session
        session.show(parts.study())
        growth = parts.slide.growth
        if growth is not None and not growth.whole:
            session.jobs.submit(Task("slide", "Preparing slide", growth.job, lambda _: None))
        show_again(session, parts.view)


def parts_on_screen(session: Session) -> SessionParts | None:
    """Take the study with its view, as they are now; None without a study."""
    study, view = session.study, session.view
    if study is None or view is None:
        return None
    camera = Camera.of(session.viewer, study.slide.mpp)
    return SessionParts.of(
        study, view_to_dict(camera, view.expression.painting, session.brush.style)
    )


def show_again(session: Session, view: Mapping[str, Any]) -> None:
    """Paint and look as a session file says.

    Raises
    ------
    PrtsError
        If what it says cannot be read.
    """
    study, shown = session.study, session.view
    if study is None or shown is None:
        return
    painting, style = painting_from(view), painting_from(view, "style")
    if style is not None:
        # Limits come last: another gene would take them away.
        later = ("gene", "total", "limits")
        named = {each.name: getattr(style, each.name) for each in fields(style)}
        session.brush.restyle(**{name: v for name, v in named.items() if name not in later})
    if painting is not None:
        if painting.gene is not None:
            session.brush.paint_gene(painting.gene)
        elif painting.total:
            shown.expression.paint(painting)
            session.brush.changed.emit()
        else:
            session.brush.paint_clusters()
        session.brush.restyle(limits=painting.limits)
    camera = camera_from(view)
    if camera is not None:
        camera.show(session.viewer, study.slide.mpp)
