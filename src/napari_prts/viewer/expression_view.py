"""Expression as points: predicted and measured, one canvas or side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_view import OVERVIEW_OPACITY
from napari_prts.viewer.painting import (
    Limits,
    category_colours,
    expression_colours,
    percentile_limits,
)
from napari_prts.viewer.slide_view import fade, geometry, show_copy

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from napari_prts.study import Study

SIDES = {"predicted": Role.PREDICTED, "measured": Role.MEASURED}


@dataclass(frozen=True)
class Painting:
    """What is painted and how.

    Parameters
    ----------
    gene : str or None
        The gene; None paints the clusters.
    colormap : str
        Name of a napari colormap.
    shared_limits : bool
        The same colour limits for predicted and measured.
    size_um : float
        Diameter of a cell's dot in micrometres.
    slide_opacity : float
        How far the H&E steps back, 0 to 1.
    side_by_side : bool
        Measured left, predicted right, when both exist.
    """

    gene: str | None = None
    colormap: str = "viridis"
    shared_limits: bool = True
    size_um: float = 9.0
    slide_opacity: float = 0.55
    side_by_side: bool = True


class ExpressionView:
    """Paints a study's predicted and measured cells.

    Parameters
    ----------
    book : LayerBook
        Where the layers go.
    study : Study
        What is painted.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self.painting: Painting | None = None

    def paint(self, painting: Painting) -> list[str]:
        """Paint a gene or the clusters on every side that has them.

        Parameters
        ----------
        painting : Painting
            What and how.

        Returns
        -------
        list of str
            The sides painted: ``"predicted"``, ``"measured"``.
        """
        self.painting = painting
        sides = self._paintable(painting.gene)
        for side, role in SIDES.items():
            if side not in sides:
                self._book.remove(role)
        limits = self._limits(sides, painting)
        for side in sides:
            self._paint_side(side, painting, limits)
        self._arrange(sides, painting)
        return list(sides)

    def repaint(self) -> None:
        """Paint again after the study changed; nothing if nothing was painted."""
        if self.painting is not None:
            self.paint(self.painting)

    def clear(self) -> None:
        """Take the painting away and show the H&E alone."""
        self.painting = None
        for role in SIDES.values():
            self._book.remove(role)
        self._arrange({}, Painting())
        fade(self._book, 1.0)

    def _paintable(self, gene: str | None) -> dict[str, AnnData]:
        tables: dict[str, AnnData] = {}
        for side in ("measured", "predicted"):
            table = getattr(self._study, side) if gene else self._study.clusters.get(side)
            if table is not None and (gene is None or gene in table.var_names):
                tables[side] = table
        return tables

    def _limits(self, sides: dict[str, AnnData], painting: Painting) -> dict[str, Limits]:
        if painting.gene is None:
            return {}
        values = {side: gene_values(table, painting.gene) for side, table in sides.items()}
        if painting.shared_limits:
            shared = percentile_limits(*values.values())
            return dict.fromkeys(values, shared)
        return {side: percentile_limits(v) for side, v in values.items()}

    def _paint_side(self, side: str, painting: Painting, limits: dict[str, Limits]) -> None:
        table = self._study.clusters[side] if painting.gene is None else getattr(self._study, side)
        rows = np.flatnonzero(np.isin(table.obs["id"].to_numpy(), self._study.nuclei.ids))
        if painting.gene is None:
            colours = _cluster_colours(table)[rows]
        else:
            values = gene_values(table, painting.gene)[rows]
            colours = expression_colours(values, limits[side], painting.colormap)
        points = np.asarray(table.obsm["spatial"])[rows][:, ::-1]
        role = SIDES[side]
        self._book.revive(role)
        mpp = self._study.slide.mpp or 1.0
        layer = _points(self._book, role, points, geometry(self._study.slide))
        layer.size = painting.size_um / mpp
        layer.face_color = colours
        layer.name = layer_name(self._study, side, painting.gene)
        _label(layer, None if painting.gene is None else limits[side], painting.colormap)
        layer.metadata["prts_ids"] = table.obs["id"].to_numpy()[rows]

    def _arrange(self, sides: dict[str, Any], painting: Painting) -> None:
        viewer = self._book.viewer
        both = painting.side_by_side and len(sides) == 2
        if both:
            show_copy(self._book, self._study.slide)
            copy = self._book.get(Role.SLIDE_COPY)
            viewer.canvas.grid.stride = viewer.layers.index(copy)
            viewer.canvas.grid.shape = (1, 2)
            viewer.canvas.grid.spacing = 6
        else:
            self._book.remove(Role.SLIDE_COPY)
        viewer.canvas.overlays.scale_bar.gridded = both
        if viewer.canvas.grid.enabled != both:
            viewer.canvas.grid.enabled = both
            viewer.fit_to_view()
        for role, opacity in ((Role.EDITING, 1.0), (Role.NUCLEI, OVERVIEW_OPACITY)):
            outlines = self._book.get(role)
            if outlines is not None:
                outlines.opacity = 0.35 if sides else opacity
        if sides:
            fade(self._book, painting.slide_opacity)


def gene_values(table: AnnData, gene: str) -> NDArray[np.float32]:
    """Return one gene's expression, shape (cells,)."""
    column = table[:, gene].X
    dense = column.toarray() if hasattr(column, "toarray") else np.asarray(column)
    return np.asarray(dense, np.float32).ravel()


def layer_name(study: Study, side: str, gene: str | None) -> str:
    """Name a layer so that it says predicted, measured or simulated.

    Parameters
    ----------
    study : Study
        The study.
    side : str
        ``"predicted"`` or ``"measured"``.
    gene : str or None
        The gene; None for clusters.
    """
    word = side.capitalize()
    if is_simulated(getattr(study, side), side):
        word = "Simulated" if side == "measured" else "Predicted"
    name = f"{word} {gene if gene is not None else 'clusters'}"
    trained = side == "predicted" and is_simulated(getattr(study, side), side)
    return f"{name} (simulated training)" if trained else name


def is_simulated(table: AnnData | None, side: str) -> bool:
    """Tell whether a table's counts, or those its model was trained on, were simulated."""
    if table is None:
        return False
    if side == "measured":
        return bool(table.uns.get("visium_hd", {}).get("simulated", False))
    return str(table.uns.get("prts", {}).get("trained_on", "")) == "simulated"


def _cluster_colours(table: AnnData) -> NDArray[np.float32]:
    clusters = [str(name) for name in table.obs["leiden"]]
    # "10" comes after "9".
    palette = category_colours(sorted(set(clusters), key=lambda name: (len(name), name)))
    return np.stack([palette[name] for name in clusters])


def _points(
    book: LayerBook, role: Role, points: NDArray[np.floating], place: dict[str, Any]
) -> Points:
    layer = book.get(role)
    if isinstance(layer, Points) and np.array_equal(layer.data, points):
        return layer
    book.remove(role)
    layer = Points(points, ndim=2, border_width=0, name=str(role), **place)
    layer.editable = False
    book.add(role, layer)
    return layer


def _label(layer: Points, limits: Limits | None, colormap: str) -> None:
    overlay = layer.name_overlay
    overlay.visible, overlay.font_size, overlay.box = True, 11, True
    overlay.position = "top_left"
    bar = layer.face_colorbar
    bar.visible = limits is not None
    if limits is not None:
        layer.face_colormap = colormap
        layer.face_contrast_limits = (limits.low, limits.high)
        bar.box, bar.font_size, bar.size = True, 9, (16, 120)
        bar.position = "bottom_left"
