"""Sessions in the window: saved as one file, and opened again as they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_prts.jobs import Job, Progress
from napari_prts.study.kept import Kept
from napari_prts.study.session_file import SessionCard, open_session, save_session
from napari_prts.study.session_parts import SessionParts
from napari_prts.viewer.view_state import (
    Camera,
    Comparing,
    camera_from,
    comparing_from,
    painting_from,
    view_to_dict,
)
from napari_prts.widgets._jobs import Task
from napari_prts.widgets._other_slide import what_closes
from napari_prts.widgets.explore._compare_bins import no_bins
from napari_prts.widgets.explore._explore_panel import ExplorePanel

if TYPE_CHECKING:
    from napari_prts.study import Study
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
        study, parts = self._session.study, parts_on_screen(self._session)
        if study is None or parts is None:
            return
        # As it is now: by the time that it is written it may be corrected further.
        kept = Kept.of(study, Path(path))

        def done(written: Path) -> None:
            study.kept = replace(kept, place=written.absolute())
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
        if slide is None or not self._may_close(card.path):
            return

        self._session.jobs.submit(
            Task(
                TAG,
                f"Opening {card.path.name}",
                lambda: open_session(card, slide, wait=False),
                lambda parts: self._show(parts, card.path),
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

    def save_folder(self, folder: Path | str) -> None:
        """Save the study as a folder of files in the background, as it is at this moment."""
        study = self._session.study
        if study is None:
            return

        def make() -> Job[Path]:
            yield Progress(0, 1, "studies")
            saved: Path = study.save(folder)
            return saved

        def done(written: Path) -> None:
            show_info(f"Study saved: {written}")

        self._session.jobs.submit(Task(TAG, "Saving study", make, done))

    def open_folder(self, folder: Path | str) -> None:
        """Open a study folder in the background; asks before another study leaves the screen."""
        if not self._may_close(Path(folder)):
            return

        def make() -> Job[Study]:
            from napari_prts.study import open_study

            yield Progress(0, 1, "studies")
            return open_study(folder)

        self._session.jobs.submit(Task(TAG, "Opening study", make, self._session.show))

    def _may_close(self, path: Path) -> bool:
        """Whether what is on screen may make room."""
        study = self._session.study
        if study is None:
            return True
        held = len(study.nuclei) or study.measured is not None or study.predicted is not None
        return not held or self.ask_to_close(path)

    def ask_to_close(self, path: Path) -> bool:
        """Ask whether the study on screen may leave it."""
        study = self._session.study
        assert study is not None
        answer = QMessageBox.question(
            self._parent,
            "Open another session",
            f"{what_closes(study)}\n\nOpen {path.name}?",
            QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel,
            QMessageBox.StandardButton.Cancel,
        )
        return answer == QMessageBox.StandardButton.Open

    def _show(self, parts: SessionParts, path: Path) -> None:
        session, study = self._session, parts.study()
        study.kept = Kept.of(study, path)
        session.show(study)
        growth = parts.slide.growth
        if growth is not None and not growth.whole:
            session.jobs.submit(Task("slide", "Preparing slide", growth.job, lambda _: None))
        show_again(session, parts.view)


def explore_of(session: Session) -> ExplorePanel | None:
    """Find the Explore panel of a session's window, alone or among the other panels."""
    for widget in session.viewer.window.dock_widgets.values():
        panel = getattr(widget, "explore", widget)
        if isinstance(panel, ExplorePanel) and panel.session is session:
            return panel
    return None


def parts_on_screen(session: Session) -> SessionParts | None:
    """Take the study with its view, as they are now; None without a study."""
    study, view = session.study, session.view
    if study is None or view is None:
        return None
    camera, shown = Camera.of(session.viewer, study.slide.mpp), view.expression
    explore = explore_of(session)
    bins, page = shown.bins, None if explore is None else explore.pages.currentWidget()
    comparing = Comparing(
        None if bins is None else bins.bin_um,
        shown.stage.line.place,
        str(getattr(page, "tag", "")),
    )
    return SessionParts.of(
        study, view_to_dict(camera, shown.painting, session.brush.style, comparing)
    )


def show_again(session: Session, view: Mapping[str, Any]) -> None:
    """Paint and look as a session file says.

    Parameters
    ----------
    session : Session
        Of the window.
    view : mapping
        See :func:`~napari_prts.viewer.view_state.view_to_dict`.

    Raises
    ------
    PrtsError
        If what it says cannot be read.
    """
    study, shown = session.study, session.view
    if study is None or shown is None:
        return
    painting, style = painting_from(view), painting_from(view, "style")
    comparing = comparing_from(view)
    if style is not None:
        # Limits come last: another gene would take them away.
        later = ("gene", "total", "limits", "difference_limit")
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
        session.brush.restyle(limits=painting.limits, difference_limit=painting.difference_limit)
    camera = camera_from(view)
    if camera is not None:
        camera.show(session.viewer, study.slide.mpp)
    if comparing.line is not None:
        # After the camera: a line out of view would come to its middle.
        shown.expression.stage.line.move_to(comparing.line)
    explore = explore_of(session)
    if explore is not None:
        _open_page(explore, comparing.page)
        _show_bins(explore, study, comparing.bins_um)


def _open_page(explore: ExplorePanel, tag: str) -> None:
    for place in range(explore.pages.count()):
        if getattr(explore.pages.widget(place), "tag", "") == tag:
            explore.pages.setCurrentIndex(place)


def _show_bins(explore: ExplorePanel, study: Study, bins_um: int | None) -> None:
    """Read the bins that were shown; they are not in the session file, which would be large."""
    if bins_um is None:
        return
    problem = no_bins(study)
    if problem:
        show_warning(f"The session showed bins of {bins_um} um; now it shows cells. {problem}")
    else:
        explore.compare.bins.choose(bins_um)
