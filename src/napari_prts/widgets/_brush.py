"""What is painted over the tissue and how, shared by all panels of a window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_prts.viewer.expression_view import Painting

if TYPE_CHECKING:
    from napari_prts.widgets._session import Session


class Brush:
    """Paints genes, clusters or the total in the style that the user has chosen.

    Parameters
    ----------
    session : Session
        Whose study is painted. Another study keeps the style.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted after something else is painted, or in another style.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._style = Painting()

    @property
    def style(self) -> Painting:
        """How is painted; what it says of the gene means nothing."""
        return self._style

    @property
    def painting(self) -> Painting | None:
        """What is on screen; None if nothing is."""
        view = self._session.view
        return None if view is None else view.expression.painting

    @property
    def gene(self) -> str | None:
        """The gene that is on screen."""
        painting = self.painting
        return None if painting is None else painting.gene

    def paint_gene(self, gene: str) -> None:
        """Paint a gene on every side that has it; limits drawn by hand were another gene's."""
        if gene != self.gene:
            self._style = replace(self._style, limits=None, difference_limit=None)
        self._paint(replace(self._style, gene=gene, total=False))

    def paint_clusters(self) -> None:
        """Paint the clusters on every side that has them."""
        self._paint(replace(self._style, gene=None, total=False))

    def clear(self) -> None:
        """Show the H&E alone."""
        if self._session.view is not None:
            self._session.view.expression.clear()
        self.changed.emit()

    def restyle(self, **changes: Any) -> None:
        """Change fields of the style, see :class:`Painting`, and paint again what is painted."""
        style = replace(self._style, **changes)
        if style == self._style:
            return
        self._style = style
        view = self._session.view
        if view is None:
            return
        # What a prediction is painted as when nothing was chosen yet.
        view.expression.arriving_painting = replace(style, gene=None, total=True)
        shown = view.expression.painting
        if shown is not None:
            view.expression.paint(replace(style, gene=shown.gene, total=shown.total))
        self.changed.emit()

    def _paint(self, painting: Painting) -> None:
        if self._session.view is not None:
            self._session.view.expression.paint(painting)
        self.changed.emit()
