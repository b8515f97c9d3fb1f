"""A Study holds one slide and all that is known of it, and tells when it changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_prts.errors import ExpressionError, NucleiError, PrtsError, SlideError
from napari_prts.nuclei import Nuclei, Source
from napari_prts.slide import Slide
from napari_prts.study import Study, open_study

SQUARE = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], np.float32)


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    study = Study(tissue_slide)
    study.set_nuclei(tissue_nuclei, {"model": "threshold"})
    return study


def listen(study: Study) -> list[str]:
    heard: list[str] = []
    study.nuclei_changed.connect(lambda: heard.append("nuclei"))
    study.slide_changed.connect(lambda: heard.append("slide"))
    return heard


def test_an_edit_is_one_step_and_tells_listeners(study: Study) -> None:
    heard = listen(study)
    count, first = len(study.nuclei), int(study.nuclei.ids[0])
    study.edit(removed=[first], added=[SQUARE], label="swap")
    assert len(study.nuclei) == count
    assert first not in study.nuclei.ids
    assert heard == ["nuclei"]
    assert study.undo() == "swap"
    assert first in study.nuclei.ids
    assert study.redo() == "swap"
    assert first not in study.nuclei.ids


def test_a_moved_outline_keeps_its_id_and_is_called_edited(study: Study) -> None:
    target = int(study.nuclei.ids[3])
    study.edit(replaced={target: SQUARE})
    position = study.nuclei.positions_of([target])[0]
    assert study.nuclei.sources[position] == Source.EDITED
    np.testing.assert_array_equal(study.nuclei.polygon(position), SQUARE)


def test_an_edit_of_an_unknown_nucleus_is_refused_and_changes_nothing(study: Study) -> None:
    before = study.nuclei
    with pytest.raises(NucleiError):
        study.edit(removed=[10**9])
    assert study.nuclei is before


def test_provenance_counts_corrections(study: Study) -> None:
    study.edit(added=[SQUARE])
    assert study.nuclei_provenance["model"] == "threshold"
    assert study.nuclei_provenance["corrections"]["added"] == 1


def test_segmenting_a_region_leaves_nuclei_elsewhere(study: Study) -> None:
    row, column, height, width = region = (100.0, 100.0, 200.0, 200.0)
    inside = study.nuclei.in_rectangle(row, column, row + height, column + width)
    outside = np.setdiff1d(study.nuclei.ids, study.nuclei.ids[inside])
    found = Nuclei.from_polygons([SQUARE + 150], source=Source.STARDIST)
    study.set_segmented(found, region, {})
    assert len(study.nuclei) == len(outside) + 1
    assert np.isin(outside, study.nuclei.ids).all()


def test_new_nuclei_drop_tables_that_belong_to_the_old_ones(study: Study) -> None:
    import anndata
    import pandas as pd

    ids = study.nuclei.ids
    rows = pd.DataFrame({"id": ids}, index=ids.astype(str))
    study.set_predicted(anndata.AnnData(np.ones((len(ids), 1), np.float32), obs=rows))
    assert len(study.rows_of_current_nuclei("predicted")) == len(ids)
    study.edit(removed=ids[:2].tolist())
    assert len(study.rows_of_current_nuclei("predicted")) == len(ids) - 2
    study.set_nuclei(Nuclei.from_polygons([SQUARE]))
    assert study.predicted is None


def test_pixel_size_can_be_stated_but_not_absurdly(study: Study) -> None:
    heard = listen(study)
    study.set_mpp(0.5)
    assert study.slide.mpp == 0.5
    assert heard == ["slide"]
    with pytest.raises(SlideError):
        study.set_mpp(500)


def test_asking_for_what_is_not_there_says_what_to_do(study: Study) -> None:
    with pytest.raises(ExpressionError, match="predict first"):
        study.expression("predicted")
    with pytest.raises(ExpressionError, match="No model"):
        study.predict()


def test_save_and_open_give_the_same_nuclei(demo_slide_path: Path, tmp_path: Path) -> None:
    import napari_prts

    study = napari_prts.open(demo_slide_path)
    study.edit(added=[SQUARE, SQUARE + 40])
    study.save(tmp_path / "study")
    again = open_study(tmp_path / "study")
    np.testing.assert_array_equal(again.nuclei.ids, study.nuclei.ids)
    np.testing.assert_array_equal(again.nuclei.vertices, study.nuclei.vertices)
    assert again.slide.fingerprint == study.slide.fingerprint


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PrtsError, match="no saved study"):
        open_study(tmp_path)


def test_corrections_are_kept_and_found_by_slide(study: Study) -> None:
    study.edit(added=[SQUARE])
    assert study.autosave.wait().at is not None
    again = Study(study.slide)
    assert again.recoverable is not None
    assert again.recoverable.edits == 1
    np.testing.assert_array_equal(again.restore().ids, study.nuclei.ids)
    assert again.nuclei_provenance == study.nuclei_provenance
