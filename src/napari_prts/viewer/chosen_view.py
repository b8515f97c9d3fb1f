"""The chosen cells on the canvas: outlined in one colour, on both halves of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from napari_prts.nuclei import Nuclei, Source
from napari_prts.viewer.layer_book import LayerBook, Role
from napari_prts.viewer.nuclei_overview import NucleiOverview
from napari_prts.viewer.nuclei_tones import CLASSES, FIRST_DENSITY, FIRST_OUTLINE
from napari_prts.viewer.slide_view import geometry

if TYPE_CHECKING:
    from napari_prts.study import Study

CHOSEN_NAME = "Chosen cells"
_COPY_NAME = "Chosen cells (left half)"
# In neither stain, nor in an outline's colour, nor at the ends of the colormaps for genes.
COLOUR = (0.0, 0.9, 1.0)
# Far away, where only density is seen: what is painted under it must still be read.
_FAINTEST, _FULL = 0.25, 0.5


class ChosenView:
    """Follows ``study.chosen``; any number of cells costs no more than is looked at.

    The layers are made with the first choice and then only hidden while nothing is chosen: to
    remove one would be felt after each choice. That of the left half goes with the left half.

    Parameters
    ----------
    book : LayerBook
        Where the layers go.
    study : Study
        Whose cells are chosen.
    """

    def __init__(self, book: LayerBook, study: Study) -> None:
        self._book = book
        self._study = study
        self._overview = NucleiOverview(study.slide.shape, study.slide.mpp)
        self._viewer: Any = book.viewer
        self._viewer.canvas.grid.events.enabled.connect(self._on_grid)

    @property
    def shown(self) -> Nuclei:
        """The chosen cells that have a nucleus."""
        return self._overview.nuclei

    def follow(self) -> None:
        """Show what is chosen now, even if the user deleted the layer meanwhile."""
        if len(self._study.chosen):
            self._book.revive(Role.CHOSEN)
            self._book.revive(Role.CHOSEN_COPY)
        self._draw()

    def follow_nuclei(self) -> None:
        """Show the outlines of the chosen cells as they are now."""
        if len(self._study.chosen) or len(self.shown):
            self._draw()

    def rescale(self) -> None:
        """Move the layers to the slide's present pixel size."""
        place = geometry(self._study.slide)
        self._overview.set_mpp(self._study.slide.mpp)
        for layer in self._layers():
            layer.scale, layer.units = place["scale"], place["units"]
            layer.refresh(extent=False, highlight=False, thumbnail=False)

    def close(self) -> None:
        """Stop listening to the viewer."""
        self._viewer.canvas.grid.events.enabled.disconnect(self._on_grid)

    def _draw(self) -> None:
        nuclei = self._study.nuclei
        places = nuclei.rows.find(self._study.chosen)
        chosen = nuclei.take(places[places >= 0])
        self._overview.show(chosen)
        self._show()

    def _show(self) -> None:
        """Add the layers that are needed, and hide those that are not."""
        some, divided = len(self.shown) > 0, self._divided
        self._reveal(Role.CHOSEN, CHOSEN_NAME, some)
        self._reveal(Role.CHOSEN_COPY, _COPY_NAME, some and divided)
        copy = self._book.get(Role.SLIDE_COPY)
        if divided and copy is not None:
            # Keeps the left half the left half: the grid counts layers.
            self._viewer.canvas.grid.stride = self._viewer.layers.index(copy)

    def _reveal(self, role: Role, name: str, wanted: bool) -> None:
        layer = self._book.get(role)
        if layer is None:
            if wanted and not self._brought_back(role):
                self._book.add(role, self._layer(name))
        elif layer.visible != wanted:
            layer.visible = wanted
        elif wanted:
            layer.refresh(extent=False, highlight=False, thumbnail=False)

    def _brought_back(self, role: Role) -> bool:
        layer: Any = self._book.bring_back(role)
        if layer is None:
            return False
        place = geometry(self._study.slide)
        layer.scale, layer.units, layer.visible = place["scale"], place["units"], True
        layer.refresh(extent=False, highlight=False, thumbnail=False)
        return True

    @property
    def _divided(self) -> bool:
        return (
            bool(self._viewer.canvas.grid.enabled) and self._book.get(Role.SLIDE_COPY) is not None
        )

    def _layers(self) -> list[Any]:
        found = [self._book.get(role) for role in (Role.CHOSEN, Role.CHOSEN_COPY)]
        return [layer for layer in found if layer is not None]

    def _layer(self, name: str) -> Labels:
        layer = Labels(
            self._overview.levels,
            multiscale=True,
            name=name,
            opacity=1.0,
            colormap=_one_colour(),
            **geometry(self._study.slide),
        )
        layer.editable = False
        return layer

    def _on_grid(self) -> None:
        """Come and go with the left half of a comparison."""
        if not self._divided:
            self._book.put_away(Role.CHOSEN_COPY)
        if len(self.shown):
            self._show()


def _one_colour() -> CyclicLabelColormap:
    """Return the colours of what :class:`NucleiOverview` paints: one, stronger where denser."""
    colours = np.zeros((FIRST_DENSITY + len(CLASSES) + 1, 4), np.float32)
    colours[FIRST_OUTLINE:, :3] = COLOUR
    colours[FIRST_OUTLINE : FIRST_OUTLINE + len(Source), 3] = 1.0
    colours[FIRST_DENSITY:, 3] = np.linspace(_FAINTEST, _FULL, len(CLASSES) + 1)
    return CyclicLabelColormap(colors=colours, background_value=0)
