"""The same pixels have the same fingerprint, others another."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile

from napari_prts.slide import Slide, open_slide
from tests.slide.conftest import picture
from tests.slide.test_formats import write_ome_zarr


def test_it_stays_when_the_file_moves_or_the_pixel_size_changes(
    tmp_path: Path, demo_slide_path: Path
) -> None:
    moved = tmp_path / "anywhere" / "other name.svs"
    moved.parent.mkdir()
    shutil.copy(demo_slide_path, moved)
    slide = open_slide(demo_slide_path)
    assert open_slide(moved, mpp=0.3).fingerprint == slide.fingerprint
    assert len(slide.fingerprint) == 32


def test_other_pixels_have_another(tmp_path: Path) -> None:
    image = picture(400, 300)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    image[200, 100] += 1
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="rgb")
    first, second = open_slide(tmp_path / "a.tif"), open_slide(tmp_path / "b.tif")
    assert first.fingerprint != second.fingerprint


def test_of_arrays_and_views_of_arrays() -> None:
    image = picture(400, 300)
    slide = Slide.from_array(image, mpp=0.5)
    assert slide.fingerprint == Slide.from_array(image.copy(), name="other").fingerprint
    transposed = np.asfortranarray(image)
    assert slide.fingerprint == Slide.from_array(transposed).fingerprint
    assert slide.fingerprint != Slide.from_array(image.reshape(300, 400, 3)).fingerprint


def test_of_ome_zarr(tmp_path: Path) -> None:
    image = picture(400, 300)
    write_ome_zarr(tmp_path / "a.zarr", image, "0.4")
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    slide = open_slide(tmp_path / "a.zarr")
    assert slide.fingerprint == open_slide(tmp_path / "b.zarr", mpp=1).fingerprint
    write_ome_zarr(tmp_path / "c.zarr", picture(400, 300, seed=1), "0.4")
    assert slide.fingerprint != open_slide(tmp_path / "c.zarr").fingerprint


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, napari_prts.slide; "
        "print(sorted({'tifffile', 'zarr', 'dask', 'cv2', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
