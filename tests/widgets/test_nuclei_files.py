"""Importing and exporting nuclei in the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_prts.nuclei.formats.reading import read_nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.widgets import Workspace, _nuclei_panel
from tests.widgets.conftest import wait

TABLE = (
    'id,wkt\n3,"POLYGON ((5 5, 20 5, 20 20, 5 5))"\n6,"POLYGON ((9 9, 20 20, 30 30, 9 9))"\n'
    '7,"POLYGON ((50 50, 70 70, 50 70, 66 50, 50 50))"\n'
)


@pytest.mark.parametrize("name", ["n.geojson", "n.parquet", "n.csv", "n.tif", "n.zarr"])
def test_in_and_out_with_what_was_left_out(
    workspace: Workspace,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(_nuclei_panel, "show_warning", said.append)
    study = Study(Slide.from_array(np.full((300, 400, 3), 240, np.uint8), mpp=0.5, name="glass"))
    workspace.session.show(study)
    (tmp_path / "bad.csv").write_text(TABLE)
    workspace.nuclei.import_nuclei(tmp_path / "bad.csv")
    wait(qtbot, workspace)
    assert study.nuclei.ids.tolist() == [3, 7]
    (warning,) = said
    assert "1 outline has no area and was left out: id 6." in warning
    assert "1 outline crossed itself and was mended: id 7." in warning
    workspace.nuclei.export_nuclei(tmp_path / name)
    wait(qtbot, workspace)
    assert read_nuclei(tmp_path / name, (300, 400)).ids.tolist() == [3, 7]
    chosen = tmp_path / name / ".zgroup" if name.endswith(".zarr") else tmp_path / name
    workspace.nuclei.import_nuclei(chosen)
    wait(qtbot, workspace)
    assert study.nuclei.ids.tolist() == [3, 7]
