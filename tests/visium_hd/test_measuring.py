"""Bins into cells: sums, filters, gene selection, and sections that do not fit the slide."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData, read_h5ad
from numpy.typing import NDArray

from napari_prts.errors import MissingPixelSizeError, NucleiError, VisiumHDError
from napari_prts.jobs import Progress, run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd import MeasureRequest, measure, read_space_ranger

from .conftest import FolderWriter


def _moved(outline: NDArray[np.float32], row: float, column: float) -> NDArray[np.float32]:
    return outline + np.array([row, column], np.float32)


ALL = MeasureRequest(min_umi=0, max_mito=1.01, select_genes=False)


@pytest.fixture
def slide() -> Slide:
    """White glass of 100 x 100 px at 0.5 um/px."""
    return Slide.from_array(np.full((100, 100, 3), 240, np.uint8), mpp=0.5)


@pytest.fixture
def two_nuclei() -> Nuclei:
    """Two squares of 10 x 10 px = 25 um2 each, which overlap in one column of bins."""
    outline = np.array([(0, 0), (0, 10), (10, 10), (10, 0)], np.float32)
    return Nuclei.from_polygons([_moved(outline, 20, 20), _moved(outline, 20, 28)], ids=[7, 3])


def _cells(slide: Slide, nuclei: Nuclei, outs: Path, request: MeasureRequest = ALL) -> AnnData:
    return run(measure(slide, nuclei, read_space_ranger(outs), request))


def test_bins_are_summed_into_their_nucleus(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    positions = [[25, 22], [28, 26], [25, 29], [25, 35], [60, 60]]
    counts = [[1, 0, 2], [3, 0, 0], [50, 50, 50], [0, 4, 1], [9, 9, 9]]
    cells = _cells(slide, two_nuclei, write_folder(counts, positions, ["A", "MT-CO1", "B"]))
    assert cells.X.toarray().tolist() == [[4, 0, 2], [0, 4, 1]]
    assert np.issubdtype(cells.X.dtype, np.integer)
    assert cells.obs_names.tolist() == ["7", "3"]
    assert cells.obs["id"].tolist() == [7, 3]
    assert cells.obs["area_um2"].tolist() == [25.0, 25.0]
    assert cells.obs["n_umi"].tolist() == [6, 5]
    assert cells.obs["n_genes"].tolist() == [2, 2]
    assert cells.obs["mito"].tolist() == pytest.approx([0.0, 0.8])
    assert cells.var["gene_ids"].tolist() == ["ENSA", "ENSMT-CO1", "ENSB"]
    assert cells.obsm["spatial"].tolist() == [[25, 25], [33, 25]], "x before y"
    told = cells.uns["visium_hd"]
    assert (told["bins"], told["bins_in_one_nucleus"], told["bins_in_several_nuclei"]) == (5, 3, 1)
    assert told["ambiguous_share"] == 0.25
    assert told["kind"] == "measured"
    assert not told["simulated"]
    assert "true_rate" not in cells.layers


def test_grown_nuclei_take_the_bins_around_them(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    """At 0.5 um/px a nucleus grown by 2 um reaches 4 px further."""
    outs = write_folder([[1], [2], [4], [8]], [[25, 22], [17, 22], [15, 22], [25, 41]])
    every = dataclasses.replace(ALL, min_umi=-1)
    assert _cells(slide, two_nuclei, outs, every).X.toarray().tolist() == [[1], [0]]
    grown = _cells(slide, two_nuclei, outs, dataclasses.replace(every, grow_um=2))
    assert grown.X.toarray().tolist() == [[3], [8]]
    assert grown.obs["area_um2"].tolist() == [25.0, 25.0], "areas stay those of the nuclei"
    assert grown.uns["visium_hd"]["thresholds"]["grow_um"] == 2


@pytest.mark.parametrize("bin_um", [8, 16])
def test_large_bins_do_not_make_nuclei(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter, bin_um: int
) -> None:
    outs = write_folder([[1]], [[25, 22]], bin_um=bin_um)
    section = read_space_ranger(outs, bin_um)
    with pytest.raises(VisiumHDError, match=f"bins of {bin_um} um, as wide as a nucleus"):
        run(measure(slide, two_nuclei, section, ALL))


def test_genes_can_be_asked_for_by_name(write_folder: FolderWriter, tmp_path: Path) -> None:
    """Gene11 is the same in all cells, Gene12 was detected nowhere, Gene99 does not exist."""
    rng = np.random.default_rng(0)
    high, low = [30] * 5, [2] * 5

    def draw(cell: int) -> list[int]:
        expected = high + low if cell % 2 else low + high
        return [*rng.poisson(expected).tolist(), 10, 10, 0]

    slide, nuclei, outs = _grid_of_cells(write_folder, draw, 13)
    request = MeasureRequest(force_genes=("ENSGene11", "Gene0", "Gene12", "Gene99"))
    notes: list[Progress] = []
    cells = run(measure(slide, nuclei, read_space_ranger(outs), request), notes.append)
    assert cells.var["selected"].tolist() == [True] * 10 + [False, True, False]
    selection = cells.uns["visium_hd"]["selection"]
    assert selection["steps"] == {
        "genes": 13,
        "detected": 12,
        "highly_variable": 12,
        "differing": 10,
        "added_by_name": 1,
    }
    assert selection["selected"] == 11
    assert selection["forced"].tolist() == ["Gene0", "Gene11"]
    assert selection["forced_undetected"].tolist() == ["Gene12"]
    assert selection["forced_unknown"].tolist() == ["Gene99"]
    assert "unknown: Gene99" in notes[-1].note
    cells.write_h5ad(tmp_path / "measured.h5ad")
    again = read_h5ad(tmp_path / "measured.h5ad").uns["visium_hd"]["selection"]
    assert again["forced_unknown"].tolist() == ["Gene99"]


def test_when_no_gene_asked_for_is_known_it_is_refused(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[30]], [[25, 22]], ["EPCAM"])
    request = dataclasses.replace(ALL, force_genes=("Epcam", "Krt5"))
    with pytest.raises(VisiumHDError, match=r"Epcam, Krt5.*such as EPCAM.*species"):
        _cells(slide, two_nuclei, outs, request)


def test_requests_that_make_no_sense_are_refused() -> None:
    with pytest.raises(VisiumHDError, match="cannot be grown by -1 um"):
        MeasureRequest(grow_um=-1)
    with pytest.raises(VisiumHDError, match="list of names"):
        MeasureRequest(force_genes="EPCAM")  # type: ignore[arg-type]


def test_each_filter_of_the_paper_is_counted(slide: Slide, write_folder: FolderWriter) -> None:
    """One nucleus fails each filter; each stands exactly on the limit."""
    square = np.array([(0, 0), (0, 4), (4, 4), (4, 0)], np.float32)
    large = np.array([(0, 0), (0, 40), (50, 40), (50, 0)], np.float32)
    nuclei = Nuclei.from_polygons(
        [large + 40, square, _moved(square, 0, 10), _moved(square, 0, 20)]
    )
    positions = [[50, 50], [2, 2], [2, 12], [2, 22]]
    counts = [[100, 0], [20, 0], [85, 15], [19, 2]]
    outs = write_folder(counts, positions, ["A", "mt-Co1"])
    cells = _cells(slide, nuclei, outs, MeasureRequest(select_genes=False))
    assert cells.obs_names.tolist() == ["3"]
    filters = cells.uns["visium_hd"]["filters"]
    assert filters == {"nuclei": 4, "after_area": 3, "after_umi": 2, "after_mito": 1, "kept": 1}
    assert cells.uns["visium_hd"]["thresholds"]["max_area_um2"] == 500


def test_when_no_nucleus_is_left_each_count_is_told(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[5], [30]], [[25, 22], [60, 60]])
    with pytest.raises(VisiumHDError, match=r"of 2 nuclei, 2 are smaller .* 0 of these have more"):
        _cells(slide, two_nuclei, outs, MeasureRequest())


def test_repeated_symbols_get_names_of_their_own(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    cells = _cells(slide, two_nuclei, write_folder([[1, 2]], [[25, 22]], ["TBCE", "TBCE"]))
    assert cells.var_names.tolist() == ["TBCE", "TBCE-1"]


def test_a_section_of_another_scale_is_refused(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[1]], [[25, 22]], scales={"microns_per_pixel": 0.25})
    with pytest.raises(VisiumHDError, match=r"0\.25 um/px, but the slide has 0\.5 um/px"):
        _cells(slide, two_nuclei, outs)
    within = write_folder([[1]], [[25, 22]], scales={"microns_per_pixel": 0.508}, name="near")
    assert _cells(slide, two_nuclei, within).n_obs == 1


def test_a_section_beyond_the_slide_is_refused(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[1], [1]], [[25, 22], [400, 22]])
    with pytest.raises(VisiumHDError, match=r"50% of the bins .*rows 25 to 400 of 100"):
        _cells(slide, two_nuclei, outs)


def test_nuclei_and_pixel_size_are_needed(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[1]], [[25, 22]])
    with pytest.raises(NucleiError, match="no nuclei"):
        _cells(slide, Nuclei.empty(), outs)
    with pytest.raises(MissingPixelSizeError):
        _cells(Slide.from_array(np.zeros((100, 100, 3), np.uint8)), two_nuclei, outs)


def _grid_of_cells(
    write_folder: FolderWriter, draw: Callable[[int], list[int]], genes: int
) -> tuple[Slide, Nuclei, Path]:
    """Sixty-four nuclei, one bin each, whose counts ``draw`` gives."""
    slide = Slide.from_array(np.full((100, 100, 3), 240, np.uint8), mpp=0.5)
    corners = [np.array([row, column], np.float32) for row in range(8) for column in range(8)]
    square = np.array([(0, 0), (0, 6), (6, 6), (6, 0)], np.float32)
    nuclei = Nuclei.from_polygons([square + 12 * corner for corner in corners])
    counts = np.array([draw(cell) for cell in range(64)]).reshape(64, genes)
    return slide, nuclei, write_folder(counts, nuclei.centroids)


def test_genes_that_differ_between_clusters_are_selected(write_folder: FolderWriter) -> None:
    rng = np.random.default_rng(0)
    high, low = [30] * 5, [2] * 5

    def draw(cell: int) -> list[int]:
        expected = (high + low if cell % 2 else low + high) + [10] * 5
        return rng.poisson(expected).tolist()

    slide, nuclei, outs = _grid_of_cells(write_folder, draw, 15)
    cells = _cells(slide, nuclei, outs, MeasureRequest())
    assert cells.var["selected"].tolist() == [True] * 10 + [False] * 5
    selection = cells.uns["visium_hd"]["selection"]
    assert selection["clusters"] >= 2
    assert not selection["all_detected"]


def test_if_no_gene_differs_all_detected_are_kept_and_it_says_so(
    write_folder: FolderWriter,
) -> None:
    rng = np.random.default_rng(0)
    slide, nuclei, outs = _grid_of_cells(
        write_folder, lambda cell: [*rng.poisson([20] * 11).tolist(), 0], 12
    )
    notes: list[Progress] = []
    cells = run(measure(slide, nuclei, read_space_ranger(outs)), notes.append)
    assert cells.var["selected"].tolist() == [True] * 11 + [False]
    assert cells.uns["visium_hd"]["selection"]["all_detected"]
    assert any("all 11 genes detected are kept" in progress.note for progress in notes)


def test_few_cells_keep_all_detected_genes(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter
) -> None:
    outs = write_folder([[30, 0], [40, 0]], [[25, 22], [25, 35]])
    cells = _cells(slide, two_nuclei, outs, MeasureRequest())
    assert cells.var["selected"].tolist() == [True, False]
    assert "2 cells are too few" in cells.uns["visium_hd"]["selection"]["note"]


def test_the_table_is_written_and_read_again(
    slide: Slide, two_nuclei: Nuclei, write_folder: FolderWriter, tmp_path: Path
) -> None:
    cells = _cells(slide, two_nuclei, write_folder([[5, 1]], [[25, 22]]))
    cells.write_h5ad(tmp_path / "measured.h5ad")
    again = read_h5ad(tmp_path / "measured.h5ad")
    assert again.uns["visium_hd"]["filters"]["kept"] == 1
    assert again.X.toarray().tolist() == cells.X.toarray().tolist()


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MeasureRequest().min_umi = 3  # type: ignore[misc]
