"""What stands on and around a figure's panels: names, keys to the colours, scale bar, foot."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_prts.viewer.figure_parts import FigureRequest, Key, Panel


@dataclass(frozen=True)
class Box:
    """A part of a figure.

    Parameters
    ----------
    left, bottom, width, height : float
        Inches.
    figure : tuple of float
        Width and height of the whole figure in inches.
    """

    left: float
    bottom: float
    width: float
    height: float
    figure: tuple[float, float]

    @property
    def place(self) -> tuple[float, float, float, float]:
        """Left, bottom, width and height as shares of the figure."""
        return (*self.at(0, 0), *self.share(self.width, self.height))

    def at(self, right: float, up: float) -> tuple[float, float]:
        """A place so many inches from the lower left corner, as shares of the figure."""
        return self.share(self.left + right, self.bottom + up)

    def share(self, width: float, height: float) -> tuple[float, float]:
        """Inches as shares of the figure."""
        return width / self.figure[0], height / self.figure[1]


# Inches.
HEAD, KEY, GAP, MARGIN = 0.24, 0.46, 0.12, 0.04
_LEGEND_ROW, _FOOT_ROW = 0.15, 0.1
# Points.
_NAME, _SMALL, _FINE = 9.0, 7.0, 5.5
# Width of a letter as a share of its height, rather too much: text shrinks before it is cut.
_LETTER = 0.62
_INK, _FAINT = "#1a1a1a", "#555555"


def key_height(panel: Panel, width: float) -> float:
    """Inches that the keys of a panel need below it, when it is so many inches wide."""
    if not panel.cells:
        return 0.0
    names = _cluster_colours(panel)
    if names:
        return 0.12 + _LEGEND_ROW * math.ceil(len(names) / _legend_columns(names, width))
    return KEY * len(_keys(panel))


def head_size(panels: Iterable[Panel], width: float) -> float:
    """Points at which the names over all panels fit into so many inches each."""
    letters = (sum(len(words) for words, _ in _head(panel)) for panel in panels)
    return _fitting(max(letters, default=0), width, _NAME)


def mark_head(figure: Figure, box: Box, panel: Panel, size: float) -> None:
    """Write over a panel what is predicted, measured or simulated, the gene in italics."""
    words = [_text(piece, size, **look) for piece, look in _head(panel) if piece]
    _line(figure, words, box.at(0, box.height + 0.06), (0, 0), "baseline")


def _head(panel: Panel) -> list[tuple[str, dict[str, str]]]:
    """Words over a panel, each with its look."""
    pieces: list[tuple[str, dict[str, str]]] = []
    # The upper one is named first.
    named = panel.cells if panel.line is not None else panel.cells[::-1]
    for number, cells in enumerate(named):
        if number:
            pieces.append((panel.between, {}))
        before, gene, after = cells.name, "", ""
        if cells.italic:
            before, gene, after = cells.name.partition(cells.italic)
        pieces += [
            (before, {"weight": "bold"}),
            (gene, {"weight": "bold", "style": "italic"}),
            (after, {}),
        ]
    return pieces


def mark_key(figure: Figure, box: Box, panel: Panel) -> None:
    """Draw below a panel how its colours are read."""
    colours = _cluster_colours(panel)
    if colours:
        _mark_clusters(figure, box, colours)
        return
    for number, key in enumerate(_keys(panel)):
        _mark_bar(figure, box, key, 0.12 + KEY * number)


def mark_scale(axes: Axes, mpp: float, points: float) -> None:
    """Draw a scale bar into the lower right corner of a panel.

    Parameters
    ----------
    axes : Axes
        The panel, in level-0 pixels, rows downwards.
    mpp : float
        um per level-0 pixel.
    points : float
        Points on paper per level-0 pixel.
    """
    from matplotlib.patheffects import withStroke

    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    length = nice_length((right - left) * mpp / 4)
    across = length / mpp
    margin = 7 / points
    end, base = right - margin, max(bottom, top) - margin
    halo = [withStroke(linewidth=3.2, foreground="white")]
    axes.plot(
        [end - across, end],
        [base, base],
        color="black",
        linewidth=1.8,
        solid_capstyle="butt",
        path_effects=halo,
    )
    label = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    axes.text(
        end - across / 2,
        base - 3 / points,
        label,
        ha="center",
        va="bottom",
        fontsize=_SMALL,
        color="black",
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def nice_length(most: float) -> float:
    """Return the longest of 1, 2, 5, 10, 20, 50, ... (or tenths) that is no longer than this."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))


