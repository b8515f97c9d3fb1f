"""Which cells are grouped, and how finely."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_prts.study.grouping import PAPER_RESOLUTIONS, SIDES, TOGETHER, WAYS, GroupRequest
from napari_prts.widgets._panel import button

_WORDS = {
    "each": "Both, each by itself",
    "predicted": "Predicted cells",
    "measured": "Measured cells",
    "together": "Both together, in one graph",
}
_TOOLTIP = (
    "Which cells are grouped. Each by itself: clusters that hold the same cells get the same "
    "colour on both sides. Together: a cluster is the same on both sides."
)
# A hand that drags rests for less than this between two values.
_SETTLED_MS = 250
_LEAST, _MOST, _STEP = 0.05, 3.0, 0.05


class ClusterControls(QWidget):
    """A choice of cells, a slider for each resolution, and the main button.

    Attributes
    ----------
    asked : qtpy.QtCore.Signal
        Emitted when the button is clicked.
    moved : qtpy.QtCore.Signal
        Emitted when a slider has come to rest at another value.
    """

    asked = QtSignal()
    moved = QtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.way = QComboBox()
        for way in WAYS:
            self.way.addItem(_WORDS[way], way)
        self.way.setToolTip(_TOOLTIP)
        self.sliders = {name: _slider(name) for name in PAPER_RESOLUTIONS}
        self.find_button = button(
            "Find clusters",
            "Group cells by expression (Leiden) with the paper's settings, and paint the clusters",
            main=True,
        )
        self._words: dict[str, str] = dict.fromkeys(PAPER_RESOLUTIONS, "")
        self._picked = False
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._build()

    def _build(self) -> None:
        self._form = QFormLayout()
        self._form.addRow("Group", self.way)
        for name, slider in self.sliders.items():
            label = QLabel("Resolution")
            label.setToolTip(slider.toolTip())
            self._form.addRow(label, slider)
            slider.valueChanged.connect(self._settled.start)
            slider.setObjectName(name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        layout.addWidget(self.find_button)
        self._settled.timeout.connect(self.moved)
        self.find_button.clicked.connect(self.asked)
        self._on_way()
        self._picked = False
        self.way.currentIndexChanged.connect(self._on_way)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the graphs that are cut in the way chosen."""
        return WAYS[str(self.way.currentData())]

    def request(self) -> GroupRequest:
        """What is chosen."""
        values = {name: round(slider.value(), 2) for name, slider in self.sliders.items()}
        return GroupRequest(str(self.way.currentData()), values)

    def show_resolutions(self, resolutions: dict[str, float]) -> None:
        """Show what was found with, without asking for it again."""
        for name, value in resolutions.items():
            slider = self.sliders[name]
            blocked = slider.blockSignals(True)
            slider.setValue(value)
            slider.blockSignals(blocked)

    def offer(self, sides: Collection[str], words: Mapping[str, str]) -> None:
        """Let only that be chosen of which there are cells.

        Parameters
        ----------
        sides : collection of str
            Sides that have cells.
        words : mapping of str
            What the sides are called: predicted, measured or simulated.

        What the user has chosen stays as long as it is possible; until then all that is there
        is grouped.
        """
        self.find_button.setEnabled(bool(sides))
        possible = []
        # Qt's own type of a combo box's items, which its signature does not say.
        items: Any = self.way.model()
        for row, way in enumerate(WAYS):
            wanted = SIDES if way == TOGETHER else WAYS[way]
            there = set(wanted) <= set(sides)
            items.item(row).setEnabled(there)
            if way in words:
                self.way.setItemText(row, f"{words[way].capitalize()} cells")
            possible += [way] if there else []
        if possible and (not self._picked or self.way.currentData() not in possible):
            picked = self._picked
            self.way.setCurrentIndex(self.way.findData(possible[0]))
            self._picked = picked
        self._words |= words
        self._show_labels()

    def _on_way(self) -> None:
        self._picked = True
        for row, name in enumerate(self.sliders, 1):
            self._form.setRowVisible(row, name in self.names)
        self._show_labels()

    def _show_labels(self) -> None:
        for name, slider in self.sliders.items():
            label = self._form.labelForField(slider)
            assert isinstance(label, QLabel)
            label.setText(self._words[name].capitalize() if len(self.names) > 1 else "Resolution")


def _slider(name: str) -> QLabeledDoubleSlider:
    # superqt's sliders of floats are declared as Qt's, of whole numbers.
    slider: Any = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(_LEAST, _MOST)
    slider.setSingleStep(_STEP)
    slider.setPageStep(4 * _STEP)
    slider.setDecimals(2)
    slider.setValue(PAPER_RESOLUTIONS[name])
    said = f"the paper takes {PAPER_RESOLUTIONS[name]:g} for {name} cells"
    if name == "together":
        said = f"the paper has none for both together; {PAPER_RESOLUTIONS[name]:g} to begin with"
    slider.setToolTip(f"Leiden's resolution, {name} cells: higher gives more clusters; {said}")
    made: QLabeledDoubleSlider = slider
    return made
