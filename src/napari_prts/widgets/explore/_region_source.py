"""Which cells are asked of: drawn around, in view, chosen in a plot, or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QGridLayout, QWidget

from napari_prts.errors import PrtsError
from napari_prts.nuclei.selection import inside_lasso
from napari_prts.widgets._panel import button
from napari_prts.widgets.explore._figures import SIDES, side_word

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.analysis import Region
    from napari_prts.study import Study
    from napari_prts.widgets._session import Session

_CLUSTER = "Cluster..."


class RegionSource(QWidget):
    """Buttons that each make a region.

    Parameters
    ----------
    session : Session
        Whose study is asked.

    Attributes
    ----------
    made : qtpy.QtCore.Signal
        Emitted with the Region.
    """

    made = QtSignal(object)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.draw_button = button("Draw", "Draw around cells with the mouse held down", main=True)
        self.draw_button.setCheckable(True)
        self.view_button = button("In view", "Ask the cells that are on screen")
        self.chosen_button = button("Chosen", "Ask the cells that are lit up, as lassoed in a plot")
        self.cluster = QComboBox()
        self.cluster.setToolTip("Ask the cells of a cluster")
        self.cluster.addItem(_CLUSTER)
        self.cluster.setEnabled(False)
        # The tables whose clusters are listed: going through many cells takes a moment.
        self._grouped: list[AnnData | None] = []
        self.none_button = button("Choose none", "No cell is lit up any more")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for column, widget in enumerate((self.draw_button, self.view_button, self.chosen_button)):
            grid.addWidget(widget, 0, column)
            widget.setMinimumHeight(30)
        grid.addWidget(self.cluster, 1, 0, 1, 2)
        grid.addWidget(self.none_button, 1, 2)
        self.draw_button.clicked.connect(self._on_draw)
        self.view_button.clicked.connect(self._on_view)
        self.chosen_button.clicked.connect(self._on_chosen)
        self.cluster.activated.connect(self._on_cluster)
        self.none_button.clicked.connect(self._on_none)

    def refresh(self) -> None:
        """Offer what there is."""
        study, view = self._session.study, self._session.view
        chosen = 0 if study is None else len(study.chosen)
        self.chosen_button.setEnabled(chosen > 0)
        self.chosen_button.setText(f"Chosen ({chosen:,})" if chosen else "Chosen")
        self.none_button.setEnabled(chosen > 0)
        self.draw_button.setChecked(view is not None and view.region.drawing)
        self._fill_clusters(study)

    def _fill_clusters(self, study: Study | None) -> None:
        tables = [] if study is None else [study.clusters.get(side) for side in SIDES]
        same = len(tables) == len(self._grouped)
        if same and all(now is then for now, then in zip(tables, self._grouped, strict=True)):
            return
        self._grouped = tables
        found = [] if study is None else clusters_of(study)
        self.cluster.clear()
        self.cluster.addItem(_CLUSTER)
        for side, name in found:
            assert study is not None
            self.cluster.addItem(f"{side_word(study, side)}: {name}", (side, name))
        self.cluster.setEnabled(bool(found))

    def _on_draw(self, checked: bool) -> None:
        view = self._session.view
        if view is None:
            return
        if checked:
            view.region.start_lasso(self._on_drawn)
        else:
            view.region.stop()
        self.refresh()

    def _on_drawn(self, line: NDArray[np.float64]) -> None:
        self.refresh()
        # A job lets the next mouse event pass: napari cannot take it before this one is over.
        QTimer.singleShot(0, lambda: self._ask_inside(line))

    def _ask_inside(self, line: NDArray[np.float64]) -> None:
        study = self._session.study
        if study is not None:
            places = inside_lasso(study.nuclei, line)
            self._make(study.nuclei.ids[places], "Drawn region", line)

    def _on_view(self) -> None:
        study, view = self._session.study, self._session.view
        if study is None or view is None:
            return
        try:
            row, column, height, width = view.region.in_view()
        except PrtsError as error:
            show_error(str(error))
            return
        places = study.nuclei.in_rectangle(row, column, row + height, column + width)
        across = np.array([[0, 0], [0, width], [height, width], [height, 0]])
        self._make(study.nuclei.ids[places], "View", across + np.array([row, column]))

    def _on_chosen(self) -> None:
        if self._session.study is not None:
            self._make(self._session.study.chosen, "Chosen cells")

    def _on_cluster(self, place: int) -> None:
        from napari_prts.analysis import Region

        study, data = self._session.study, self.cluster.itemData(place)
        if study is None or data is None:
            return
        side, name = data
        region = Region.of_group(study.clusters[side], name)
        self._make(region.ids, f"Cluster {name} ({side_word(study, side)})")

    def _on_none(self) -> None:
        if self._session.study is not None:
            self._session.study.choose([])

    def _make(
        self, ids: NDArray[np.integer], name: str, outline: NDArray[np.float64] | None = None
    ) -> None:
        from napari_prts.analysis import Region

        try:
            region: Region = Region(np.asarray(ids, np.int64), name, outline)
        except PrtsError as error:
            show_error(str(error))
            return
        self.made.emit(region)


def clusters_of(study: Study) -> list[tuple[str, str]]:
    """List the clusters of all sides: (side, name), "10" after "9"."""
    found = []
    for side in SIDES:
        table = study.clusters.get(side)
        if table is not None:
            names = {str(name) for name in table.obs["leiden"].unique()}
            found += [(side, name) for name in sorted(names, key=lambda n: (len(n), n))]
    return found
