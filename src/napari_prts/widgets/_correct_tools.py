"""The tools that correct nuclei, as buttons; each has its key on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info, show_warning
from psygnal import Signal
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_prts.viewer.tools import NucleiTools
from napari_prts.viewer.tools_growing import Growers, grown_words
from napari_prts.viewer.tools_list import WORDS, Tool
from napari_prts.widgets._jobs import JobRunner, Task
from napari_prts.widgets._links import Links
from napari_prts.widgets._panel import button

if TYPE_CHECKING:
    from napari_prts.jobs import Job
    from napari_prts.segmentation.at_point import Grown
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session

_COLUMNS = 3


class CorrectTools(QWidget):
    """A grid of tools, and undo and redo that say of what.

    Parameters
    ----------
    session : Session
        Whose study is corrected.
    model : callable
        Says with which StarDist model nuclei are grown.

    Attributes
    ----------
    tools : NucleiTools or None
        What the buttons and keys do to the study on screen.
    tools_changed : psygnal.Signal
        Emitted without arguments when another study's tools are there.
    buttons : dict of Tool to QPushButton
        One a tool.
    growing : JobRunner
        Grows nuclei at clicks, one after the other, beside the session's jobs.
    """

    tools_changed = Signal()

    def __init__(self, session: Session, model: Callable[[], str]) -> None:
        super().__init__()
        self._session = session
        self._model = model
        self.tools: NucleiTools | None = None
        self.growing = JobRunner()
        self._growers = Growers()
        self._build()
        self._links = Links(self)
        self._links.connect(session.study_changed, self._on_study)
        self._links.connect(session.viewer.layers.selection.events.active, self._on_active)
        self._links.connect(self.growing.started, self._on_growing)
        self._links.connect(self.growing.ended, self._on_growing)
        # A method of this widget would no longer be called once it is deleted.
        self.destroyed.connect(self.growing.shut_down)
        self._on_study()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        grid = QGridLayout()
        grid.setSpacing(4)
        self.buttons = {tool: self._tool_button(tool) for tool in WORDS}
        self.delete_button = _quiet(button("Delete", "Delete the selected nuclei (Delete)"))
        self.again_button = _quiet(
            button(
                "Find again",
                "Find the nuclei of the drawn region, or of the view, again with the "
                "probability under Advanced; those corrected by hand stay",
            )
        )
        for index, made in enumerate(
            [*self.buttons.values(), self.delete_button, self.again_button]
        ):
            grid.addWidget(made, index // _COLUMNS, index % _COLUMNS)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setVisible(False)
        self.undo_button = _quiet(ElidedButton("Undo"))
        self.redo_button = _quiet(ElidedButton("Redo"))
        column.addLayout(grid)
        column.addWidget(self.hint)
        column.addWidget(self.undo_button)
        column.addWidget(self.redo_button)
        self.delete_button.clicked.connect(self._delete)
        self.undo_button.clicked.connect(self._undo)
        self.redo_button.clicked.connect(self._redo)

    def _tool_button(self, tool: Tool) -> QPushButton:
        words = WORDS[tool]
        made: QPushButton = _quiet(button(words.name, f"{words.tooltip} ({words.key})"))
        made.setCheckable(True)
        made.clicked.connect(lambda checked: self._on_tool(tool, checked))
        return made

    def refresh(self) -> None:
        """Show what can be done now, and with which tool."""
        study, tools = self._session.study, self.tools
        has = study is not None and len(study.nuclei) > 0
        tool = tools.tool if tools is not None else Tool.NONE
        ready = study is not None and study.slide.mpp is not None
        for which, made in self.buttons.items():
            made.setChecked(which is tool)
            made.setEnabled({Tool.GROW: ready, Tool.DRAW: study is not None}.get(which, has))
        self.delete_button.setEnabled(has)
        self.again_button.setEnabled(ready)
        self._show_hint(tool)
        self._show_history(study)

    def _show_hint(self, tool: Tool) -> None:
        words = WORDS[tool].hint if tool in WORDS else ""
        if tool is Tool.GROW and self.growing.running is not None:
            words = "Growing…  Click the next one meanwhile."
        self.hint.setText(words)
        self.hint.setVisible(bool(words))

    def _show_history(self, study: Study | None) -> None:
        undo = study.undo_label if study is not None else None
        redo = study.redo_label if study is not None else None
        self.undo_button.show_words(f"Undo {undo}" if undo else "Undo", "(Z)")
        self.redo_button.show_words(f"Redo {redo}" if redo else "Redo", "(Shift+Ctrl+Z)")
        self.undo_button.setEnabled(undo is not None)
        self.redo_button.setEnabled(redo is not None)

    def _on_study(self) -> None:
        if self.tools is not None:
            self.tools.close()
            self.tools = None
        view = self._session.view
        if view is not None:
            self.tools = NucleiTools(view, self._grow, show_info, show_warning)
            self.tools.changed.connect(self.refresh)
        self.tools_changed.emit()
        self.refresh()

    def _on_active(self, _: Any) -> None:
        # Another layer is active for a moment while one of ours is being added.
        QTimer.singleShot(0, self._settle)

    def _settle(self) -> None:
        if self.tools is not None:
            self.tools.settle()

    def _on_tool(self, tool: Tool, checked: bool) -> None:
        if self.tools is None:
            return
        if tool is Tool.MERGE and checked:
            self.tools.merge()
        else:
            self.tools.start(tool if checked else Tool.NONE)
        self.refresh()

    def _delete(self) -> None:
        if self.tools is not None:
            self.tools.delete_selected()

    def _undo(self) -> None:
        if self.tools is not None:
            self.tools.undo()

    def _redo(self) -> None:
        if self.tools is not None:
            self.tools.redo()

    def _grow(self, row: float, column: float) -> None:
        """Grow a nucleus beside the window; clicks wait for those before them."""
        study, model = self._session.study, self._model()
        if study is None:
            return

        def make() -> Job[Grown | None]:
            return self._growers.grow(study, model, row, column)
            yield

        def done(grown: Grown | None) -> None:
            replaced = 0
            if grown is not None:
                from napari_prts.study.correcting import add_grown

                before = len(study.nuclei)
                add_grown(study, grown, replace=True)
                replaced = before + 1 - len(study.nuclei)
            words, warning = grown_words(grown, replaced)
            if words:
                (show_warning if warning else show_info)(words)

        self.growing.submit(Task("grow", "Growing a nucleus", make, done))

    def _on_growing(self, _: str, __: str) -> None:
        self.refresh()


class ElidedButton(QPushButton):
    """A button that shortens its words to its width; its tooltip has them all."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self._words = words
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def words(self) -> str:
        """What the button says, unshortened."""
        return self._words

    def show_words(self, words: str, key: str) -> None:
        """Say something else.

        Parameters
        ----------
        words : str
            On the button, if there is room.
        key : str
            For the tooltip.
        """
        self._words = words
        self.setToolTip(f"{words} {key}")
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """Shorten the words anew."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = max(self.width() - 16, 24)
        self.setText(self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, room))


def _quiet(made: Any) -> Any:
    """Leave the keyboard to the canvas when the button is clicked."""
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return made
