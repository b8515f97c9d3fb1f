"""The editing window: nuclei as napari shapes, committed back by id.

napari redraws a whole Shapes layer for each edit, so only some nuclei can be
shapes at a time: all of a small slide, or those in view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Source
from napari_prts.viewer.nuclei_tones import SOURCE_COLOURS

if TYPE_CHECKING:
    from napari_prts.nuclei import Nuclei
    from napari_prts.study import Study

EDITING_NAME = "Nuclei (editing)"
# napari 0.9 needs 0.2 s to add 1,000 outlines, and 0.03 s for each edit among them.
LIMIT = 1200
OUTLINE_UM = 0.5


class EditingWindow:
    """Keeps a Shapes layer and the study's nuclei the same.

    Parameters
    ----------
    study : Study
        Its nuclei are shown and edited.
    complain : callable
        Called with a sentence for the user when an edit cannot be taken over.

    Attributes
    ----------
    layer : napari.layers.Shapes
        The layer; whoever made the window adds it to a viewer.
    committing : bool
        True while an edit made in the layer is being handed to the study.
    """

    def __init__(self, study: Study, complain: Callable[[str], None]) -> None:
        self._study = study
        self._complain = complain
        self._ids: list[int] = []
        self._shown: dict[int, str] = {}
        self._ours = False
        self.committing = False
        mpp = study.slide.mpp
        self._width = OUTLINE_UM / mpp if mpp else 1.5
        self.layer = Shapes(
            name=EDITING_NAME,
            ndim=2,
            edge_width=self._width,
            edge_color=np.array([SOURCE_COLOURS[Source.MANUAL]]),
            face_color=np.zeros((1, 4)),
        )
        self.layer.events.data.connect(self._on_data)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the nuclei shown, in the order of the layer's shapes."""
        return tuple(self._ids)

    def show(self, positions: NDArray[np.integer]) -> None:
        """Make the given nuclei, and no others, the layer's shapes.

        Parameters
        ----------
        positions : ndarray of int
            Positions in the study's nuclei.
        """
        nuclei = self._study.nuclei.take(positions)
        wanted = dict(zip(nuclei.ids.tolist(), nuclei.hashes.tolist(), strict=True))
        stale = [i for i, id_ in enumerate(self._ids) if wanted.get(id_) != self._shown[id_]]
        fresh = np.flatnonzero([self._shown.get(id_) != hash_ for id_, hash_ in wanted.items()])
        if not (stale or fresh.size):
            return
        with self._as_ours():
            self._drop(stale)
            if fresh.size:
                self._append(nuclei.take(fresh))

    @contextmanager
    def _as_ours(self) -> Iterator[None]:
        """Change shapes without taking that for the user's edit; drawn once, at the end."""
        self._ours = True
        try:
            with self.layer.block_thumbnail_update():
                # Each of napari's steps would draw the layer and measure all others.
                with self.layer.events.blocker_all():
                    yield
                self.layer.refresh()
        finally:
            self._ours = False

    def _drop(self, indices: list[int]) -> None:
        if not indices:
            return
        self.layer.selected_data = set()
        self.layer.remove(indices)
        gone = set(indices)
        for index in indices:
            self._shown.pop(self._ids[index], None)
        self._ids = [id_ for i, id_ in enumerate(self._ids) if i not in gone]

    def _append(self, nuclei: Nuclei) -> None:
        colours = np.array([SOURCE_COLOURS[Source(source)] for source in nuclei.sources])
        self.layer.add_polygons(
            nuclei.polygons(),
            edge_width=self._width,
            edge_color=colours,
            face_color=np.zeros((len(nuclei), 4)),
        )
        self._ids += nuclei.ids.tolist()
        self._shown.update(zip(nuclei.ids.tolist(), nuclei.hashes.tolist(), strict=True))

    def _on_data(self, event: Any) -> None:
        if self._ours:
            return
        action = str(event.action)
        if action not in ("added", "removed", "changed"):
            return
        commit = {"added": self._added, "removed": self._removed, "changed": self._changed}[action]
        self.committing = True
        try:
            commit(event.data_indices)
        except NucleiError as error:
            self._complain(str(error))
            self._restore()
        finally:
            self.committing = False

    def _added(self, _: Any) -> None:
        count = self.layer.nshapes - len(self._ids)
        outlines = [self._outline(len(self._ids) + i) for i in range(count)]
        new = self._study.edit(added=outlines, label="draw nucleus")
        self._ids += new
        self._remember(new)

    def _removed(self, indices: Any) -> None:
        gone = {index % len(self._ids) for index in indices}
        ids = [self._ids[index] for index in gone]
        self._ids = [id_ for i, id_ in enumerate(self._ids) if i not in gone]
        for id_ in ids:
            self._shown.pop(id_, None)
        name = "delete nucleus" if len(ids) == 1 else f"delete {len(ids)} nuclei"
        self._study.edit(removed=ids, label=name)

    def _changed(self, indices: Any) -> None:
        replaced = {}
        for index in indices:
            position = index % len(self._ids)
            replaced[self._ids[position]] = self._outline(position)
        self._study.edit(replaced=replaced, label="move outline")
        self._remember(list(replaced))

    def _outline(self, index: int) -> NDArray[np.float32]:
        info = self.layer.get_shape_info(index)
        data = np.asarray(info["data"], np.float32)
        if info["shape_type"] == "ellipse":
            return _ellipse(data)
        return data

    def _remember(self, ids: list[int]) -> None:
        nuclei = self._study.nuclei
        hashes = nuclei.take(nuclei.positions_of(ids)).hashes.tolist()
        self._shown.update(zip(ids, hashes, strict=True))
        mended = [id_ for id_ in ids if self._differs(id_)]
        if mended:
            self._shown.update(dict.fromkeys(mended, ""))
            self.show(nuclei.positions_of(self._ids))

    def _differs(self, id_: int) -> bool:
        """Whether the study mended an outline, such as one drawn across itself."""
        nuclei = self._study.nuclei
        kept = nuclei.polygon(int(nuclei.positions_of([id_])[0]))
        drawn = np.asarray(self.layer.get_shape_info(self._ids.index(id_))["data"], np.float32)
        return not np.array_equal(kept, drawn)

    def _restore(self) -> None:
        """Show what the study has, after an edit that it refused."""
        known = list(self._ids)
        with self._as_ours():
            self.layer.selected_data = set()
            self.layer.remove(list(range(self.layer.nshapes)))
        self._ids, self._shown = [], {}
        nuclei = self._study.nuclei
        self.show(np.flatnonzero(np.isin(nuclei.ids, known)))


def _ellipse(corners: NDArray[np.float32], points: int = 32) -> NDArray[np.float32]:
    """Outline of the ellipse in a box of four corners, as napari stores ellipses."""
    centre = corners.mean(axis=0)
    first = (corners[1] - corners[0]) / 2
    second = (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * first + np.sin(angle) * second, np.float32)
