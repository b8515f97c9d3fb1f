"""Bins of 8 and 16 um: summed as the machine sums them, drawn where they lie on the slide."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from napari.components import ViewerModel
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.viewer import Role, StudyView
from napari_prts.viewer.bins_squares import BinSquares
from napari_prts.viewer.cell_dots import SIDE
from napari_prts.viewer.painted_side import Painting
from napari_prts.viewer.painting import Limits
from napari_prts.visium_hd import read_space_ranger, simulate_visium_hd
from napari_prts.visium_hd.barcodes import barcodes_of, bins_of
from napari_prts.visium_hd.larger_bins import BinnedSection, find_bins, read_bins


@pytest.fixture(scope="module")
def folder(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A simulated section of real skin, in bins of 2 um as the machine writes them."""
    path = tmp_path_factory.mktemp("hd")
    simulate_visium_hd(tissue_slide, tissue_nuclei, path, genes=40)
    return path


@pytest.fixture(scope="module")
def section(tissue_slide: Slide, folder: Path) -> BinnedSection:
    section: BinnedSection = run(read_bins(tissue_slide, folder / SMALL, 8))
    return section


SMALL = "binned_outputs/square_002um"


# Reading


def test_a_barcode_says_where_a_bin_lies() -> None:
    places = np.array([[0, 0], [305, 1021], [3349, 7]])
    np.testing.assert_array_equal(bins_of(barcodes_of(places)), places)
    assert bins_of(np.array([b"s_016um_00012_00003-1"])).tolist() == [[12, 3]]
    with pytest.raises(VisiumHDError, match="cellid_000000001-1"):
        bins_of(np.array([b"cellid_000000001-1"]))


@pytest.mark.parametrize("bin_um", [8, 16])
def test_larger_bins_have_the_counts_of_their_small_ones(
    tissue_slide: Slide, folder: Path, bin_um: int
) -> None:
    section = run(read_bins(tissue_slide, folder / SMALL, bin_um))
    small = read_space_ranger(folder)
    assert section.counts.sum() == small.counts.sum()
    assert section.counts.shape == (len(section), len(small.genes))
    assert section.simulated
    times = bin_um // 2
    larger = bins_of(small.barcodes) // times
    places, group = np.unique(larger, axis=0, return_inverse=True)
    assert len(places) == len(section)
    for number in np.linspace(0, len(places) - 1, 20).astype(int):
        members = np.flatnonzero(group.ravel() == number)
        wanted = np.asarray(small.counts[members].sum(axis=0)).ravel()
        near = np.abs(section.centres - small.positions[members].mean(0)).max(axis=1)
        rows = section.counts[np.flatnonzero(near < bin_um / tissue_slide.mpp)].toarray()
        assert (rows == wanted).all(axis=1).any()


