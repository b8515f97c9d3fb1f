"""The study's nuclei in the viewer: all of them as outlines, those in view as shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_prts.nuclei import Source
from napari_prts.viewer.editing_window import LIMIT, EditingWindow
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_overview import NucleiOverview
from napari_prts.viewer.nuclei_tones import legend, tones
from napari_prts.viewer.slide_view import geometry
from napari_prts.viewer.tools_keys import bind_basic_keys

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.study import Study

OVERVIEW_NAME = "Nuclei"
OVERVIEW_OPACITY = 0.9


class NucleiView:
    """Draws the nuclei of a study and takes edits from the Shapes layer.

    A lazy Labels layer always shows all of them. A slide with few nuclei has them all
    in the editing layer too; on a larger one that holds those in view, swapped by
    :meth:`follow_view`.

    Parameters
    ----------
    book : LayerBook
        Where the layers go.
    study : Study
        Whose nuclei.
    complain : callable
        Called with a sentence for the user.
    """

    def __init__(self, book: LayerBook, study: Study, complain: Callable[[str], None]) -> None:
        self._book = book
        self._study = study
        self._complain = complain
        self._window: EditingWindow | None = None
        self._overview = NucleiOverview(study.slide.shape, study.slide.mpp)
        self._overview_declined = False

    @property
    def window(self) -> EditingWindow | None:
        """The editing window, once there are nuclei."""
        return self._window

    @property
    def whole_slide_editable(self) -> bool:
        """Whether all nuclei fit into the editing layer."""
        return len(self._study.nuclei) <= LIMIT

    def refresh(self) -> None:
        """Show the study's nuclei as they are now."""
        nuclei = self._study.nuclei
        # First what is cheap: a nucleus that leaves the shapes is on screen all the time.
        if len(nuclei) or self._book.get(Role.NUCLEI) is not None:
            self._draw_overview(nuclei)
        if self._window is None and not len(nuclei):
            return
        window = self._ensure_window()
        if window is not None and not window.committing:
            window.show(self._wanted())

    def show_partial(self, found: Nuclei, before: Nuclei | None) -> Nuclei:
        """Draw nuclei that a running job has found so far.

        Parameters
        ----------
        found : Nuclei
            What the job has found since its last report.
        before : Nuclei or None
            What was drawn for the job before.

        Returns
        -------
        Nuclei
            All that is drawn now; the study's own nuclei stay until it gets the new ones.
        """
        shown = self._study.nuclei if before is None else before
        drawn = shown.add(found.polygons(), Source.STARDIST, found.scores)
        self._draw_overview(drawn, found.bounds if self._overview.nuclei is shown else None)
        return drawn

    def start_editing(self, *, needs_shapes: bool = True) -> None:
        """Bring the editing layer back, even after the user deleted it.

        Parameters
        ----------
        needs_shapes : bool
            Whether the user wants to change outlines that are there, and has to be
            told if there are too many in view.
        """
        self._book.revive(Role.EDITING)
        if self._book.get(Role.EDITING) is None:
            self._window = None
        self._book.revive(Role.NUCLEI)
        self._overview_declined = False
        self._draw_overview(self._study.nuclei)
        window = self._ensure_window()
        if window is not None:
            wanted = self._wanted()
            window.show(wanted)
            self._book.viewer.layers.selection.active = window.layer
            if needs_shapes and not len(wanted) and len(self._in_view()):
                self._complain(
                    f"{len(self._in_view()):,} nuclei are in view, too many to edit: zoom in "
                    f"until no more than {LIMIT:,} are."
                )

    def follow_view(self) -> int:
        """Swap the editing window's nuclei for those in view.

        Returns
        -------
        int
            How many nuclei are in view; above the limit none can be edited.
        """
        if self._window is None or self._book.get(Role.EDITING) is None:
            return 0
        if self.whole_slide_editable:
            return len(self._study.nuclei)
        in_view = self._in_view()
        self._window.show(in_view if len(in_view) <= LIMIT else np.empty(0, np.int64))
        return len(in_view)

    def rescale(self) -> None:
        """Move the layers to the slide's present pixel size."""
        place = geometry(self._study.slide)
        for role in (Role.NUCLEI, Role.EDITING, Role.REGION):
            layer = self._book.get(role)
            if layer is not None:
                layer.scale, layer.units = place["scale"], place["units"]
        self._overview.set_mpp(self._study.slide.mpp)
        self._redraw()

    def close(self) -> None:
        """Forget the editing layer."""
        self._window = None

    def _wanted(self) -> NDArray[np.integer]:
        if self.whole_slide_editable:
            return np.arange(len(self._study.nuclei))
        in_view = self._in_view()
        return in_view if len(in_view) <= LIMIT else np.empty(0, np.int64)

    def _in_view(self) -> NDArray[np.integer]:
        top, left, bottom, right = view_rectangle(self._book.viewer, self._study.slide.mpp)
        inside: NDArray[np.integer] = self._study.nuclei.in_rectangle(top, left, bottom, right)
        return inside

    def _ensure_window(self) -> EditingWindow | None:
        if self._window is None:
            window = EditingWindow(self._study, self._complain)
            place = geometry(self._study.slide)
            window.layer.scale, window.layer.units = place["scale"], place["units"]
            bind_basic_keys(window.layer, self._study)
            if not self._book.add(Role.EDITING, window.layer):
                return None
            self._window = window
        return self._window

    def _draw_overview(self, nuclei: Nuclei, changed: NDArray[np.floating] | None = None) -> None:
        differs = self._overview.show(nuclei, changed)
        if self._book.get(Role.NUCLEI) is not None:
            if differs:
                self._redraw()
        elif not self._overview_declined:
            # A layer that the user deleted would be made in vain at each edit.
            self._overview_declined = not self._book.add(Role.NUCLEI, self._overview_layer())

    def _redraw(self) -> None:
        """Let napari fetch again what is on screen; its level and extent stay."""
        layer = self._book.get(Role.NUCLEI)
        if layer is not None:
            layer.refresh(extent=False, highlight=False, thumbnail=False)

    def _overview_layer(self) -> Labels:
        layer = Labels(
            self._overview.levels,
            multiscale=True,
            name=OVERVIEW_NAME,
            opacity=OVERVIEW_OPACITY,
            colormap=tones(),
            features=legend(),
            **geometry(self._study.slide),
        )
        layer.editable = False
        return layer


def view_rectangle(viewer: Any, mpp: float | None) -> tuple[float, float, float, float]:
    """Measure what the canvas shows.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    mpp : float or None
        Microns per level-0 pixel; None if the world is in pixels.

    Returns
    -------
    tuple of float
        Top, left, bottom and right in level-0 pixels.
    """
    camera = viewer.scene.camera
    rows, columns = viewer.canvas.grid.actual_shape(viewer.layers)
    height = viewer.canvas.size[0] / rows / camera.zoom
    width = viewer.canvas.size[1] / columns / camera.zoom
    row, column = camera.center[-2:]
    pixel = mpp or 1.0
    return (
        (row - height / 2) / pixel,
        (column - width / 2) / pixel,
        (row + height / 2) / pixel,
        (column + width / 2) / pixel,
    )
