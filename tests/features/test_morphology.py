"""The encoder that needs no weights."""

from __future__ import annotations

import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder
from napari_prts.features import morphology as module
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei, measure_nuclei, neighbourhood
from napari_prts.slide import Slide


def test_local_is_what_is_measured_and_context_its_neighbourhood(
    noise_slide: Slide, scattered: Nuclei
) -> None:
    features = run(extract(noise_slide, scattered, ExtractRequest("morphology")))
    measured = run(measure_nuclei(noise_slide, scattered))
    _, around = neighbourhood(measured.values, scattered.centroids * 0.5, (25.0, 50.0, 100.0))
    assert np.array_equal(features.local, measured.values)
    np.testing.assert_allclose(features.context, around, rtol=1e-5)
    assert np.array_equal(features.matrix, np.hstack([features.context, features.local]))
    assert np.isfinite(features.matrix).all()


def test_its_columns_are_those_that_are_measured(noise_slide: Slide, scattered: Nuclei) -> None:
    encoder = load_encoder("morphology")
    measured = run(measure_nuclei(noise_slide, scattered))
    assert encoder.local_names == measured.names
    assert encoder.local_size == len(measured.names)
    assert encoder.context_size == 3 * (len(measured.names) + 1)
    assert encoder.key == load_encoder("morphology").key


def test_groups_change_nothing(
    noise_slide: Slide, scattered: Nuclei, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = run(extract(noise_slide, scattered, ExtractRequest()))
    monkeypatch.setattr(module, "_GROUP", 7)
    in_groups = run(extract(noise_slide, scattered, ExtractRequest()))
    assert np.array_equal(at_once.matrix, in_groups.matrix)


def test_an_edited_nucleus_changes_its_neighbours_context_but_not_their_local_part(
    noise_slide: Slide, tmp_path: object
) -> None:
    square = np.array([[0, 0], [0, 10], [10, 10], [10, 0]], dtype=np.float32)
    nuclei = Nuclei.from_polygons([square + at for at in (100, 120, 400)])
    store = FeatureStore(tmp_path)
    before = run(extract(noise_slide, nuclei, ExtractRequest(), store))
    after = run(
        extract(noise_slide, nuclei.replace(0, square * 1.5 + 100), ExtractRequest(), store)
    )
    assert not np.array_equal(before.local[0], after.local[0])
    assert np.array_equal(before.local[1:], after.local[1:])
    assert not np.array_equal(before.context[1], after.context[1]), "a neighbour has grown"
    assert np.array_equal(before.context[2], after.context[2]), "too far away"


def test_an_unknown_device_is_refused(noise_slide: Slide, scattered: Nuclei) -> None:
    with pytest.raises(ModelError, match="Device 'tpu' is unknown"):
        run(extract(noise_slide, scattered, ExtractRequest(device="tpu")))
