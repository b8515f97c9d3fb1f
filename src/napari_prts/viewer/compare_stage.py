"""How two sides share the canvas: beside each other, swiped, by turns, subtracted, or on top."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_prts.viewer.compare_cut import CutDots
from napari_prts.viewer.compare_modes import possible_mode
from napari_prts.viewer.compare_swipe import SwipeLine
from napari_prts.viewer.comparison import arrange, shows_all
from napari_prts.viewer.layer_book import LayerBook, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from napari_prts.study import Study
    from napari_prts.viewer.cell_dots import CellDots
    from napari_prts.viewer.painted_side import PaintedSide, Painting

# What is in the viewer only while it is in use.
_COME_AND_GO = (
    Role.MEASURED,
    Role.BINS,
    Role.SLIDE_COPY,
    Role.PREDICTED,
    Role.DIFFERENCE,
    Role.SWIPE_LINE,
)
# What is hidden for a moment: by turns, or for a look at the tissue.
_ON_STAGE = (Role.NUCLEI, Role.EDITING, *_COME_AND_GO)
# Half a canvas is narrow for "Predicted Apoe (simulated training)".
_FONT, _FONT_HALF = 11, 7


class Stage:
    """Says what of each side is seen, and arranges the viewer around it.

    Parameters
    ----------
    book : LayerBook
        Our layers.
    study : Study
        Whose slide.

    Attributes
    ----------
    changed : psygnal.Signal
        Emitted without arguments when :attr:`mode`, :attr:`sides` or :attr:`peeking` changed.
    line : SwipeLine
        Where the sides meet when they are swiped.
    mode : str
        The mode that is in use: the one asked for or, where that cannot be, ``"beside"``
        or ``"one"``.
    sides : tuple of str
        What is painted; the first one is left, below, or seen first.
    """

    changed = Signal()

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self.line = SwipeLine(book, study)
        self.mode = "one"
        self.sides: tuple[str, ...] = ()
        self._turn = 0
        self._peeking = False
        self._opacity = 1.0
        self._cuts: dict[Role, CutDots] = {}
        self._seen: frozenset[Role] = frozenset()
        self._hidden: set[Role] = set()
        self._announce = False

    @property
    def peeking(self) -> bool:
        """Whether painting and outlines are put aside for a look at the H&E."""
        return self._peeking

    @property
    def in_turn(self) -> str | None:
        """The side that is seen now, when they are seen by turns."""
        return self.sides[self._turn] if self.mode == "blink" else None

    def set(self, painting: Painting, painted: Mapping[str, PaintedSide]) -> None:
        """Decide how the painted sides are seen, before their layers are shown.

        Parameters
        ----------
        painting : Painting
            The mode asked for.
        painted : mapping of PaintedSide
            The sides there are.
        """
        order = ("predicted", "measured") if painting.swapped else ("measured", "predicted")
        mode, sides = possible_mode(painting, painted), tuple(s for s in order if s in painted)
        changed = (mode, sides, False) != (self.mode, self.sides, self._peeking)
        self.mode, self.sides, self._peeking = mode, sides, False
        self._turn = 0 if changed else self._turn
        if mode == "swipe":
            self.line.show()
        else:
            self.line.hide()
            self._cuts.clear()
        self._announce = changed

    def cut(self, role: Role, dots: CellDots) -> CellDots:
        """Leave of a side's dots what is seen of them.

        Parameters
        ----------
        role : Role
            Of the side's layer.
        dots : CellDots
            All its dots; the same object is returned for the same dots and line.
        """
        if self.mode != "swipe":
            return dots
        left = _side(role) == self.sides[0]
        column, before = self.line.column, self._cuts.get(role)
        if before is None or not before.is_cut(dots, column, left):
            self._cuts[role] = CutDots(dots, column, left=left, before=before)
        return self._cuts[role]

    @contextmanager
    def showing(
        self, seen: Collection[Role], slide_opacity: float, *, begins: bool = False
    ) -> Iterator[None]:
        """Let the layers be shown inside, then arrange the viewer around them.

        Parameters
        ----------
        seen : collection of Role
            Painted layers that are brought up to date inside; others of ours are put away.
        slide_opacity : float
            How far the H&E steps back, 0 to 1.
        begins : bool
            Nothing was painted before, or nothing is any longer: where the whole slide was
            in view, it is afterwards. Otherwise the camera stays where it is.
        """
        self._opacity = slide_opacity if self.sides else 1.0
        self._seen = frozenset(seen)
        whole = begins and shows_all(self._book, self._study.slide)
        needed = self._needed()
        with self._book.to_have(needed, _COME_AND_GO):
            yield
            self._set_up(needed)
        if whole:
            self._book.viewer.fit_to_view()
        if self._announce:
            self._announce = False
            self.changed.emit()

    def _needed(self) -> frozenset[Role]:
        """Layers that the mode has, beside the slide and the outlines."""
        extra = {"beside": {Role.SLIDE_COPY}, "swipe": {Role.SWIPE_LINE}}
        return self._seen | extra.get(self.mode, frozenset())

    def _set_up(self, needed: Collection[Role]) -> None:
        """Put away what the mode does not have, and arrange the rest."""
        for role in _COME_AND_GO:
            # Two canvases are told apart by the copy: it goes when there is one again.
            if role not in needed and role is not Role.SLIDE_COPY:
                self._put_away(role)
        if self.mode == "swipe":
            self.line.draw()
        self._write()
        self._arrange()
        if Role.SLIDE_COPY not in needed:
            self._put_away(Role.SLIDE_COPY)
        self._reveal()

    def _put_away(self, role: Role) -> None:
        layer = self._book.get(role)
        self._book.put_away(role)
        if layer is not None and role in self._hidden:
            # Hidden by us, it comes back to be seen.
            self._hidden.discard(role)
            layer.visible = True

    def clear(self) -> None:
        """Show the H&E alone."""
        self._announce = bool(self.sides)
        self.mode, self.sides, self._peeking = "one", (), False
        self.line.hide()
        self._cuts.clear()
        with self.showing((), 1.0, begins=self._announce):
            pass

    def alternate(self) -> None:
        """Show the other side, when they are seen by turns."""
        if self.mode == "blink":
            self._turn = 1 - self._turn
            self._reveal()

    def peek(self, on: bool) -> None:
        """Put painting and outlines aside for a look at the H&E, or bring them back."""
        if not self.sides or on == self._peeking:
            return
        self._peeking = on
        self._arrange()
        self._reveal()
        self.changed.emit()

    def _arrange(self) -> None:
        painted = bool(self.sides) and not self._peeking
        arrange(
            self._book,
            self._study.slide,
            painted=painted,
            side_by_side=self.mode == "beside",
            slide_opacity=self._opacity if painted else 1.0,
            swapped=self.sides[:1] == ("predicted",) and len(self.sides) == 2,
        )

    def _reveal(self) -> None:
        """Hide what is not to be seen now; what the user hid stays hidden."""
        for role in _ON_STAGE:
            layer = self._book.get(role)
            if layer is None:
                self._hidden.discard(role)
            elif not self._on(role) and layer.visible:
                self._hidden.add(role)
                layer.visible = False
            elif self._on(role) and role in self._hidden:
                self._hidden.discard(role)
                layer.visible = True

    def _on(self, role: Role) -> bool:
        """Whether a layer is to be seen now."""
        if role is Role.SLIDE_COPY:
            return True
        if self._peeking:
            return False
        if role in (Role.NUCLEI, Role.EDITING, Role.SWIPE_LINE):
            return True
        return self.in_turn in (None, _side(role))

    def _write(self) -> None:
        """Put each side's name and colour bar to its side of the canvas."""
        for role in (Role.MEASURED, Role.BINS, Role.PREDICTED):
            layer = self._book.get(role)
            if layer is None:
                continue
            right = self.mode == "swipe" and _side(role) == self.sides[-1]
            for overlay, where in ((layer.name_overlay, "top"), (layer.colorbar, "bottom")):
                wanted = f"{where}_{'right' if right else 'left'}"
                if str(overlay.position) != wanted:
                    overlay.position = wanted
            font = _FONT_HALF if self.mode in ("beside", "swipe") else _FONT
            if layer.name_overlay.font_size != font:
                layer.name_overlay.font_size = font


def _side(role: Role) -> str:
    return "predicted" if role is Role.PREDICTED else "measured"
