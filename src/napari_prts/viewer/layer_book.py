"""The layers that we made, found again by their role."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

ROLE_KEY = "prts_role"


class Role(StrEnum):
    """What a layer of ours shows."""

    SLIDE = "slide"
    NUCLEI = "nuclei"
    EDITING = "editing"
    MEASURED = "measured"
    BINS = "bins"
    SLIDE_COPY = "slide copy"
    PREDICTED = "predicted"
    DIFFERENCE = "difference"
    SWIPE_LINE = "swipe line"
    REGION = "region"
    CHOSEN = "chosen"
    CHOSEN_COPY = "chosen copy"


# Bottom to top; left of SLIDE_COPY is the left half of the comparison.
ORDER = (
    Role.SLIDE,
    Role.NUCLEI,
    Role.EDITING,
    Role.REGION,
    Role.MEASURED,
    Role.BINS,
    Role.CHOSEN_COPY,
    Role.SLIDE_COPY,
    Role.PREDICTED,
    Role.DIFFERENCE,
    Role.CHOSEN,
    Role.SWIPE_LINE,
)

# The sides of a comparison; exchanged when the user wants them the other way round.
_LEFT, _RIGHT = (Role.MEASURED, Role.BINS), (Role.PREDICTED,)


class LayerBook:
    """Adds our layers in a fixed order and leaves all others alone.

    A layer that the user deletes stays deleted until :meth:`revive` is called
    for its role, that is until the user asks for it again.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layers are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._removing = False
        self._order: tuple[Role, ...] = ORDER
        self._deleted: set[Role] = set()
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer that holds the layers."""
        return self._viewer

    def get(self, role: Role) -> Layer | None:
        """Return the layer of a role, or None."""
        for layer in self._viewer.layers:
            if layer.metadata.get(ROLE_KEY) == role:
                return layer
        return None

    def add(self, role: Role, layer: Layer) -> bool:
        """Add a layer, in its place among ours and below the user's layers above it.

        Returns
        -------
        bool
            False if the user deleted this role's layer, so that it was not added.
        """
        if role in self._deleted:
            return False
        self.remove(role)
        layer.metadata[ROLE_KEY] = role
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._place(role), layer)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active
        return True

    def _place(self, role: Role) -> int:
        below = self._order[: self._order.index(role)]
        place = 0
        for index, layer in enumerate(self._viewer.layers):
            if layer.metadata.get(ROLE_KEY) in below:
                place = index + 1
        return place

    def swap(self, swapped: bool) -> None:
        """Put the predicted side below (left of) the measured one, or back above it.

        Parameters
        ----------
        swapped : bool
            Whether the predicted side comes first. Layers are moved only when this changes:
            otherwise they stay where the user has dragged them.
        """
        order = _exchanged() if swapped else ORDER
        if order == self._order:
            return
        self._order = order
        layers = self._viewer.layers
        for role in order:
            layer = self.get(role)
            if layer is not None and layers.index(layer) < self._place(role):
                layers.move(layers.index(layer), self._place(role))

    def remove(self, role: Role) -> None:
        """Remove the layer of a role, if there is one."""
        layer = self.get(role)
        if layer is not None:
            self._removing = True
            try:
                self._viewer.layers.remove(layer)
            finally:
                self._removing = False

    def remove_all(self, roles: Iterable[Role]) -> None:
        """Remove the layers of several roles as one: napari collects all garbage each time."""
        there = [role for role in roles if self.get(role) is not None]
        if there:
            with self._viewer.layers.batched_update():
                for role in there:
                    self.remove(role)

    def revive(self, role: Role) -> None:
        """Allow a role's layer again after the user deleted it."""
        self._deleted.discard(role)

    def clear(self) -> None:
        """Remove all our layers and forget what the user deleted."""
        self.remove_all(Role)
        self._deleted.clear()

    def close(self) -> None:
        """Stop listening to the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        role = event.value.metadata.get(ROLE_KEY)
        if role is not None and not self._removing:
            self._deleted.add(Role(role))


def _exchanged() -> tuple[Role, ...]:
    """Our layers from bottom to top with the predicted side first."""
    first, last = ORDER.index(_LEFT[0]), ORDER.index(_RIGHT[-1]) + 1
    between = [role for role in ORDER[first:last] if role not in _LEFT + _RIGHT]
    return (*ORDER[:first], *_RIGHT, *between, *_LEFT, *ORDER[last:])
