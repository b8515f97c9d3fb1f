"""One section and one model for all tests of this room: training takes seconds."""

from __future__ import annotations

import pytest

from napari_prts.expression import ModelBundle, TrainRequest, train
from napari_prts.jobs import run
from tests.expression.sections import Section, make_section


@pytest.fixture(scope="session")
def section() -> Section:
    return make_section()


@pytest.fixture(scope="session")
def bundle(section: Section) -> ModelBundle:
    job = train(
        section.features,
        section.measured,
        section.nuclei,
        section.slide,
        TrainRequest(epochs=12, batch=64, device="cpu"),
    )
    return run(job)
