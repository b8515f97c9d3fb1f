"""Our layers are found by role, kept in order, and stay away once the user deleted them."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_prts.viewer import LayerBook, Role


def image(name: str) -> Image:
    return Image(np.zeros((4, 4)), name=name)


def test_layers_keep_the_order_of_work_whatever_comes_first() -> None:
    viewer = ViewerModel()
    book = LayerBook(viewer)
    book.add(Role.PREDICTED, image("Predicted"))
    book.add(Role.SLIDE, image("H&E"))
    book.add(Role.EDITING, image("Nuclei (editing)"))
    assert [layer.name for layer in viewer.layers] == ["H&E", "Nuclei (editing)", "Predicted"]


def test_the_users_own_layers_are_left_alone() -> None:
    viewer = ViewerModel()
    own = viewer.add_points(np.zeros((1, 2)), name="my points")
    book = LayerBook(viewer)
    book.add(Role.SLIDE, image("H&E"))
    book.clear()
    assert list(viewer.layers) == [own]


def test_a_deleted_layer_stays_deleted_until_asked_for() -> None:
    viewer = ViewerModel()
    book = LayerBook(viewer)
    book.add(Role.MEASURED, Points(np.zeros((1, 2))))
    viewer.layers.remove(book.get(Role.MEASURED))
    assert not book.add(Role.MEASURED, Points(np.zeros((1, 2))))
    book.revive(Role.MEASURED)
    assert book.add(Role.MEASURED, Points(np.zeros((1, 2))))


def test_replacing_a_layer_is_not_the_user_deleting_it() -> None:
    viewer = ViewerModel()
    book = LayerBook(viewer)
    book.add(Role.SLIDE, image("first"))
    assert book.add(Role.SLIDE, image("second"))
    assert [layer.name for layer in viewer.layers] == ["second"]
