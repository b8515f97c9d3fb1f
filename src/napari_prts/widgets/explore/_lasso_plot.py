"""A plot of points in which the mouse draws a lasso: genes, or cells of a UMAP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.theme import get_theme
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import Qt
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtGui import QCursor, QShowEvent
from qtpy.QtWidgets import QToolTip, QVBoxLayout, QWidget

from napari_prts.widgets._links import Links

if TYPE_CHECKING:
    from napari import Viewer

Mask = NDArray[np.bool_]

# Pixels of the screen: a hand that clicks moves less, and aims no better.
_STILL = 4.0
_AIM = 7.0
_LEAST_WIDTH, _LEAST_HEIGHT = 200, 200
# Points of room for an axis with words and ticks, for a title, and beside the axes.
_AXIS, _TITLE, _RIM = 38.0, 18.0, 5.0
# Where counts are marked on an axis that grows with log1p.
_MOST_TICKS = 6
_COUNTS = tuple(step * 10.0**power for power in range(-2, 6) for step in (1, 2, 5))


class LassoPlot(QWidget):
    """Up to some hundred thousand points; dragging around some chooses them.

    matplotlib is loaded when the plot is first seen.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose theme the colours follow.

    Attributes
    ----------
    lassoed : qtpy.QtCore.Signal
        Emitted with a bool mask, shape (n,), of the points inside a lasso; of none after a
        click beside them (anywhere, if the points have no names).
    clicked : qtpy.QtCore.Signal
        Emitted with the number of a point that was clicked, if the points have names.
    """

    lassoed = QtSignal(object)
    clicked = QtSignal(int)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._xy = np.zeros((0, 2))
        self._colours: NDArray[np.float32] | None = None
        self._chosen: Mask | None = None
        self._names: Sequence[str] = ()
        self._words = ("", "", "")
        self._diagonal = self._counts = False
        self._dirty = True
        self.canvas: Any = None
        self._axes: Any = None
        self._dots: Any = None
        self._lasso: Any = None
        self.setMinimumSize(_LEAST_WIDTH, _LEAST_HEIGHT)
        self.setToolTip("Drag around points to choose them; click beside them to choose none")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._links = Links(self)
        self._links.connect(viewer.events.theme, self._on_theme)

    @property
    def points(self) -> NDArray[np.float64]:
        """The points, (x, y), shape (n, 2)."""
        return self._xy

    @property
    def chosen(self) -> Mask:
        """Which points are lit up, shape (n,)."""
        return np.zeros(len(self._xy), np.bool_) if self._chosen is None else self._chosen

    def set_points(
        self,
        xy: ArrayLike,
        colours: ArrayLike | None = None,
        xlabel: str = "",
        ylabel: str = "",
        title: str = "",
        *,
        names: Sequence[str] = (),
        diagonal: bool = False,
        counts: bool = False,
    ) -> None:
        """Show other points; none is chosen then.

        Parameters
        ----------
        xy : array of float, shape (n, 2)
            Points that are no numbers (NaN) are left out.
        colours : array of float, shape (n, 4), optional
            RGBA from 0 to 1; one colour for all by default.
        xlabel, ylabel, title : str
            Words; empty ones take no room, and an axis without words has no ticks either.
        names : sequence of str, optional
            Of each point; they are told when the mouse is over one, and make points clickable.
        diagonal : bool
            Draw the line on which x and y are the same, and make both axes alike.
        counts : bool
            Both axes grow with log1p of the values.
        """
        self._xy = np.asarray(xy, np.float64).reshape(-1, 2)
        self._colours = None if colours is None else np.asarray(colours, np.float32)
        self._chosen = None
        self._names = names
        self._words = (xlabel, ylabel, title)
        self._diagonal, self._counts = diagonal, counts
        self._redraw()

    def set_chosen(self, mask: ArrayLike | None) -> None:
        """Light points up, by a bool mask of shape (n,); None, or none at all, shows all alike."""
        chosen = None if mask is None else np.asarray(mask, np.bool_)
        self._chosen = chosen if chosen is not None and chosen.any() else None
        if self._dots is not None and not self._dirty:
            self._dots.choose(None if self._chosen is None else self._chosen[self._known()])
            self.canvas.draw_idle()

    def pixels(self) -> NDArray[np.float64]:
        """Where each point is, (x, y) in pixels of the canvas from its upper left, shape (n, 2)."""
        if self._axes is None:
            return np.full((len(self._xy), 2), np.nan)
        ratio = self.canvas.device_pixel_ratio
        places: NDArray[np.float64] = np.asarray(self._axes.transData.transform(self._xy)) / ratio
        places[:, 1] = self.canvas.height() - places[:, 1]
        return places

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what was set while the plot could not be seen."""
        if self.canvas is None:
            self._build()
        if self._dirty:
            self._redraw()
        super().showEvent(event)

    def _known(self) -> Mask:
        return np.asarray(np.isfinite(self._xy).all(axis=1))

    def _colour(self, name: str) -> str:
        return str(getattr(get_theme(self._viewer.theme), name).as_hex())

    def _build(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        # The figure's size is what its canvas asks for.
        self.canvas = FigureCanvasQTAgg(Figure(figsize=(_LEAST_WIDTH / 100, _LEAST_HEIGHT / 100)))
        self.canvas.setCursor(Qt.CursorShape.CrossCursor)
        self.canvas.mpl_connect("motion_notify_event", self._on_move)
        self.canvas.mpl_connect("resize_event", self._on_resize)
        self._layout.addWidget(self.canvas)
        # Qt shows the children of a widget before it tells that widget that it is shown.
        self.canvas.show()

    def _redraw(self) -> None:
        self._dirty = self.canvas is None or not self.isVisible()
        if self._dirty:
            return
        from napari_prts.widgets.explore._plot_dots import Dots

        self._axes = axes = self._fresh_axes()
        known = self._known()
        colours = self._colours
        if colours is None:
            from matplotlib.colors import to_rgba

            one = to_rgba(self._colour("current"))
            colours = np.broadcast_to(np.asarray(one, np.float32), (len(self._xy), 4))
        self._dots = Dots(self._xy[known], colours[known])
        self._dots.choose(None if self._chosen is None else self._chosen[known])
        axes.add_artist(self._dots)
        if known.any():
            axes.update_datalim(self._xy[known])
            axes.autoscale_view()
        if self._diagonal:
            self._draw_diagonal(axes)
        if self._counts:
            _mark_counts(axes)
        self._on_resize()
        self.canvas.draw_idle()

    def _fresh_axes(self) -> Any:
        from matplotlib.backend_bases import MouseButton
        from matplotlib.widgets import LassoSelector

        text, ground = self._colour("text"), self._colour("background")
        figure = self.canvas.figure
        figure.clear()
        figure.set_facecolor(ground)
        axes = figure.add_subplot()
        axes.set_facecolor(ground)
        axes.margins(0.05)
        axes.tick_params(colors=text, labelsize=8)
        for spine in axes.spines.values():
            spine.set_color(self._colour("secondary"))
        xlabel, ylabel, title = self._words
        axes.set_xlabel(xlabel, color=text, fontsize=9)
        axes.set_ylabel(ylabel, color=text, fontsize=9)
        if title:
            axes.set_title(title, color=text, fontsize=9)
        axes.tick_params(bottom=bool(xlabel), labelbottom=bool(xlabel))
        axes.tick_params(left=bool(ylabel), labelleft=bool(ylabel))
        if self._counts:
            _grow_with_log1p(axes)
        self._lasso = LassoSelector(
            axes,
            self._on_lasso,
            useblit=True,
            button=MouseButton.LEFT,
            props={"color": text, "linewidth": 1.2},
        )
        return axes

    def _on_resize(self, _: Any = None) -> None:
        """Give words and ticks the room that they need, the axes all else."""
        xlabel, ylabel, title = self._words
        width, height = self.canvas.figure.get_size_inches() * 72
        self.canvas.figure.subplots_adjust(
            left=(_AXIS + 4 if ylabel else _RIM) / width,
            bottom=(_AXIS - 4 if xlabel else _RIM) / height,
            right=1 - 2 * _RIM / width,
            top=1 - (_TITLE if title else _RIM) / height,
        )

    def _draw_diagonal(self, axes: Any) -> None:
        low = min(axes.get_xlim()[0], axes.get_ylim()[0])
        high = max(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        line = {"color": self._colour("text"), "linewidth": 0.8, "linestyle": ":", "zorder": 0}
        axes.plot([low, high], [low, high], **line)

    def _on_theme(self) -> None:
        self._redraw()

    def _on_lasso(self, line: list[tuple[float, float]]) -> None:
        """Choose what lies inside a drawn line, or take a short one for a click."""
        # In pixels: on an axis that grows with log1p, straight lines are straight only there.
        drawn = np.asarray(self._axes.transData.transform(np.asarray(line, np.float64)))
        points = np.asarray(self._axes.transData.transform(self._xy))
        if len(drawn) < 3 or np.ptp(drawn, axis=0).max() < _STILL:
            self._on_click(drawn[0], points)
            return
        import shapely

        area = shapely.make_valid(shapely.Polygon(drawn))
        shapely.prepare(area)
        self.lassoed.emit(shapely.contains_xy(area, points[:, 0], points[:, 1]))

    def _on_click(self, place: NDArray[np.float64], points: NDArray[np.float64]) -> None:
        number = _nearest(points, place) if len(self._names) else None
        if number is not None:
            self.clicked.emit(number)
        else:
            self.lassoed.emit(np.zeros(len(self._xy), np.bool_))

    def _on_move(self, event: Any) -> None:
        if not len(self._names) or event.inaxes is not self._axes or event.button is not None:
            return
        points = np.asarray(self._axes.transData.transform(self._xy))
        number = _nearest(points, np.array([event.x, event.y]))
        if number is not None:
            QToolTip.showText(QCursor.pos(), str(self._names[number]), self.canvas)
        else:
            QToolTip.hideText()


def _nearest(points: NDArray[np.float64], place: NDArray[np.float64]) -> int | None:
    """Find the point that the mouse aims at, all in pixels."""
    if not np.isfinite(points).all(axis=1).any():
        return None
    distance = np.hypot(*(points - place).T)
    number = int(np.nanargmin(distance))
    return number if distance[number] <= _AIM else None


def _grow_with_log1p(axes: Any) -> None:
    """Let both axes grow with log1p."""
    both: tuple[Callable[..., Any], Callable[..., Any]] = (np.log1p, np.expm1)
    axes.set_xscale("function", functions=both)
    axes.set_yscale("function", functions=both)


def _mark_counts(axes: Any) -> None:
    """Put ticks at round counts, as close as they can be read."""
    from matplotlib.ticker import FixedLocator, FormatStrFormatter, NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        axis.set_major_locator(FixedLocator(round_counts(low, high)))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_locator(NullLocator())


def round_counts(low: float, high: float) -> list[float]:
    """Choose round counts that lie well apart on an axis that grows with log1p.

    Parameters
    ----------
    low, high : float
        Ends of the axis in counts.
    """
    apart = (np.log1p(high) - np.log1p(max(low, 0.0))) / _MOST_TICKS
    chosen = [0.0] if low <= 0 else []
    for count in _COUNTS:
        if not low <= count <= high:
            continue
        if not chosen or np.log1p(count) - np.log1p(chosen[-1]) >= apart:
            chosen.append(count)
    return chosen
