"""What of a window is written into files for others: figures, tables, SpatialData."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info

from napari_prts.errors import NucleiError, PrtsError
from napari_prts.jobs import Job, Progress
from napari_prts.widgets._jobs import Task
from napari_prts.widgets.export._export_figure import FigureSize
from napari_prts.widgets.export._export_sessions import TAG, parts_on_screen

if TYPE_CHECKING:
    from napari_prts.viewer.figure import FigureRequest
    from napari_prts.widgets._session import Session


class Exports:
    """Writes what a window shows into files that others open, in the background.

    Parameters
    ----------
    session : Session
        Of the window.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def figure_request(self, size: FigureSize) -> FigureRequest:
        """Take what is in view, to be drawn.

        Raises
        ------
        PrtsError
            If no slide is open, or it is out of view.
        """
        from napari_prts.viewer.figure import figure_of

        study, view = self._session.study, self._session.view
        if study is None or view is None:
            raise PrtsError("There is nothing to draw: open a slide first.")
        try:
            region = view.region.in_view()
        except NucleiError as error:
            raise PrtsError("The slide is out of view: move back to the tissue first.") from error
        return figure_of(
            study,
            view.expression,
            region,
            outlines=size.outlines,
            width_mm=size.width_mm,
            dpi=size.dpi,
        )

    def figure(self, path: Path | str, size: FigureSize) -> None:
        """Draw what is in view into a PNG, SVG or PDF file."""
        from napari_prts.viewer.figure import write_figure

        request = self.figure_request(size)
        self._submit("Drawing figure", lambda: write_figure(request, path))

    def table(self, side: str, path: Path | str) -> None:
        """Write the predicted or the measured cells as .h5ad for other tools."""
        parts = parts_on_screen(self._session)
        table = None if parts is None else getattr(parts, side)
        if parts is None or table is None:
            return

        def make() -> Job[Path]:
            from napari_prts.h5ad import write_h5ad
            from napari_prts.study.other_tools import for_other_tools

            yield Progress(0, 0, "cells", "adding a picture of the slide")
            made = for_other_tools(table, parts.slide, parts.clusters.get(side))
            yield Progress(0, 0, "cells", f"writing {made.n_obs:,} cells")
            return write_h5ad(made, path)

        self._submit("Writing table", make)

    def spatialdata(self, path: Path | str) -> None:
        """Write slide, nuclei and tables as SpatialData."""
        from napari_prts.study.spatialdata_export import write_spatialdata

        parts = parts_on_screen(self._session)
        if parts is not None:
            self._submit("Writing SpatialData", lambda: write_spatialdata(parts, path))

    def copy_picture(self) -> None:
        """Put the canvas as it is on the clipboard."""
        self._session.viewer.window.clipboard(flash=False, canvas_only=True)
        show_info("The picture is on the clipboard.")

    def _submit(self, title: str, make: Any) -> None:
        def done(path: Path) -> None:
            show_info(f"Written: {path}")

        self._session.jobs.submit(Task(TAG, title, make, done, pausable=False))
