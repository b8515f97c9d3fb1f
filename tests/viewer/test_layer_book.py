"""Our layers are found by role, kept in order, and stay away once the user deleted them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
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


def test_a_layer_that_is_put_away_comes_back_to_its_place_as_it_was() -> None:
    viewer = ViewerModel()
    book = LayerBook(viewer)
    for role in (Role.SLIDE, Role.MEASURED, Role.PREDICTED):
        book.add(role, image(role))
    mine = viewer.add_points(np.zeros((1, 2)), name="mine")
    layer = book.get(Role.MEASURED)
    layer.opacity = 0.3
    book.put_away(Role.MEASURED)
    assert book.get(Role.MEASURED) is None
    assert book.holds(Role.MEASURED, layer)
    assert book.bring_back(Role.MEASURED) is layer
    assert [each.name for each in viewer.layers] == ["slide", "measured", "predicted", "mine"]
    assert viewer.layers[-1] is mine
    assert book.get(Role.MEASURED).opacity == 0.3
    assert book.bring_back(Role.MEASURED) is None, "it is there already"
    book.put_away(Role.MEASURED)
    book.remove(Role.MEASURED)
    assert not book.holds(Role.MEASURED, layer)


@pytest.fixture
def thawed() -> Iterator[None]:
    """No object is kept from being looked through, as in a window."""
    frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    yield
    if frozen:
        gc.freeze()


@pytest.mark.usefixtures("thawed")
def test_garbage_is_collected_when_nobody_waits() -> None:
    viewer = ViewerModel()
    book = LayerBook(viewer)
    book.add(Role.SLIDE, image("H&E"))
    with book.to_have({Role.SLIDE, Role.MEASURED}, Role):
        book.add(Role.MEASURED, image("Measured"))
    with book.to_have({Role.SLIDE}, Role), book.changes.at_once():
        book.put_away(Role.MEASURED)
    assert book.changes.left == 1
    assert not gc.get_freeze_count(), "what was put off is looked through again"
    book.changes.collect()
    assert book.changes.left == 0


@pytest.mark.usefixtures("thawed")
def test_a_change_that_fails_leaves_napari_as_it_was() -> None:
    viewer = ViewerModel()
    told: list[str] = []
    viewer.layers.events.end_batch.connect(lambda: told.append("end"))
    changes = LayerBook(viewer).changes
    with pytest.raises(ValueError, match="no such layer"), changes.at_once():
        raise ValueError("no such layer")
    assert told == ["end"]
    assert not gc.get_freeze_count()
