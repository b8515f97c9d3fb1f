"""Clusters of both sides as plots: shares of the cells, and which cells are in which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_prts.errors import PrtsError
from napari_prts.study.group_tables import GREY, colours_of
from napari_prts.widgets._links import Links
from napari_prts.widgets.explore._cluster_work import same_tables

if TYPE_CHECKING:
    from anndata import AnnData
    from napari import Viewer
    from pandas import DataFrame

_SHARES, _CONFUSION = "shares", "confusion"
_HEIGHT = 300
# More numbers than that could not be read in a narrow dock.
_MOST_NUMBERS = 8


class ClusterPlots(QWidget):
    """Bars of the shares of cells, or the table of cells in each pair of clusters.

    matplotlib is loaded when the plots are first seen.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme the colours follow.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._clusters: Mapping[str, AnnData] = {}
        self._words: Mapping[str, str] = {}
        self._stale = True
        self.canvas: Any = None
        self.kind = QComboBox()
        self.kind.addItem("Proportions", _SHARES)
        self.kind.addItem("Confusion", _CONFUSION)
        self.kind.setToolTip(
            "Proportions: share of each side's cells in each cluster. Confusion: of the cells of "
            "each predicted cluster, how many are in which measured one"
        )
        self.empty = QLabel()
        self.empty.setWordWrap(True)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.addWidget(self.kind)
        self._layout.addWidget(self.empty)
        self.kind.currentIndexChanged.connect(self._draw)
        self._links = Links(self)
        self._links.connect(viewer.events.theme, self._on_theme)

    def show_clusters(self, clusters: Mapping[str, AnnData], words: Mapping[str, str]) -> None:
        """Show clusters by side, and the words for the sides."""
        if not self._stale and same_tables(self._clusters, clusters) and self._words == words:
            return
        self._clusters, self._words = dict(clusters), dict(words)
        self._draw()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what has changed while nobody saw it."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _on_theme(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._stale = not self.isVisible()
        if self._stale:
            return
        confusing = self.kind.currentData() == _CONFUSION
        words = ""
        if not self._clusters:
            words = "No clusters yet: press Find clusters."
        elif confusing and len(self._clusters) < 2:
            words = "Only one side has clusters: group both sides to compare them."
        elif self.canvas is None:
            self._build()
        if not words:
            figure = self.canvas.figure
            figure.clear()
            figure.set_facecolor(self._colour("background"))
            try:
                (self._draw_confusion if confusing else self._draw_shares)(figure.add_subplot())
            except PrtsError as error:
                words = str(error)
            else:
                self.canvas.draw_idle()
        self.empty.setText(words)
        self.empty.setVisible(bool(words))
        if self.canvas is not None:
            self.canvas.setVisible(not words)

    def _build(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        self.canvas = FigureCanvasQTAgg(Figure(figsize=(2, 2), layout="constrained"))
        self.canvas.setFixedHeight(_HEIGHT)
        self.canvas.setToolTip("Small clusters, which the paper removes, are grey")
        self._layout.addWidget(self.canvas)

    def _draw_shares(self, axes: Any) -> None:
        from napari_prts.analysis import proportions

        shares = proportions(
            {side: table.obs["leiden"] for side, table in self._clusters.items()}
        ).iloc[::-1]
        colours = self._colours()
        thick = 0.8 / len(shares.columns)
        places = np.arange(len(shares))
        for number, side in enumerate(shares.columns):
            bars = axes.barh(
                places - (number - (len(shares.columns) - 1) / 2) * thick,
                100 * shares[side],
                height=0.9 * thick,
                color=[colours.get(str(name), GREY) for name in shares.index],
                label=self._words[side],
            )
            if number:
                for bar in bars:
                    bar.set_hatch("////")
                    bar.set_edgecolor(self._colour("background"))
        axes.set_yticks(places, [str(name) for name in shares.index])
        axes.set_xlabel(f"% of {' / '.join(self._words[s] for s in shares.columns)} cells")
        axes.set_ylabel("cluster")
        self._style(axes)
        if len(shares.columns) > 1:
            self._explain_bars(axes, list(shares.columns))

    def _explain_bars(self, axes: Any, sides: list[str]) -> None:
        """Say which bars are whose: full ones and hatched ones."""
        from matplotlib.patches import Patch

        ground, text = self._colour("background"), self._colour("text")
        hatches = {side: "////" if number else "" for number, side in enumerate(sides)}
        marks = [
            Patch(facecolor=text, edgecolor=ground, hatch=hatch, label=self._words[side])
            for side, hatch in hatches.items()
        ]
        axes.legend(
            handles=marks,
            fontsize=7,
            labelcolor=text,
            frameon=False,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=2,
        )

    def _draw_confusion(self, axes: Any) -> None:
        from napari_prts.analysis import confusion, shared_labels

        table = confusion(*shared_labels(self._clusters["predicted"], self._clusters["measured"]))
        table = table.loc[table.sum(axis=1) > 0, table.sum(axis=0) > 0]
        table = _in_one_order(table)
        shares = 100 * table.to_numpy() / table.to_numpy().sum(axis=1, keepdims=True)
        axes.imshow(shares, cmap="viridis", vmin=0, vmax=100, aspect="auto")
        axes.set_yticks(range(len(table.index)), list(table.index))
        axes.set_xticks(range(len(table.columns)), list(table.columns))
        long = any(len(str(name)) > 2 for name in table.columns)
        axes.tick_params(axis="x", rotation=60 if long else 0)
        axes.set_xlabel(f"{self._words['measured']} cluster")
        axes.set_ylabel("predicted cluster")
        self._style(axes)
        same = sum(int(table.loc[n, n]) for n in table.index if n in table.columns)
        of_all = 100 * same / max(int(table.to_numpy().sum()), 1)
        axes.set_title(
            f"% of each predicted cluster's cells;\n{of_all:.0f} % of all cells are in the same",
            color=self._colour("text"),
            fontsize=8,
        )
        if len(table.columns) <= _MOST_NUMBERS:
            for row, column in np.ndindex(shares.shape):
                value = shares[row, column]
                shade = "black" if value > 60 else "white"
                axes.text(
                    column, row, f"{value:.0f}", ha="center", va="center", color=shade, fontsize=7
                )

    def _style(self, axes: Any) -> None:
        text = self._colour("text")
        axes.set_facecolor(self._colour("background"))
        axes.tick_params(colors=text, labelsize=7)
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set_color(text)
            label.set_fontsize(8)
        for spine in axes.spines.values():
            spine.set_color(self._colour("secondary"))

    def _colours(self) -> dict[str, str]:
        colours: dict[str, str] = {}
        for table in self._clusters.values():
            for name, colour in colours_of(table).items():
                if colours.get(name, GREY) == GREY:
                    colours[name] = colour
        return colours

    def _colour(self, name: str) -> str:
        return str(getattr(get_theme(self._viewer.theme), name).as_hex())


def _in_one_order(table: DataFrame) -> DataFrame:
    """Put the clusters that both sides have first, so that they lie on the diagonal."""
    shared = [name for name in table.index if name in table.columns]
    rows = shared + [name for name in table.index if name not in shared]
    columns = shared + [name for name in table.columns if name not in shared]
    return table.loc[rows, columns]
