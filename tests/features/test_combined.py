"""Encoders side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_prts.errors import ModelError
from napari_prts.features import ExtractRequest, FeatureStore, extract, load_encoder
from napari_prts.features.morphology import MorphologyEncoder
from napari_prts.features.worklist import Worklist
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from tests.features.conftest import TINY

BOTH = f"morphology+{TINY}"


@pytest.fixture
def parts(noise_slide: Slide, scattered: Nuclei) -> list:
    return [run(extract(noise_slide, scattered, ExtractRequest(n))) for n in ("morphology", TINY)]


def test_the_parts_stand_side_by_side(noise_slide: Slide, scattered: Nuclei, parts: list) -> None:
    both = run(extract(noise_slide, scattered, ExtractRequest(BOTH)))
    assert np.array_equal(both.local, np.hstack([part.local for part in parts]))
    assert np.array_equal(both.context, np.hstack([part.context for part in parts]))
    assert both.encoder == BOTH
    assert set(both.settings) == {"extraction", "morphology", TINY}


def test_name_and_key_are_made_of_those_of_the_parts() -> None:
    both = load_encoder(BOTH)
    assert both.name == BOTH
    assert load_encoder("morphology").key in both.key
    assert load_encoder(TINY).key in both.key
    assert both.key == load_encoder(f"morphology + {TINY}").key
    assert both.key != load_encoder(f"{TINY}+morphology").key, "the columns differ"
    assert (both.local_size, both.mpp) == (32 + 22, 0.5)
    assert "BSD-3-Clause" in both.licence
    assert "random weights" in both.licence


def test_morphology_and_unet_need_no_download() -> None:
    both = load_encoder("morphology+unet")
    assert both.local_size == load_encoder("morphology").local_size + 128


def test_what_one_part_has_encoded_is_found_again(
    noise_slide: Slide, scattered: Nuclei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    run(extract(noise_slide, scattered, ExtractRequest("morphology"), store))
    asked: list[int] = []
    original = MorphologyEncoder.encode

    def counting(self: MorphologyEncoder, slide: Slide, nuclei: Nuclei, work: Worklist, how):
        asked.append(len(work))
        return original(self, slide, nuclei, work, how)

    monkeypatch.setattr(MorphologyEncoder, "encode", counting)
    run(extract(noise_slide, scattered, ExtractRequest(BOTH), store))
    assert asked == [0]


def test_progress_counts_each_nucleus_once(noise_slide: Slide, scattered: Nuclei) -> None:
    seen: list[Progress] = []
    run(extract(noise_slide, scattered, ExtractRequest(BOTH)), seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert {progress.total for progress in seen} == {60}
    assert (done[0], done[-1]) == (0, 60)
    assert any(0 < count < 60 for count in done)


@pytest.mark.parametrize("name", ["morphology+morphology", "morphology+", "+unet"])
def test_what_is_no_combination_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"each once|is no combination"):
        load_encoder(name)


def test_a_file_with_a_plus_in_its_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a+b.pth"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match=r"a\+b\.pth"):
        load_encoder(path)
