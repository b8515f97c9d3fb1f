"""What is wrong with a slide, said once, each with the button that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import (
    Notification,
    NotificationSeverity,
    notification_manager,
    show_error,
)
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QInputDialog, QWidget

from napari_prts.errors import PrtsError

if TYPE_CHECKING:
    from napari_prts.slide.damage import BrokenTile, Damage
    from napari_prts.study import Study


class SlideNotices(QObject):
    """Tells of a missing pixel size and of tiles that cannot be read.

    Parameters
    ----------
    panel : QWidget
        The panel that shows the slide.
    """

    _broke = Signal(str)

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel = panel
        self._study: Study | None = None
        self._damage: Damage | None = None
        self._told = False
        # Broken tiles are found in threads that read; Qt brings the word to the window's own.
        self._broke.connect(self._tell_broken)

    def follow(self, study: Study) -> None:
        """Watch another study's slide."""
        if self._damage is not None:
            self._damage.found.disconnect(self._on_broken)
        self._study, self._damage, self._told = study, study.slide.damage, False
        if self._damage is not None:
            self._damage.found.connect(self._on_broken)
            if self._damage.tiles:
                self._tell_broken(self._damage.tiles[0].reason)
        if study.slide.mpp is None:
            self._tell_no_size(study)

    def ask_size(self) -> None:
        """Ask for microns per pixel."""
        study = self._study
        if study is None:
            return
        mpp, agreed = QInputDialog.getDouble(
            self._panel,
            "Pixel size",
            f"Microns per pixel of {study.slide.name} at full resolution\n"
            "(a 40x scan has about 0.25, a 20x scan about 0.5):",
            0.25,
            0.05,
            20.0,
            4,
        )
        if not agreed:
            return
        try:
            study.set_mpp(mpp)
        except PrtsError as error:
            show_error(str(error))

    def _tell_no_size(self, study: Study) -> None:
        notification_manager.dispatch(
            Notification(
                f"No pixel size in {study.slide.name}: nuclei cannot be found without it.",
                NotificationSeverity.WARNING,
                actions=(("Enter microns per pixel", lambda _: self.ask_size()),),
            )
        )

    def _on_broken(self, tile: BrokenTile) -> None:
        self._broke.emit(tile.reason)

    def _tell_broken(self, reason: str) -> None:
        refresh = getattr(self._panel, "refresh", None)
        if refresh is not None:
            refresh()
        if self._told:
            return
        self._told = True
        notification_manager.dispatch(
            Notification(
                f"{reason} The tile is shown striped, and counts as bare glass: nothing will be "
                "found in it.",
                NotificationSeverity.WARNING,
            )
        )
