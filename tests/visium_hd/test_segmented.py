"""The nuclei and cells that Space Ranger 4 finds and measures itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

from napari_prts.errors import VisiumHDError
from napari_prts.jobs import run
from napari_prts.slide import Slide
from napari_prts.visium_hd import MeasureRequest, measure_segmented, read_segmented

from .conftest import write_matrix

IDS = [1, 2, 5]
CORNERS = {1: (10, 10), 2: (10, 30), 5: (40, 60)}
SegmentedWriter = Callable[..., Path]
ALL = MeasureRequest(min_umi=0, max_mito=1.01, select_genes=False)


def _square(corner: tuple[int, int], side: int) -> list[list[int]]:
    """Closed ring in (x, y)."""
    row, column = corner
    steps = [(0, 0), (0, side), (side, side), (side, 0), (0, 0)]
    return [[column + right, row + down] for down, right in steps]


def _write_outlines(path: Path, corners: dict[int, tuple[int, int]], side: int) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [_square(corner, side)]},
            "properties": {"cell_id": number},
        }
        for number, corner in corners.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture
def write_segmented(tmp_path: Path) -> SegmentedWriter:
    """Write segmented_outputs with nuclei of 4 px in cells of 8 px; returns ``outs``."""

    def write(ids: list[int] = IDS, **changed: Any) -> Path:
        folder = tmp_path / "outs" / "segmented_outputs"
        (folder / "spatial").mkdir(parents=True)
        corners = changed.get("corners", CORNERS)
        inner = {number: (row + 2, column + 2) for number, (row, column) in corners.items()}
        _write_outlines(folder / "nucleus_segmentations.geojson", inner, 4)
        _write_outlines(folder / "cell_segmentations.geojson", changed.get("cells", CORNERS), 8)
        counts = changed.get("counts", [[5, 0, 1], [0, 3, 0], [2, 2, 2]])
        names = changed.get("barcodes", [f"cellid_{number:09d}-1" for number in ids])
        matrix = folder / "filtered_feature_cell_matrix.h5"
        write_matrix(matrix, np.array(counts)[: len(ids)], ["A", "MT-CO1", "B"], names)
        scales = {"microns_per_pixel": 0.5, "tissue_hires_scalef": 0.1}
        (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(scales))
        return tmp_path / "outs"

    return write


@pytest.fixture
def slide() -> Slide:
    return Slide.from_array(np.full((100, 100, 3), 240, np.uint8), mpp=0.5)


def _cells(slide: Slide, outs: Path, outlines: str, request: MeasureRequest = ALL) -> AnnData:
    return run(measure_segmented(slide, read_segmented(outs, outlines), request))


@pytest.mark.parametrize(("outlines", "side"), [("nucleus", 4), ("cell", 8)])
def test_outlines_and_counts_have_the_same_ids(
    slide: Slide, write_segmented: SegmentedWriter, outlines: str, side: int
) -> None:
    outs = write_segmented()
    section = read_segmented(outs, outlines)
    assert section.nuclei.ids.tolist() == IDS
    assert section.nuclei.areas.tolist() == [side**2] * 3
    cells = _cells(slide, outs, outlines)
    assert cells.obs["id"].tolist() == IDS
    assert cells.obs_names.tolist() == ["1", "2", "5"]
    assert cells.X.toarray().tolist() == [[5, 0, 1], [0, 3, 0], [2, 2, 2]]
    assert cells.obs["area_um2"].tolist() == [side**2 * 0.25] * 3
    assert cells.obsm["spatial"].tolist() == [[14, 14], [34, 14], [64, 44]], "x before y"
    told = cells.uns["visium_hd"]
    assert (told["cells_by"], told["outlines"]) == ("Space Ranger", outlines)
    assert told["slide_fingerprint"] == slide.fingerprint


def test_nuclei_without_counts_stay_nuclei(slide: Slide, write_segmented: SegmentedWriter) -> None:
    """The file of outlines has more of them than the filtered matrix has cells."""
    section = read_segmented(write_segmented([2, 5]))
    assert section.nuclei.ids.tolist() == IDS
    assert section.ids.tolist() == [2, 5]


def test_the_papers_filters_hold_here_too(slide: Slide, write_segmented: SegmentedWriter) -> None:
    request = MeasureRequest(min_umi=2, max_mito=0.5, select_genes=False)
    cells = _cells(slide, write_segmented(), "cell", request)
    assert cells.obs["id"].tolist() == [1, 5]
    assert cells.uns["visium_hd"]["filters"]["after_umi"] == 3


def test_grown_cells_are_not_grown_again(slide: Slide, write_segmented: SegmentedWriter) -> None:
    with pytest.raises(VisiumHDError, match="grown already"):
        _cells(slide, write_segmented(), "cell", MeasureRequest(grow_um=2))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"ids": [1, 2, 77]}, "1 of the 3 cells .*different runs"),
        ({"barcodes": ["s_002um_00000_00000-1"] * 3}, "not a matrix of cells"),
        ({"barcodes": ["cellid_x-1"] * 3}, "not a matrix of cells"),
        ({"barcodes": ["cellid_000000001-1"] * 3}, "names a cell twice"),
        ({"corners": {1: (70, 70), 2: (10, 70), 5: (70, 10)}}, "outside the cell of the same id"),
        ({"counts": [[0.5, 0, 1]] * 3}, "not counts"),
    ],
)
def test_parts_of_different_runs_are_refused(
    write_segmented: SegmentedWriter, changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(VisiumHDError, match=reason):
        read_segmented(write_segmented(**changed))


@pytest.mark.parametrize(
    "missing",
    [
        "nucleus_segmentations.geojson",
        "filtered_feature_cell_matrix.h5",
        "spatial/scalefactors_json.json",
    ],
)
def test_a_missing_file_is_named(write_segmented: SegmentedWriter, missing: str) -> None:
    outs = write_segmented()
    (outs / "segmented_outputs" / missing).unlink()
    with pytest.raises(VisiumHDError, match=Path(missing).name):
        read_segmented(outs)


def test_a_run_of_version_3_has_no_cells(tmp_path: Path) -> None:
    (tmp_path / "outs" / "binned_outputs").mkdir(parents=True)
    with pytest.raises(VisiumHDError, match="only Space Ranger 4"):
        read_segmented(tmp_path)


def test_another_slide_is_refused(slide: Slide, write_segmented: SegmentedWriter) -> None:
    small = Slide.from_array(np.full((30, 50, 3), 240, np.uint8), mpp=0.5)
    outs = write_segmented()
    with pytest.raises(VisiumHDError, match="outside the slide"):
        _cells(small, outs, "nucleus")
    with pytest.raises(VisiumHDError, match="another scale"):
        _cells(slide.with_mpp(0.25, "user"), outs, "nucleus")
