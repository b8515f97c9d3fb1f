"""The question that a second slide raises."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox

if TYPE_CHECKING:
    from napari_prts.slide import Slide
    from napari_prts.study import Study


class Answer(Enum):
    """What shall become of a second slide."""

    SWITCH = auto()
    PICTURE = auto()
    CANCEL = auto()


def ask_about_other_slide(study: Study, slide: Slide) -> Answer:
    """Ask whether to work on another slide, only to see it, or neither.

    Parameters
    ----------
    study : Study
        What is open.
    slide : Slide
        The other slide.
    """
    box = QMessageBox()
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("Another slide")
    box.setText(f"{study.slide.name} is open. What shall be done with {slide.name}?")
    box.setInformativeText(what_closes(study))
    switch = box.addButton(f"Work on {slide.name}", QMessageBox.ButtonRole.AcceptRole)
    picture = box.addButton("Show it as a picture", QMessageBox.ButtonRole.ActionRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    if clicked is switch:
        return Answer.SWITCH
    return Answer.PICTURE if clicked is picture else Answer.CANCEL


def what_closes(study: Study) -> str:
    """Say what leaves the screen when a study is closed, and what of it is kept."""
    kept = f"{len(study.nuclei):,} nuclei (kept, and offered when the slide is opened again)"
    held = [
        *([kept] if len(study.nuclei) else []),
        *(["measured expression"] if study.measured is not None else []),
        *(["predicted expression (not saved)"] if study.predicted is not None else []),
        *(["clusters (not saved)"] if study.clusters else []),
    ]
    if not held:
        return f"Working on it closes {study.slide.name}, of which nothing is lost."
    return f"Working on it closes {study.slide.name} with its " + ", ".join(held) + "."
