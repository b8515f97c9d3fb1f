"""The layers that we made, found again by their role."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from napari_prts.viewer.layer_changes import LayerChanges

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
    for its role, that is until the user asks for it again. A layer that is not in use is put
    away, out of the viewer's list, and comes back as it was, with all that the user set on it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the layers are.

    Attributes
    ----------
    changes : LayerChanges
        By which several layers come and go at once.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._removing = False
        self._order: tuple[Role, ...] = ORDER
        self._deleted: set[Role] = set()
        self._away: dict[Role, Layer] = {}
        self.changes = LayerChanges(viewer)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def viewer(self) -> ViewerModel:
        """The viewer that holds the layers."""
        return self._viewer

    def get(self, role: Role) -> Layer | None:
        """Return the layer of a role that is in the viewer, or None."""
        for layer in self._viewer.layers:
            if layer.metadata.get(ROLE_KEY) == role:
                return layer
        return None

    def holds(self, role: Role, layer: Layer) -> bool:
        """Whether a layer is that of a role: in the viewer, or put away."""
        return layer is self._away.get(role) or layer is self.get(role)

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
        self._insert(role, layer)
        return True

    def _insert(self, role: Role, layer: Layer) -> None:
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._place(role), layer)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active

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
        """Remove the layer of a role, if there is one, and forget it."""
        self.put_away(role)
        self._away.pop(role, None)

    def put_away(self, role: Role) -> None:
        """Take the layer of a role out of the viewer, until :meth:`bring_back`."""
        layer = self.get(role)
        if layer is None:
            return
        selection = self._viewer.layers.selection
        was_active = selection.active is layer
        self._removing = True
        try:
            self._viewer.layers.remove(layer)
        finally:
            self._removing = False
        self._away[role] = layer
        self.changes.note_removed()
        slide = self.get(Role.SLIDE)
        if was_active and slide is not None:
            # Without an active layer no key of ours would be heard.
            selection.active = slide

    def bring_back(self, role: Role) -> Layer | None:
        """Put a layer that was put away into the viewer again; return it, or None."""
        layer = self._away.pop(role, None)
        if layer is not None:
            self._insert(role, layer)
        return layer

    @contextmanager
    def to_have(self, wanted: Collection[Role], among: Collection[Role]) -> Iterator[None]:
        """Change which layers there are, as one change if there is any.

        Parameters
        ----------
        wanted : collection of Role
            Those that shall be in the viewer afterwards.
        among : collection of Role
            Those that come and go.
        """
        there = {role for role in among if self.get(role) is not None}
        if there == set(wanted) - self._deleted:
            yield
            return
        with self.changes.at_once():
            yield

    def remove_all(self, roles: Iterable[Role]) -> None:
        """Remove the layers of several roles as one change, and forget them."""
        listed = list(roles)
        with self.to_have((), listed):
            for role in listed:
                self.remove(role)

    def revive(self, role: Role) -> None:
        """Allow a role's layer again after the user deleted it."""
        self._deleted.discard(role)

    def clear(self) -> None:
        """Remove all our layers and forget what the user deleted."""
        self.remove_all(Role)
        self._deleted.clear()
        self._away.clear()
        # A slide leaves the screen: its memory is wanted back.
        self.changes.collect()

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
