"""Figures: what is on screen, drawn again from the data for paper, as PNG, SVG or PDF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import PrtsError
from napari_prts.files import written_aside
from napari_prts.jobs import Job, Progress
from napari_prts.slide.overview import read_at
from napari_prts.viewer.figure_cells import figure_of
from napari_prts.viewer.figure_marks import (
    GAP,
    HEAD,
    MARGIN,
    Box,
    foot_height,
    foot_lines,
    head_size,
    key_height,
    mark_foot,
    mark_head,
    mark_key,
    mark_scale,
)
from napari_prts.viewer.figure_parts import CellsDrawn, FigureRequest, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ENDINGS", "FigureRequest", "draw_figure", "figure_of", "write_figure"]

ENDINGS = (".png", ".svg", ".pdf")
# Circles and outlines that a vector file holds one by one: more make files of tens of
# megabytes that drawing programs open in minutes.
VECTOR_CELLS = 5000
# mm; an A4 page's text is no higher.
_HIGHEST = 240.0
_MM = 1 / 25.4
# Output rows read in one go.
_BAND = 256
# Level-0 pixels per pixel of the picture; finer ones hold nothing more.
_FINEST = 0.5
# Points: a smaller dot is lost in print.
_LEAST_DOT = 0.5


@dataclass(frozen=True)
class Layout:
    """Where the parts of a figure are.

    Parameters
    ----------
    size : tuple of float
        Width and height of the whole in inches.
    panels : tuple of Box
        From left to right.
    foot : list of str
        Lines below.
    """

    size: tuple[float, float]
    panels: tuple[Box, ...]
    foot: list[str]

    @classmethod
    def of(cls, request: FigureRequest) -> Layout:
        """Lay a figure out: as wide as asked for, unless it would be higher than a page."""
        count = len(request.panels)
        aspect = request.region[2] / request.region[3]
        room = request.width_mm * _MM - GAP * (count - 1) - 2 * MARGIN
        width = min(room / count, _HIGHEST * _MM / aspect)
        whole = width * count + GAP * (count - 1) + 2 * MARGIN
        foot = foot_lines(request, remarks(request), whole - 2 * MARGIN)
        below = max(key_height(panel, width) for panel in request.panels) + foot_height(foot)
        head = HEAD if any(panel.cells for panel in request.panels) else MARGIN
        size = (whole, below + width * aspect + head)
        boxes = (
            Box(MARGIN + number * (width + GAP), below, width, width * aspect, size)
            for number in range(count)
        )
        return cls(size, tuple(boxes), foot)


def write_figure(request: FigureRequest, path: Path | str) -> Job[Path]:
    """Draw a figure into a file.

    Parameters
    ----------
    request : FigureRequest
        What to draw, see :func:`figure_of`.
    path : path
        Ends in .png, .svg or .pdf; an existing file is replaced once the new one is whole.

    Yields
    ------
    Progress
        In rows of the picture.

    Returns
    -------
    Path
        The file. Cells are circles that a drawing program can take apart, up to 5,000 in
        view; more are a picture within the file, and its metadata say so. The metadata
        (PNG text, PDF information, SVG description) name slide, model and version.

    Raises
    ------
    PrtsError
        If the ending is another one, or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise PrtsError(
            f"{path.name} is no kind of figure that can be written: end its name in "
            f"{', '.join(ENDINGS)}."
        )
    figure = yield from draw_figure(request)
    yield Progress(0, 0, "rows", f"writing {path.name}")
    import matplotlib

    try:
        # Text stays text: searchable, and in the drawing program's fonts.
        with (
            matplotlib.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}),
            written_aside(path) as aside,
        ):
            figure.savefig(aside, dpi=request.dpi, metadata=_metadata(request, ending))
    except OSError as error:
        raise PrtsError(
            f"{path} cannot be written ({error.strerror or error}): choose another folder."
        ) from error
    return path


def draw_figure(request: FigureRequest) -> Job[Figure]:
    """Draw a figure without a window.

    Parameters
    ----------
    request : FigureRequest
        What to draw.

    Yields
    ------
    Progress
        In rows of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Drawn on white, with titles, scale bar, colour bars and where it comes from.
    """
    from matplotlib.figure import Figure

    layout = Layout.of(request)
    ground = yield from _read_ground(request, layout)
    figure = Figure(figsize=layout.size, facecolor="white")
    size = head_size(request.panels, layout.panels[0].width)
    for box, panel in zip(layout.panels, request.panels, strict=True):
        axes = figure.add_axes(box.place)
        _draw_panel(axes, request, box, ground, panel)
        if panel.cells:
            mark_head(figure, box, panel, size)
            mark_key(figure, box, panel)
    mark_foot(figure, Box(MARGIN, 0, *layout.size, layout.size), layout.foot)
    return figure