def test_a_bin_of_which_a_part_is_missing_stays_in_its_place(
    tissue_slide: Slide, section: BinnedSection, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "square_002um"
    shutil.copytree(folder / SMALL, copy)
    with h5py.File(copy / "filtered_feature_bc_matrix.h5", "r+") as file:
        matrix = file["matrix"]
        counts = sparse.csc_matrix(
            (matrix["data"][:], matrix["indices"][:], matrix["indptr"][:]), matrix["shape"][:]
        )
        barcodes = matrix["barcodes"][:]
        kept = (bins_of(barcodes.astype("S")) % 4 < 2).all(axis=1)
        fewer = counts[:, kept]
        parts: dict[str, Any] = {
            "data": fewer.data,
            "indices": fewer.indices,
            "indptr": fewer.indptr,
            "shape": np.array(fewer.shape),
            "barcodes": barcodes[kept],
        }
        for name, values in parts.items():
            del matrix[name]
            matrix[name] = values
    quarter = run(read_bins(tissue_slide, copy, 8))
    from scipy.spatial import cKDTree

    apart, _ = cKDTree(section.centres).query(quarter.centres)
    # Bins of which no small one of that quarter lies under tissue are missing; none is moved.
    assert apart.max() < 0.3
    assert len(quarter) > 0.9 * len(section)


def test_the_machines_own_bins_are_read_where_they_are(
    tissue_slide: Slide, section: BinnedSection, folder: Path, tmp_path: Path
) -> None:
    outs = tmp_path / "binned_outputs"
    shutil.copytree(folder / SMALL, outs / "square_002um")
    assert find_bins(outs / "square_002um", 8) == (outs / "square_002um", 2)
    (outs / "square_008um").mkdir()
    assert find_bins(outs / "square_002um", 8) == (outs / "square_008um", 8)
    # Cells of Space Ranger lie in a folder beside the bins.
    (tmp_path / "segmented_outputs").mkdir()
    assert find_bins(tmp_path / "segmented_outputs", 8) == (outs / "square_008um", 8)
    with pytest.raises(VisiumHDError, match="lacks"):
        run(read_bins(tissue_slide, outs / "square_002um", 8))


def test_a_folder_that_is_gone_is_named(tissue_slide: Slide, tmp_path: Path) -> None:
    with pytest.raises(VisiumHDError, match=r"nowhere is no longer there.*Predict panel"):
        run(read_bins(tissue_slide, tmp_path / "nowhere", 8))
    with pytest.raises(VisiumHDError, match="Neither square_008um nor square_002um"):
        run(read_bins(tissue_slide, tmp_path, 8))


def test_bins_of_another_slide_are_refused(folder: Path) -> None:
    other = Slide.from_array(np.full((200, 200, 3), 200, np.uint8), mpp=0.499, name="other")
    with pytest.raises(VisiumHDError, match="another slide"):
        run(read_bins(other, folder / SMALL, 8))


def test_reading_can_be_cancelled_between_its_steps(tissue_slide: Slide, folder: Path) -> None:
    job = read_bins(tissue_slide, folder / SMALL, 8)
    steps = [next(job) for _ in range(6)]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert "summing" in steps[-1].note
    job.close()


def test_a_repeated_gene_is_called_as_in_the_measured_table(
    study: Study, section: BinnedSection
) -> None:
    assert study.measured is not None
    assert section.genes.tolist() == study.measured.var_names.tolist()


# Drawing


@pytest.fixture
def squares(section: BinnedSection, tissue_slide: Slide) -> BinSquares:
    return BinSquares(section.centres, section.axes, tissue_slide.shape)


def test_bins_cover_the_tissue_without_gaps(squares: BinSquares, section: BinnedSection) -> None:
    whole = squares.whole(0)
    rows, columns = np.rint(section.centres).astype(int).T
    inside = (rows > 0) & (rows < whole.shape[0]) & (columns > 0) & (columns < whole.shape[1])
    np.testing.assert_array_equal(
        whole[rows[inside], columns[inside]], np.flatnonzero(inside), "each at its own place"
    )
    # Between four bins that are all there no pixel is empty.
    from scipy.spatial import cKDTree

    pixels = np.argwhere(whole == len(squares))
    _, near = cKDTree(section.centres).query(pixels, 1)
    away = np.abs(np.linalg.solve(section.axes, (pixels - section.centres[near]).T))
    assert away.max(axis=0).min() > 0.5


def test_a_bin_is_as_large_as_it_is(squares: BinSquares, section: BinnedSection) -> None:
    pixels = np.bincount(squares.whole(0).ravel(), minlength=len(squares) + 1)[:-1]
    side = 8 / 0.499
    assert np.median(pixels) == pytest.approx(side**2, rel=0.1)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_blocks_are_parts_of_the_whole(squares: BinSquares, level: int) -> None:
    whole = squares.whole(level)
    for row in range(-(-whole.shape[0] // SIDE)):
        for column in range(-(-whole.shape[1] // SIDE)):
            part = whole[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            block = squares.block(level, row, column)
            np.testing.assert_array_equal(len(squares) if block is None else block, part)


def test_bins_are_found_under_the_mouse(squares: BinSquares, section: BinnedSection) -> None:
    for number in (0, len(section) // 2, len(section) - 1):
        row, column = section.centres[number]
        assert squares.at(row, column).tolist() == [number]
        edge = section.centres[number] + section.axes @ [0.45, 0.45]
        assert number in squares.at(*edge)
    assert not len(squares.at(-500, -500))


# In the window


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei, folder: Path) -> Study:
    study = Study(tissue_slide, autosave=False)
    study.set_nuclei(tissue_nuclei)
    study.measure(folder, select_genes=False)
    return study


@pytest.fixture
def view(study: Study) -> StudyView:
    return StudyView(ViewerModel(), study, print)


def names(view: StudyView) -> list[str]:
    return [layer.name for layer in view.book.viewer.layers if layer.visible]


def test_bins_stand_in_the_place_of_measured_cells(
    view: StudyView, study: Study, section: BinnedSection
) -> None:
    gene, other = (str(name) for name in study.measured.var_names[:2])
    view.expression.paint(Painting(gene))
    view.expression.measure_by(section)
    assert f"Simulated {gene}, 8 um bins" in names(view)
    assert f"Simulated {gene}" not in names(view)
    layer = view.book.get(Role.BINS)
    counts = section.counts[:, 0].toarray().ravel()
    rows, columns = np.rint(section.centres).astype(int).T
    shown = np.asarray(layer.data[0])
    inside = (rows > 0) & (rows < shown.shape[0]) & (columns > 0) & (columns < shown.shape[1])
    values = shown[rows[inside], columns[inside]]
    np.testing.assert_array_equal(values > 0, counts[inside] > 0)
    # Another gene only changes colours.
    view.expression.paint(Painting(other))
    assert view.book.get(Role.BINS) is layer
    assert f"Simulated {other}, 8 um bins" in names(view)
    view.expression.measure_by(None)
    assert f"Simulated {other}" in names(view)
    assert view.book.get(Role.BINS) is None, "no longer in the list"


def test_limits_drawn_by_hand_hold_for_bins_too(
    view: StudyView, study: Study, section: BinnedSection
) -> None:
    gene = str(study.measured.var_names[0])
    view.expression.measure_by(section)
    view.expression.paint(Painting(gene))
    values, limits = view.expression.bins_painted
    positive = values[values > 0]
    assert (limits.low, limits.high) == pytest.approx(tuple(np.percentile(positive, [1, 99])), 1e-3)
    view.expression.paint(Painting(gene, limits=Limits(0.5, 3.5)))
    assert list(view.book.get(Role.BINS).contrast_limits) == [0.5, 3.5]
    view.expression.measure_by(None)
    assert view.expression.bins_painted is None
    assert list(view.book.get(Role.MEASURED).contrast_limits) == [0.5, 3.5]


def test_bins_are_swiped_as_cells_are(
    view: StudyView, study: Study, section: BinnedSection
) -> None:
    study.set_predicted(study.measured.copy())
    view.expression.measure_by(section)
    view.expression.paint(Painting(str(study.measured.var_names[0]), mode="swipe"))
    view.expression.stage.line.move_to(400)
    shown = np.isfinite(np.asarray(view.book.get(Role.BINS).data[0])).any(axis=0)
    assert shown[:399].any()
    assert not shown[402:].any()
    assert np.isfinite(np.asarray(view.book.get(Role.PREDICTED).data[0])).any(axis=0)[402:].any()


def test_other_measured_cells_forget_the_bins(
    view: StudyView, study: Study, section: BinnedSection
) -> None:
    gene = str(study.measured.var_names[0])
    view.expression.paint(Painting(gene))
    view.expression.measure_by(section)
    study.set_measured(study.measured.copy())
    assert view.expression.bins is None
    assert f"Simulated {gene}" in names(view)


def test_a_section_of_the_machine_is_read(shared_data: Path) -> None:
    real = shared_data / "visium_hd_2um_tiny" / SMALL
    small = read_space_ranger(real)
    high, wide = np.ceil(small.positions.max(0)).astype(int) + 50
    slide = Slide.from_array(
        np.broadcast_to(np.uint8(230), (high, wide, 3)), mpp=small.mpp, name="real"
    )
    section = run(read_bins(slide, real, 16))
    assert section.counts.sum() == small.counts.sum()
    assert not section.simulated
    pitch = np.linalg.norm(section.axes, axis=0) * small.mpp
    np.testing.assert_allclose(pitch, 16, rtol=0.01)