def foot_lines(request: FigureRequest, remarks: tuple[str, ...], width: float) -> list[str]:
    """Write from what a figure was made, in lines that fit so many inches."""
    about = request.about
    said = [f"Slide {about.get('slide', request.slide.name)}"]
    if about.get("model"):
        simulated = ", trained on simulated counts" if about["trained_on"] == "simulated" else ""
        said.append(f"model {about['model']}{simulated} ({about['model_hash']})")
    said += [about.get("version", "napari-prts"), *remarks]
    letters = max(int(width * 72 / (_FINE * _LETTER)), 20)
    return textwrap.wrap(" · ".join(said), letters)


def foot_height(lines: list[str]) -> float:
    """Inches that these lines need."""
    return 0.08 + _FOOT_ROW * len(lines)


def mark_foot(figure: Figure, box: Box, lines: list[str]) -> None:
    """Write lines at the lower edge of a figure."""
    for number, line in enumerate(reversed(lines)):
        across, up = box.at(0, 0.03 + _FOOT_ROW * number)
        figure.text(across, up, line, fontsize=_FINE, color=_FAINT, ha="left", va="bottom")


def _cluster_colours(panel: Panel) -> dict[str, NDArray[np.float32]]:
    return {name: colour for cells in panel.cells for name, colour in cells.key.clusters.items()}


def _legend_columns(names: Iterable[str], width: float) -> int:
    longest = max(len(name) for name in names)
    return max(int(width / (0.35 + longest * _SMALL * _LETTER / 72)), 1)


def _keys(panel: Panel) -> list[Key]:
    """The keys of a panel; two that say the same are one."""
    keys: list[Key] = []
    for cells in panel.cells:
        key = cells.key
        if not any((k.limits, k.unit, k.gene) == (key.limits, key.unit, key.gene) for k in keys):
            keys.append(key)
    return keys


def _mark_bar(figure: Figure, box: Box, key: Key, below: float) -> None:
    assert key.limits is not None
    assert key.colormap is not None
    across, up = box.at(0, -below)
    wide, high = box.share(min(box.width * 0.8, 2.2), 0.07)
    bar = figure.add_axes((across, up, wide, high))
    steps = np.asarray(key.colormap.map(np.linspace(1e-6, 1, 256)), np.float32)[None]
    bar.imshow(steps, extent=(key.limits.low, key.limits.high, 0, 1), aspect="auto")
    bar.set(yticks=[])
    bar.locator_params(axis="x", nbins=4)
    bar.tick_params(labelsize=_SMALL, length=2, width=0.4, pad=1.5, colors=_INK)
    for spine in bar.spines.values():
        spine.set(linewidth=0.4, color="0.4")
    unit = f"{key.unit}{', log colours' if key.log else ''}"
    none = "no counts" if key.zeros else ""
    size = _fitting(len(key.gene + unit + none) + 6, box.width, _SMALL)
    words = [_text(f"{key.gene} ", size, style="italic")] if key.gene else []
    words.append(_text(unit, size))
    if none:
        words += [_dot(np.asarray(key.colormap.low_color)), _text(none, size)]
    _line(figure, words, box.at(0, -below - 0.25))


def _mark_clusters(figure: Figure, box: Box, colours: dict[str, NDArray[np.float32]]) -> None:
    columns = _legend_columns(colours, box.width)
    for number, (name, colour) in enumerate(colours.items()):
        across = box.width * (number % columns) / columns
        down = 0.12 + _LEGEND_ROW * (number // columns)
        _line(figure, [_dot(colour), _text(name, _SMALL)], box.at(across, -down))


def _fitting(letters: int, width: float, size: float) -> float:
    """Points at which so many letters fit into so many inches, no more than ``size``."""
    return min(size, width * 72 / (max(letters, 1) * _LETTER))


def _line(
    figure: Figure,
    words: list[Any],
    at: tuple[float, float],
    corner: tuple[float, float] = (0, 0.5),
    align: Literal["center", "baseline"] = "center",
) -> None:
    """Put words and patches side by side."""
    from matplotlib.offsetbox import AnnotationBbox, HPacker

    packed = HPacker(children=words, pad=0, sep=0, align=align)
    figure.add_artist(
        AnnotationBbox(
            packed, at, xycoords=figure.transFigure, box_alignment=corner, frameon=False, pad=0
        )
    )


def _text(words: str, size: float, **look: Any) -> Any:
    from matplotlib.offsetbox import TextArea

    return TextArea(words, textprops={"fontsize": size, "color": _INK, **look})


def _dot(colour: Any) -> Any:
    """A round patch of a colour, with room at both sides."""
    from matplotlib.offsetbox import DrawingArea
    from matplotlib.patches import Circle

    area = DrawingArea(15, 6)
    area.add_artist(Circle((8, 3), 3, facecolor=colour, edgecolor="0.6", linewidth=0.3))
    return area
