"""Takes what is on screen to draw it as a figure: the same cells, limits and colours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts import __version__
from napari_prts.viewer.bins_layer import bins_limits, bins_name
from napari_prts.viewer.cell_names import layer_name
from napari_prts.viewer.cell_values import SCORE, CellTable
from napari_prts.viewer.compare_difference import (
    Difference,
    difference_colormap,
    difference_limit,
    difference_name,
)
from napari_prts.viewer.figure_parts import CellsDrawn, FigureRequest, Key, Panel
from napari_prts.viewer.painting import (
    Limits,
    category_colormap,
    expression_colormap,
    shown_values,
)

if TYPE_CHECKING:
    from napari_prts.study import Study
    from napari_prts.study.state import Region
    from napari_prts.viewer.cell_layer import Look
    from napari_prts.viewer.expression_view import ExpressionView
    from napari_prts.viewer.painted_side import PaintedSide, Painting
    from napari_prts.visium_hd.larger_bins import BinnedSection

_COUNTS = {"measured": "counts per cell", "predicted": "expected counts per cell"}


def figure_of(
    study: Study,
    expression: ExpressionView,
    region: Region,
    *,
    outlines: bool = False,
    width_mm: float = 180.0,
    dpi: int = 300,
) -> FigureRequest:
    """Take what is on screen, to draw it as a figure.

    Parameters
    ----------
    study : Study
        The study.
    expression : ExpressionView
        What is painted of it.
    region : tuple of float
        (row, column, height, width) in level-0 pixels.
    outlines : bool
        Draw the nuclei as lines too.
    width_mm : float
        Width on paper.
    dpi : int
        Pixels per inch of what is raster.

    Returns
    -------
    FigureRequest
        Blinking, which paper cannot do, is drawn side by side.

    Raises
    ------
    PrtsError
        If the size is absurd.
    """
    painting = expression.painting
    panels = () if painting is None else _panels(study, expression, painting)
    panels = tuple(_within(panel, region) for panel in panels)
    names = [cells.name for panel in panels for cells in panel.cells]
    return FigureRequest(
        study.slide,
        region,
        panels or (Panel(),),
        painting.slide_opacity if painting is not None and panels else 1.0,
        _outlines(study, region) if outlines else (),
        " and ".join(names) or f"{study.slide.name}, H&E",
        about_study(study),
        width_mm,
        dpi,
    )


def about_study(study: Study) -> dict[str, str]:
    """Say from what a picture of a study was made, in words for people and machines."""
    about = {"slide": study.slide.name, "slide_fingerprint": study.slide.fingerprint}
    said = {} if study.predicted is None else study.predicted.uns.get("prts", {})
    if said:
        genes = study.predicted.n_vars if study.predicted is not None else 0
        about["model"] = f"{said.get('encoder', 'encoder unknown')}, {genes:,} genes"
        about["model_hash"] = str(said.get("model_hash", ""))
        about["trained_on"] = str(said.get("trained_on", ""))
    about["version"] = f"napari-prts {__version__}"
    return about


def _panels(study: Study, expression: ExpressionView, painting: Painting) -> tuple[Panel, ...]:
    """The panels with all their cells, also those out of view."""
    stage, shown = expression.stage, expression.shown
    if stage.mode == "difference":
        predicted, measured = shown["predicted"][0], shown["measured"][0]
        return (Panel((_difference(study, painting, predicted, measured),)),)
    drawn = {side: _drawn(study, side, *shown[side], painting) for side in stage.sides}
    bins = expression.bins
    if "measured" in drawn and bins is not None and painting.gene in bins.genes:
        drawn["measured"] = _bins(bins, painting)
    cells = tuple(drawn.values())
    if stage.mode == "one":
        return (Panel(cells),) if cells else ()
    if stage.mode == "swipe":
        column = stage.line.column
        left, right = cells
        cut = (
            _some(left, left.centroids[:, 1] < column),
            _some(right, right.centroids[:, 1] >= column),
        )
        return (Panel(cut, " | ", column),)
    return tuple(Panel((each,)) for each in cells)


def _within(panel: Panel, region: Region) -> Panel:
    """Leave out what is out of view or not to be seen."""
    row, column, height, width = region
    kept = []
    for cells in panel.cells:
        low = np.array([row, column]) - cells.diameter
        high = np.array([row + height, column + width]) + cells.diameter
        inside = ((cells.centroids >= low) & (cells.centroids <= high)).all(axis=1)
        kept.append(_some(cells, inside & (cells.colours[:, 3] > 0)))
    return replace(panel, cells=tuple(kept))


def _some(cells: CellsDrawn, which: NDArray[np.bool_]) -> CellsDrawn:
    return replace(cells, centroids=cells.centroids[which], colours=cells.colours[which])


def _drawn(
    study: Study, side: str, painted: PaintedSide, look: Look, painting: Painting
) -> CellsDrawn:
    gene = painting.gene if painting.gene and not painting.gene.startswith(SCORE) else ""
    if look.clusters:
        colours, key = _of_clusters(painted.values, look)
    else:
        unit = _COUNTS[side] if gene or painting.total else "score"
        colours, key = _of_expression(
            painted.values,
            look.limits,
            painting,
            Key(gene=gene, unit=f"{unit}, all genes" if painting.total else unit),
        )
    if look.opacity is not None:
        colours[:, 3] *= look.opacity
    colours[np.isnan(painted.values), 3] = 0
    return CellsDrawn(
        layer_name(study, side, painting.what),
        gene,
        painted.dots.centroids,
        colours,
        painted.dots.diameter,
        key,
    )


def _of_expression(
    values: NDArray[np.float32], limits: Limits, painting: Painting, key: Key
) -> tuple[NDArray[np.float32], Key]:
    colormap = expression_colormap(
        painting.colormap,
        log=limits if painting.log else None,
        hide_zeros=painting.hide_zeros,
    )
    shown = shown_values(values, limits)
    share = (shown - limits.low) / (limits.high - limits.low)
    colours = np.array(colormap.map(np.clip(np.nan_to_num(share), 0, 1)), np.float32)
    none = shown <= limits.low
    colours[none] = np.asarray(colormap.low_color, np.float32)
    zeros = bool(none.any()) and not painting.hide_zeros
    return colours, replace(key, limits=limits, colormap=colormap, log=painting.log, zeros=zeros)


def _of_clusters(values: NDArray[np.float32], look: Look) -> tuple[NDArray[np.float32], Key]:
    names = list(look.clusters)
    palette = np.asarray(category_colormap(names, look.cluster_colours).colors, np.float32)
    numbers = np.nan_to_num(values).astype(int)
    there = set(numbers[~np.isnan(values)].tolist())
    shown = {name: palette[i] for i, name in enumerate(names) if i in there}
    return palette[numbers].copy(), Key(clusters=shown)


def _difference(
    study: Study, painting: Painting, predicted: PaintedSide, measured: PaintedSide
) -> CellsDrawn:
    """Predicted minus measured, as :class:`DifferenceLayer` shows it."""
    assert isinstance(predicted.cells, CellTable)
    assert isinstance(measured.cells, CellTable)
    gene = str(painting.gene)
    values = Difference(predicted.cells, measured.cells).gene(gene)
    values[predicted.gone] = np.nan
    limit = difference_limit(values, painting)
    colormap = difference_colormap()
    share = np.nan_to_num(values / (2 * limit) + 0.5)
    colours = np.array(colormap.map(np.clip(share, 0, 1)), np.float32)
    colours[np.isnan(values), 3] = 0
    key = Key(Limits(-limit, limit), colormap, gene, "difference of log(1 + counts)")
    name = difference_name(study, gene)
    return CellsDrawn(name, gene, predicted.dots.centroids, colours, predicted.dots.diameter, key)


def _bins(bins: BinnedSection, painting: Painting) -> CellsDrawn:
    """Bins as the machine measured them, in the colours that they have on screen."""
    gene = str(painting.gene)
    column = list(bins.genes).index(gene)
    values = np.asarray(bins.counts[:, [column]].toarray(), np.float32).ravel()
    limits = bins_limits(values, painting)
    key = Key(gene=gene, unit=f"counts per bin of {bins.bin_um} µm")
    colours, key = _of_expression(values, limits, painting, key)
    axes = np.asarray(bins.axes, np.float64)
    return CellsDrawn(
        bins_name(gene, bins),
        gene,
        np.asarray(bins.centres, np.float32),
        colours,
        float(np.abs(axes).sum(axis=1).max()),
        key,
        axes,
    )


def _outlines(study: Study, region: Region) -> tuple[NDArray[np.float32], ...]:
    row, column, height, width = region
    inside = study.nuclei.in_rectangle(row, column, row + height, column + width)
    return tuple(study.nuclei.take(inside).polygons())