def remarks(request: FigureRequest) -> tuple[str, ...]:
    """Say what a reader of the figure must know besides: what is raster, what has no scale."""
    count = cells_in_view(request)
    return (
        *((f"{count:,} cells drawn as a picture",) if count > VECTOR_CELLS else ()),
        *(("pixel size unknown: no scale bar",) if request.slide.mpp is None else ()),
    )


def cells_in_view(request: FigureRequest) -> int:
    """Count the circles and outlines of all panels."""
    return sum(len(c.centroids) for panel in request.panels for c in panel.cells) + len(
        request.outlines
    )


def _read_ground(request: FigureRequest, layout: Layout) -> Job[NDArray[np.uint8]]:
    """Read the H&E at the figure's resolution, faded into white."""
    row, column, height, width = request.region
    downsample = max(width / (layout.panels[0].width * request.dpi), _FINEST)
    rows, columns = (max(round(side / downsample), 1) for side in (height, width))
    bands = []
    for first in range(0, rows, _BAND):
        yield Progress(first, rows, "rows", "reading the slide")
        some = min(_BAND, rows - first)
        top = row + first * downsample
        bands.append(read_at(request.slide, top, column, some, columns, downsample))
    ground = np.concatenate(bands)
    yield Progress(rows, rows, "rows", "drawing")
    faded = 255 - (255 - ground.astype(np.float32)) * request.slide_opacity
    picture: NDArray[np.uint8] = np.rint(faded).astype(np.uint8)
    return picture


def _draw_panel(
    axes: Axes,
    request: FigureRequest,
    box: Box,
    ground: NDArray[np.uint8],
    panel: Panel,
) -> None:
    row, column, height, width = request.region
    raster = cells_in_view(request) > VECTOR_CELLS
    axes.imshow(
        ground,
        extent=(column, column + width, row + height, row),
        interpolation="none" if request.dpi >= 150 else "antialiased",
        aspect="auto",
    )
    points = box.width * 72 / width
    for cells in panel.cells:
        _draw_cells(axes, cells, max(cells.diameter, _LEAST_DOT / points), raster)
    if panel.line is not None:
        axes.axvline(panel.line, color="black", linewidth=0.8)
    if request.outlines:
        _draw_outlines(axes, request.outlines, raster)
    axes.set(xlim=(column, column + width), ylim=(row + height, row), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(linewidth=0.4, color="0.4")
    if request.slide.mpp is not None:
        mark_scale(axes, request.slide.mpp, points)


def _draw_cells(axes: Axes, cells: CellsDrawn, diameter: float, raster: bool) -> None:
    from matplotlib.collections import EllipseCollection, PolyCollection

    # The middle of the first pixel is (0, 0), its picture begins half a pixel before: both
    # are drawn from the corner.
    middles = cells.centroids[:, ::-1].astype(np.float64) + 0.5
    drawn: EllipseCollection | PolyCollection
    if cells.axes is not None:
        corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) / 2 @ cells.axes.T[:, ::-1]
        drawn = PolyCollection(
            list(middles[:, None] + corners),
            facecolors=cells.colours,
            edgecolors="none",
            antialiased=False,
        )
    else:
        sides = np.full(len(middles), diameter)
        drawn = EllipseCollection(
            sides,
            sides,
            np.zeros(len(sides)),
            units="xy",
            offsets=middles,
            offset_transform=axes.transData,
            facecolors=cells.colours,
            linewidths=0,
        )
    drawn.set_rasterized(raster)
    axes.add_collection(drawn, autolim=False)


def _draw_outlines(axes: Axes, outlines: tuple[NDArray[np.float32], ...], raster: bool) -> None:
    from matplotlib.collections import PolyCollection

    lines = PolyCollection(
        [outline[:, ::-1] + 0.5 for outline in outlines],
        facecolors="none",
        edgecolors="#00c8ff",
        linewidths=0.6,
    )
    lines.set_rasterized(raster)
    axes.add_collection(lines, autolim=False)


def _metadata(request: FigureRequest, ending: str) -> dict[str, Any]:
    """What a file of this kind can hold of where it comes from."""
    row, column, height, width = (round(side, 1) for side in request.region)
    about = {
        **request.about,
        "region": f"row {row}, column {column}, height {height}, width {width} px of level 0",
        "mpp": "unknown" if request.slide.mpp is None else f"{request.slide.mpp:g} um/px",
        **({"remarks": "; ".join(remarks(request))} if remarks(request) else {}),
    }
    text = json.dumps(about, ensure_ascii=False)
    program = request.about.get("version", "napari-prts")
    if ending == ".pdf":
        return {"Title": request.title, "Subject": text, "Creator": program}
    if ending == ".svg":
        return {"Title": request.title, "Description": text, "Creator": program}
    return {"Title": request.title, "Description": text, "Software": program}
