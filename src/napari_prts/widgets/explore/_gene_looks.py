"""Advanced looks of what is painted: colours, size of a cell, how far the H&E steps back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget
from superqt import QLabeledSlider

from napari_prts.viewer.painting import COLORMAPS
from napari_prts.widgets._panel import folded

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session


class GeneLooks(QWidget):
    """A folded section of controls; it shows what the brush has, and sets it.

    Parameters
    ----------
    session : Session
        Whose brush it is.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.section, _, layout = folded("Advanced")
        self.colormap = QComboBox()
        self.colormap.addItems(COLORMAPS)
        self.colormap.setToolTip("Colours from low to high; zeros are a faint grey")
        self.fade = QLabeledSlider(Qt.Orientation.Horizontal)
        self.fade.setRange(0, 100)
        self.fade.setToolTip("How far the H&E steps back behind the colours, in per cent")
        self.dot_size = QDoubleSpinBox()
        self.dot_size.setRange(1.0, 50.0)
        self.dot_size.setSingleStep(0.5)
        self.dot_size.setSuffix(" um")
        self.dot_size.setToolTip("Diameter of a cell's dot in micrometres of tissue")
        self.dim_unsure = QCheckBox("Thin out cells the model is unsure of")
        self.dim_unsure.setToolTip(
            "Predicted cells that look unlike those the model was trained on are drawn with\n"
            "fewer pixels, the fewer the less it is sure; their colours stay."
        )
        form = QFormLayout()
        form.addRow("Colours", self.colormap)
        form.addRow("Fade H&&E", self.fade)
        form.addRow("Dot size", self.dot_size)
        layout.addLayout(form)
        layout.addWidget(self.dim_unsure)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.section)
        self.refresh()
        self.colormap.currentTextChanged.connect(self._restyle)
        self.fade.valueChanged.connect(self._restyle)
        self.dot_size.valueChanged.connect(self._restyle)
        self.dim_unsure.toggled.connect(self._restyle)

    def refresh(self) -> None:
        """Show the brush's style."""
        style = self._session.brush.style
        widgets = (self.colormap, self.fade, self.dot_size, self.dim_unsure)
        before = [widget.blockSignals(True) for widget in widgets]
        self.colormap.setCurrentText(style.colormap)
        self.fade.setValue(round(100 * (1 - style.slide_opacity)))
        self.dot_size.setValue(style.size_um)
        self.dim_unsure.setChecked(style.dim_unsure)
        for widget, blocked in zip(widgets, before, strict=True):
            widget.blockSignals(blocked)

    def _restyle(self, *_: Any) -> None:
        self._session.brush.restyle(
            colormap=self.colormap.currentText(),
            slide_opacity=1 - self.fade.value() / 100,
            size_um=self.dot_size.value(),
            dim_unsure=self.dim_unsure.isChecked(),
        )
