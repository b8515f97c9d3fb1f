"""Label images of every kind, at the slide's resolution and at others."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_prts.errors import NucleiError
from napari_prts.nuclei import Nuclei, rasterise, read_labels
from napari_prts.nuclei.formats import label_writing, labels
from napari_prts.nuclei.formats.label_scale import scale_of
from napari_prts.nuclei.formats.reading import read_nuclei, read_nuclei_reported
from napari_prts.nuclei.formats.report import Problem
from napari_prts.nuclei.formats.writing import write_nuclei
from tests.nuclei.outlines import assert_same, circle, scattered, unhurried

SLIDE = (600, 700)


@pytest.fixture
def image() -> np.ndarray:
    found = Nuclei.from_polygons([circle(50, 60, 12), circle(500, 90, 9), circle(515, 650, 15)])
    return rasterise(found, *SLIDE, values=[3, 900, 70_000]).astype(np.uint32)


def as_tiff(path, image):
    tifffile.imwrite(path, image)


def as_tiled(path, image):
    tifffile.imwrite(path, image, tile=(128, 128), compression="zlib", bigtiff=True)


def as_ome_tiff(path, image):
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        options = {"tile": (128, 128), "compression": "lzw"}
        file.write(image[None], subifds=1, metadata={"axes": "CYX"}, **options)
        file.write(image[None, ::2, ::2], subfiletype=1, **options)


def as_zarr_array(version):
    def write(path, image):
        array = zarr.create_array(path, data=image, chunks=(100, 100), zarr_format=version)
        assert array.metadata.zarr_format == version

    return write


def as_ome_zarr(version, nested=True):
    """An OME-Zarr image whose labels are in a group ``labels``."""

    def write(path, image):
        group = zarr.open_group(path, mode="w", zarr_format=version)
        if nested:
            said = {"labels": ["nuclei"]}
            inner = group.create_group("labels")
            inner.attrs.update(said if version == 2 else {"ome": said})
            group = inner.create_group("nuclei")
        group.create_array("1", data=image[None, None, ::2, ::2])
        group.create_array("0", data=image[None, None])
        said = {"multiscales": [{"datasets": [{"path": "0"}, {"path": "1"}]}]}
        group.attrs.update(said if version == 2 else {"ome": said})

    return write


def as_npy(path, image):
    np.save(path, image)


def as_cellpose(path, image):
    """As Cellpose saves its results."""
    found = {
        "outlines": image * 0,
        "masks": image,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "filename": Path("slide.tif"),
        "flows": [np.zeros((3, 4), np.float32), [], [[np.uint8(4)]]],
        "diameter": np.float64(17.5),
        "normalize_params": {"lowhigh": None, "percentile": [1.0, 99.0]},
    }
    np.save(path, found)


FILES = {
    "plain.tif": as_tiff,
    "tiled.btf": as_tiled,
    "nuclei.ome.tif": as_ome_tiff,
    "v2.zarr": as_zarr_array(2),
    "v3.zarr": as_zarr_array(3),
    "image04.zarr": as_ome_zarr(2),
    "image05.zarr": as_ome_zarr(3),
    "labels.ome.zarr": as_ome_zarr(2, nested=False),
    "labels.npy": as_npy,
    "slide_seg.npy": as_cellpose,
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same(tmp_path, image, name):
    FILES[name](tmp_path / name, image)
    report = read_nuclei_reported(tmp_path / name, SLIDE)
    assert report.sentences() == ()
    assert report.nuclei.ids.tolist() == [3, 900, 70_000]
    assert_same(report.nuclei, read_labels(image))


@pytest.mark.parametrize("block", [64, 100, 2048])
def test_blocks_do_not_show(monkeypatch, image, block):
    """Large images are read piece by piece; nuclei across borders come out whole."""
    whole = read_labels(image)
    monkeypatch.setattr(labels, "_BLOCK", block)
    assert_same(read_labels(image), whole)


def test_of_several_label_images_one_must_be_named(tmp_path, image):
    as_ome_zarr(2)(tmp_path / "n.zarr", image)
    group = zarr.open_group(tmp_path / "n.zarr" / "labels")
    group.attrs["labels"] = ["nuclei", "cells"]
    with pytest.raises(NucleiError, match=r"2 label images .*nuclei.*cells"):
        read_nuclei(tmp_path / "n.zarr")


# --- Cellpose: nothing in the file is run


class Harmful:
    def __reduce__(self):
        return os.mkdir, (str(self.where),)


@pytest.mark.parametrize("inside", ["masks", "filename"])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(tmp_path, inside):
    harmful = Harmful()
    harmful.where = tmp_path / "it ran"
    np.save(tmp_path / "n_seg.npy", {"masks": np.ones((3, 3), int), inside: harmful})
    with pytest.raises(NucleiError, match=r"posix\.mkdir.*could run code|nt\.mkdir"):
        read_nuclei(tmp_path / "n_seg.npy")
    assert not harmful.where.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_masks_of_all_kinds_of_pickle(tmp_path, image, protocol):
    path = tmp_path / "n_seg.npy"
    for masks in (image, image.astype(">i4"), np.asfortranarray(image.astype(np.int64))):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|O", "fortran_order": False, "shape": ()}
            )
            pickle.dump({"masks": masks}, file, protocol=protocol)
        assert read_nuclei(path).ids.tolist() == [3, 900, 70_000]


@pytest.mark.parametrize(
    "content",
    [{"outlines": 3}, {"masks": "none"}, [1, 2], {"masks": np.array(["a", None], object)}],
)
def test_objects_without_masks(tmp_path, content):
    np.save(tmp_path / "n_seg.npy", np.array(content, object), allow_pickle=True)
    with pytest.raises(NucleiError, match="cannot be read as a label image"):
        read_nuclei(tmp_path / "n_seg.npy")


# --- another resolution


@pytest.mark.parametrize("factor", [2, 4])
def test_labels_of_a_coarser_level_lie_where_they_belong(factor):
    """A coarse pixel covers whole pixels of the slide: its centre is theirs."""
    coarse = np.zeros((50, 60), np.int32)
    coarse[10:20, 30:40] = 8
    slide = (50 * factor, 60 * factor)
    (outline,) = read_labels(coarse, slide).polygons()
    again = rasterise([outline], *slide)
    fine = np.kron(coarse > 0, np.ones((factor, factor), bool))
    # Only the corners of an outline are bevelled.
    assert (again.astype(bool) != fine).sum() <= 4 * factor**2
    np.testing.assert_allclose(
        [outline.min(axis=0), outline.max(axis=0)],
        [[10 * factor - 0.5, 30 * factor - 0.5], [20 * factor - 0.5, 40 * factor - 0.5]],
    )


def test_the_scale_is_told(tmp_path, image):
    np.save(tmp_path / "n.npy", image)
    report = read_nuclei_reported(tmp_path / "n.npy", (1200, 1401))
    assert report.sentences() == (
        "The label image has 600 x 700 pixels (rows x columns) and the slide 1200 x 1401: outlines "
        "were scaled by 2.",
    )


@given(st.integers(500, 90_000), st.integers(500, 90_000), st.integers(1, 5), st.booleans())
def test_levels_of_a_pyramid_fit_however_they_were_rounded(rows, columns, level, up):
    shape = (rows, columns)
    for _ in range(level):
        shape = tuple((length + up) // 2 for length in shape)
    scale = scale_of(shape, (rows, columns), "labels")
    assert scale.rows == pytest.approx(2**level, rel=0.1)
    assert scale.rows == pytest.approx(scale.columns, rel=0.1)


@pytest.mark.parametrize("shape", [(600, 600), (300, 360), (3, 3), (600, 710)])
def test_shapes_of_other_slides_are_refused(shape):
    with pytest.raises(NucleiError, match="slide 600 x 700"):
        read_labels(np.eye(*shape, dtype=int), (600, 700))


# --- what an image of labels cannot say


def test_pieces_and_holes_are_told():
    image = np.zeros((60, 60), int)
    image[5:15, 5:15] = 4
    image[8:10, 8:10] = 0
    image[30:40, 30:40] = 5
    image[50, 50] = 5
    image[20, 3:9] = 6
    report = read_nuclei_reported_of(image)
    assert {finding.problem: finding.ids for finding in report.repaired} == {
        Problem.PARTS: (5,),
        Problem.HOLES: (4,),
    }
    assert report.nuclei.ids.tolist() == [4, 5, 6]


def read_nuclei_reported_of(image):
    from napari_prts.nuclei.formats.cleaning import clean

    return clean(labels.label_outlines(image), None, "labels")


# --- writing


@pytest.fixture
def small_tiles(monkeypatch):
    """A small slide is written in four tiles, as a large one is in many."""
    monkeypatch.setattr(label_writing, "_TILE", 128)


@unhurried
@given(seed=st.integers(0, 99))
@pytest.mark.parametrize("name", ["n.tif", "n.btf", "n.ome.zarr", "n.npy"])
def test_written_labels_are_the_drawing(tmp_path, small_tiles, name, seed):
    slide = (200, 230)
    nuclei = Nuclei.from_polygons(scattered(12, *slide, seed), ids=np.arange(7, 19))
    write_nuclei(nuclei, tmp_path / name, {"mpp": 0.5}, slide)
    drawn = rasterise(nuclei, *slide, values=nuclei.ids)
    assert_same(read_nuclei(tmp_path / name, slide), read_labels(drawn))


def test_an_id_of_0_comes_back(tmp_path):
    nuclei = Nuclei.from_polygons([circle(50, 60, 12), circle(500, 90, 9)])
    for name in ("n.tif", "n.zarr"):
        said = write_nuclei(nuclei, tmp_path / name, slide_shape=SLIDE)
        assert "Labels are one more than the ids" in " ".join(said)
        assert read_nuclei(tmp_path / name, SLIDE).ids.tolist() == [0, 1]


def test_nuclei_that_do_not_show_are_told(tmp_path):
    nuclei = Nuclei.from_polygons(
        [circle(50, 60, 5), circle(50, 60, 9), circle(900, 90, 9)], ids=[1, 2, 3]
    )
    said = write_nuclei(nuclei, tmp_path / "n.tif", slide_shape=SLIDE)
    assert "2 nuclei lie outside the slide or under others and do not show: ids 1, 3." in said
