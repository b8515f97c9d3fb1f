"""Shapes and nuclei are the same thing, whoever changes them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.nuclei import Nuclei, Source
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer.editing_window import EditingWindow

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


@pytest.fixture
def study() -> Study:
    study = Study(Slide.from_array(np.full((300, 300, 3), 240, np.uint8), mpp=0.5))
    study.set_nuclei(Nuclei.from_polygons([SQUARE + 30 * i for i in range(5)]))
    return study


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def window(study: Study, said: list[str]) -> EditingWindow:
    window = EditingWindow(study, said.append)

    def follow() -> None:
        if not window.committing:
            window.show(np.arange(len(study.nuclei)))

    study.nuclei_changed.connect(follow)
    follow()
    window.keep = follow  # type: ignore[attr-defined]
    return window


def same(window: EditingWindow, study: Study) -> bool:
    shapes = {id_: np.asarray(window.layer.data[i], np.float32) for i, id_ in enumerate(window.ids)}
    nuclei = dict(zip(study.nuclei.ids.tolist(), study.nuclei.polygons(), strict=True))
    return shapes.keys() == nuclei.keys() and all(
        np.allclose(shapes[id_], nuclei[id_]) for id_ in nuclei
    )


def test_a_drawn_polygon_becomes_a_manual_nucleus(window: EditingWindow, study: Study) -> None:
    window.layer.add_polygons(SQUARE + 200)
    assert len(study.nuclei) == 6
    assert study.nuclei.sources[-1] == Source.MANUAL
    assert same(window, study)


def test_a_drawn_ellipse_becomes_its_outline(window: EditingWindow, study: Study) -> None:
    window.layer.add_ellipses(SQUARE + 200)
    area = float(study.nuclei.areas[-1])
    assert area == pytest.approx(np.pi * 25, rel=0.02)


def test_a_deleted_shape_deletes_its_nucleus(window: EditingWindow, study: Study) -> None:
    gone = window.ids[2]
    window.layer.selected_data = {2}
    window.layer.remove_selected()
    assert gone not in study.nuclei.ids
    assert same(window, study)


def test_undo_brings_the_shape_back(window: EditingWindow, study: Study) -> None:
    window.layer.selected_data = {0, 3}
    window.layer.remove_selected()
    assert window.layer.nshapes == 3
    study.undo()
    assert window.layer.nshapes == 5
    assert same(window, study)
    study.redo()
    assert window.layer.nshapes == 3
    assert same(window, study)


def test_a_moved_outline_is_committed_under_its_id(window: EditingWindow, study: Study) -> None:
    moved = window.ids[1]
    data = list(window.layer.data)
    data[1] = data[1] + 3
    window.layer._data_view.edit(1, data[1])
    window.layer.events.data(
        value=window.layer.data, action="changed", data_indices=(1,), vertex_indices=((),)
    )
    position = study.nuclei.positions_of([moved])[0]
    assert study.nuclei.sources[position] == Source.EDITED
    assert same(window, study)


def test_an_outline_drawn_across_itself_is_shown_as_it_was_mended(
    window: EditingWindow, study: Study
) -> None:
    window.layer.add_polygons(np.array([[200.0, 200], [230, 230], [200, 230], [228, 200]]))
    assert len(study.nuclei) == 6
    assert study.nuclei.areas[-1] > 0
    assert same(window, study)


def test_an_impossible_outline_is_refused_with_a_sentence(
    window: EditingWindow, study: Study, said: list[str]
) -> None:
    window.layer.add_polygons(np.array([[1.0, 1], [1, 1], [1, 1]]))
    assert len(study.nuclei) == 5
    assert said
    assert same(window, study)
