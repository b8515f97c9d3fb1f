"""The question how large a figure shall be, and how fine."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QWidget,
)

# What journals ask for: line and half-tone figures, screens.
DPI = {"150 dpi: screen": 150, "300 dpi: print": 300, "600 dpi: fine print": 600}
# mm; two columns of most journals' pages.
WIDTH = 180.0


@dataclass(frozen=True)
class FigureSize:
    """How a figure shall be.

    Parameters
    ----------
    width_mm : float
        Width on paper.
    dpi : int
        Pixels per inch of what is raster.
    outlines : bool
        Draw the nuclei's outlines too.
    """

    width_mm: float = WIDTH
    dpi: int = 300
    outlines: bool = False


class FigureDialog(QDialog):
    """Asks how large and fine a figure shall be.

    Parameters
    ----------
    shows : str
        What will be drawn: ``"Measured KRT5 and Predicted KRT5"``.
    size : FigureSize
        What was chosen before.
    """

    def __init__(self, shows: str, size: FigureSize, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save figure")
        said = QLabel(f"Draws what is in view: {shows}. With scale bar, colour bar and names.")
        said.setWordWrap(True)
        self.width_mm = QDoubleSpinBox()
        self.width_mm.setRange(20, 1000)
        self.width_mm.setDecimals(0)
        self.width_mm.setSuffix(" mm")
        self.width_mm.setValue(size.width_mm)
        self.width_mm.setToolTip("Width on paper; one column is about 85 mm, two are 180 mm")
        self.dpi = QComboBox()
        for words, dpi in DPI.items():
            self.dpi.addItem(words, dpi)
        self.dpi.setCurrentIndex(max(self.dpi.findData(size.dpi), 0))
        self.dpi.setToolTip("How fine pictures are; in SVG and PDF text and cells are lines")
        self.outlines = QCheckBox("Outlines of the nuclei")
        self.outlines.setChecked(size.outlines)
        self.outlines.setToolTip("Draw the outline of each nucleus in view")
        buttons = QDialogButtonBox()
        buttons.addButton("Save as…", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(said)
        form.addRow("Width", self.width_mm)
        form.addRow("Pictures", self.dpi)
        form.addRow(self.outlines)
        form.addRow(buttons)

    @property
    def size_chosen(self) -> FigureSize:
        """What is chosen."""
        return FigureSize(
            self.width_mm.value(), int(self.dpi.currentData()), self.outlines.isChecked()
        )
