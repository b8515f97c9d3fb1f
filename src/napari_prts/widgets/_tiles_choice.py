"""The trade between exact and quick: tiles of each nucleus's own, or shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_prts.widgets._job_line import duration

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle

_NAMES = {"exact": "One for each nucleus (exact)", "grid": "Shared (grid)"}
_OTHERWISE = (
    "The model was trained with {trained} tiles. With {chosen} ones it works, but predicts a "
    "little differently; the result says how it was made."
)
_TOOLTIP = (
    "What the encoder looks at. A tile for each nucleus is the paper's way; nuclei that share "
    "tiles on a lattice are predicted many times quicker. A model is best used as it was trained."
)


class TilesChoice(QWidget):
    """Shows both ways with their times; hidden for models to which it makes no difference."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._trained = "exact"
        self.box = QComboBox()
        self.box.setToolTip(_TOOLTIP)
        # The words are long; the panel need not be as wide.
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(16)
        for tiles, name in _NAMES.items():
            self.box.addItem(name, tiles)
        self.warning = QLabel()
        self.warning.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Tiles", self.box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.warning)
        self.box.currentIndexChanged.connect(self._warn)
        self.forget()

    @property
    def chosen(self) -> str | None:
        """``"exact"`` or ``"grid"`` if it is not as the model was trained, else None."""
        tiles = str(self.box.currentData())
        return None if self.isHidden() or tiles == self._trained else tiles

    def forget(self) -> None:
        """Hide; nothing is known of the model's encoder yet."""
        self.setVisible(False)

    def use(self, model: ModelBundle) -> None:
        """Go back to how a model was trained."""
        self._trained = model.tiles
        self.forget()
        self.box.setCurrentIndex(self.box.findData(self._trained))
        self._warn()

    def show_times(self, seconds: Mapping[str, float]) -> None:
        """Show the choice, each with its time.

        Parameters
        ----------
        seconds : mapping of str to float
            By ``"exact"`` and ``"grid"``; empty hides it, as there is no choice.
        """
        for index, (tiles, name) in enumerate(_NAMES.items()):
            words = f"{name}: about {duration(seconds[tiles])}" if seconds.get(tiles) else name
            words += " (as trained)" if tiles == self._trained else ""
            self.box.setItemText(index, words)
        self.setVisible(bool(seconds))

    def _warn(self) -> None:
        tiles = str(self.box.currentData())
        words = {"exact": "exact", "grid": "shared"}
        self.warning.setText(_OTHERWISE.format(trained=words[self._trained], chosen=words[tiles]))
        self.warning.setVisible(tiles != self._trained)
