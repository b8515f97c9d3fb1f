"""DICOM whole-slide images, written with pydicom alone: raw and JPEG frames, TILED_FULL."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from napari_prts.errors import SlideError
from napari_prts.slide import open_slide
from napari_prts.slide.formats.dicom import is_dicom_folder, is_dicom_head, read_dicom
from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.levels import halve
from napari_prts.slide.pixel_size import PixelSize, settle
from tests.slide.conftest import Image, picture
from tests.slide.dicom_files import DicomSlide, jpeg_seen, write_ct

pytest.importorskip("wsidicom", reason='needs pip install "napari-prts[dicom]"')

ROWS, COLUMNS, TILE = 300, 211, 64


def whole(file: SlideFile, level: int = 0) -> Image:
    pixels = file.levels[level]
    return pixels.read(0, 0, *pixels.shape)


def write_slide(folder: Path, jpeg: bool = False, seed: int = 0) -> DicomSlide:
    """Write two levels, 0.5 and 1 um, and a label."""
    writer = DicomSlide(folder, jpeg=jpeg, tile=TILE)
    image = picture(ROWS, COLUMNS, seed)
    writer.write("full.dcm", image, (0.0005, 0.0005))
    writer.write("half.dcm", halve(image), (0.001, 0.001))
    writer.write("label.dcm", picture(40, 40, seed=9), None, kind="LABEL")
    return writer


def test_raw_frames_are_exact(tmp_path: Path) -> None:
    write_slide(tmp_path / "a")
    file = read_dicom(tmp_path / "a")
    image = picture(ROWS, COLUMNS)
    assert (file.format, file.stated) == ("dicom", PixelSize(0.5, 0.5, "file (DICOM)"))
    assert [(level.shape, level.chunk) for level in file.levels] == [
        ((300, 211), (64, 64)),
        ((150, 106), (64, 64)),
    ]
    assert file.remarks == ()
    np.testing.assert_array_equal(whole(file), image)
    np.testing.assert_array_equal(whole(file, 1), halve(image))
    # Rows and columns of the level itself, not of level 0.
    np.testing.assert_array_equal(file.levels[1].read(70, 50, 140, 99), halve(image)[70:140, 50:99])


def test_it_opens_as_a_slide_by_folder_and_by_file(tmp_path: Path) -> None:
    write_slide(tmp_path / "a")
    image = picture(ROWS, COLUMNS)
    for path in (tmp_path / "a", tmp_path / "a" / "half.dcm"):
        slide = open_slide(path)
        assert (slide.format, slide.mpp, slide.mpp_source) == ("dicom", 0.5, "file (DICOM)")
        assert slide.downsamples == (1.0, 2.0)
        np.testing.assert_array_equal(slide.read(100, 90, 99, 77), image[100:199, 90:167])
        np.testing.assert_array_equal(slide.levels[1].compute(), halve(image))


def test_jpeg_frames_are_as_the_jpeg_library_decodes_them(tmp_path: Path) -> None:
    write_slide(tmp_path / "a", jpeg=True)
    file = read_dicom(tmp_path / "a")
    seen = jpeg_seen(picture(ROWS, COLUMNS), TILE)
    # Decoders may differ in how they round and how they spread the halved colours.
    assert np.abs(whole(file).astype(int) - seen).max() <= 2


def test_one_file_stands_for_its_series(tmp_path: Path) -> None:
    write_slide(tmp_path / "both", seed=0)
    second = write_slide(tmp_path / "apart", seed=1)
    for file in second.folder.iterdir():
        shutil.move(file, tmp_path / "both" / f"second {file.name}")
    for chosen in ("second full.dcm", "second half.dcm", "second label.dcm"):
        file = read_dicom(tmp_path / "both" / chosen)
        np.testing.assert_array_equal(whole(file), picture(ROWS, COLUMNS, 1))
        assert len(file.levels) == 2
    with pytest.raises(SlideError, match=r"holds 2 slides .* for example full\.dcm"):
        read_dicom(tmp_path / "both")


def test_pictures_beside_the_slide(tmp_path: Path) -> None:
    writer = write_slide(tmp_path / "a")
    assert list(read_dicom(writer.folder).associated) == ["label"]
    macro, small = picture(50, 90, seed=3), picture(76, 54, seed=4)
    writer.write("macro.dcm", macro, (0.1, 0.1), kind="OVERVIEW")
    writer.write("small.dcm", small, (0.002, 0.002), kind="THUMBNAIL")
    file = read_dicom(writer.folder)
    assert sorted(file.associated) == ["label", "macro", "thumbnail"]
    np.testing.assert_array_equal(file.associated["label"](), picture(40, 40, seed=9))
    np.testing.assert_array_equal(file.associated["macro"]()[:50], macro)
    np.testing.assert_array_equal(file.associated["thumbnail"](), small)


def test_a_label_may_be_a_series_of_its_own(tmp_path: Path) -> None:
    writer = DicomSlide(tmp_path, tile=TILE)
    writer.write("full.dcm", picture(90, 80), (0.0005, 0.0005))
    label = picture(40, 40, seed=9)[..., 0]
    writer.write("label.dcm", label, None, kind="LABEL", SeriesInstanceUID=generate_uid())
    assert sorted(read_dicom(tmp_path).associated) == ["label"]
    # It is greyscale; the slide's other pictures are colours, so is this.
    found = read_dicom(tmp_path / "label.dcm").associated["label"]()
    np.testing.assert_array_equal(found, np.stack([label] * 3, axis=2))
    writer.write(
        "label.dcm",
        label,
        None,
        kind="LABEL",
        SeriesInstanceUID=generate_uid(),
        ContainerIdentifier="glass 2",
    )
    assert read_dicom(tmp_path).associated == {}


def test_of_focal_planes_the_middle_one_is_opened(tmp_path: Path) -> None:
    writer = DicomSlide(tmp_path, tile=TILE)
    image = picture(90, 80) // 2 + 60
    writer.write("full.dcm", image, (0.0005, 0.0005), planes=3)
    file = read_dicom(tmp_path)
    np.testing.assert_array_equal(whole(file), image - 10)
    assert len(file.remarks) == 1
    assert "3 focal planes; the middle one" in file.remarks[0]


def test_of_optical_paths_the_first_is_opened(tmp_path: Path) -> None:
    writer = DicomSlide(tmp_path, tile=TILE)
    image = picture(90, 80) // 2 + 60
    writer.write("full.dcm", image, (0.0005, 0.0005), paths=2)
    file = read_dicom(tmp_path)
    np.testing.assert_array_equal(whole(file), image)
    assert len(file.remarks) == 1
    assert "2 optical paths; the first, 1," in file.remarks[0]


def test_levels_that_are_not_halves_are_left_out(tmp_path: Path) -> None:
    writer = DicomSlide(tmp_path, tile=TILE)
    image = picture(300, 210)
    writer.write("full.dcm", image, (0.0005, 0.0005))
    writer.write("third.dcm", np.ascontiguousarray(image[::3, ::3]), (0.0015, 0.0015))
    file = read_dicom(tmp_path)
    assert [level.shape for level in file.levels] == [(300, 210)]
    assert "irregular" in file.remarks[0]


def test_the_fingerprint_is_by_content(tmp_path: Path) -> None:
    write_slide(tmp_path / "a")
    found = read_dicom(tmp_path / "a").fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "full.dcm").rename(tmp_path / "elsewhere" / "0001")
    assert read_dicom(tmp_path / "elsewhere").fingerprint == found
    assert read_dicom(tmp_path / "elsewhere" / "0001").fingerprint == found
    # It is the glass that counts, not the label, which may be taken away.
    (tmp_path / "elsewhere" / "label.dcm").unlink()
    assert read_dicom(tmp_path / "elsewhere").fingerprint == found
    write_slide(tmp_path / "b", seed=1)
    assert read_dicom(tmp_path / "b").fingerprint != found


@pytest.mark.parametrize("jpeg", [False, True])
def test_threads_may_read_at_the_same_time(tmp_path: Path, jpeg: bool) -> None:
    write_slide(tmp_path, jpeg=jpeg)
    level = read_dicom(tmp_path).levels[0]
    expected = level.read(0, 0, ROWS, COLUMNS)

    def read(seed: int) -> bool:
        top, left = (seed * 37) % (ROWS - 50), (seed * 23) % (COLUMNS - 50)
        found = level.read(top, left, top + 50, left + 50)
        return np.array_equal(found, expected[top : top + 50, left : left + 50])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(200)))


def test_pixels_that_are_not_square_are_asked_about(tmp_path: Path) -> None:
    DicomSlide(tmp_path, tile=TILE).write("full.dcm", picture(90, 80), (0.0005, 0.00025))
    file = read_dicom(tmp_path)
    assert file.stated == PixelSize(0.5, 0.25, "file (DICOM)")
    assert settle(tmp_path, file.stated, None).mpp is None


def test_dicom_is_known_by_its_head(tmp_path: Path) -> None:
    write_slide(tmp_path / "a")
    assert is_dicom_head((tmp_path / "a" / "full.dcm").read_bytes()[:132])
    assert not is_dicom_head(b"\x89PNG\r\n\x1a\n")
    assert is_dicom_folder(tmp_path / "a")
    assert not is_dicom_folder(tmp_path)
    assert not is_dicom_folder(tmp_path / "a" / "full.dcm")
    assert not is_dicom_folder(tmp_path / "absent")


def test_files_of_other_kinds_in_the_folder_do_not_matter(tmp_path: Path) -> None:
    write_slide(tmp_path)
    write_ct(tmp_path / "ct.dcm")
    (tmp_path / "notes.txt").write_text("stained twice")
    assert len(read_dicom(tmp_path).levels) == 2


def test_dicom_that_is_no_slide_is_refused(tmp_path: Path) -> None:
    write_ct(tmp_path / "ct.dcm")
    said = r"DICOM of another kind \(CT\), not a whole-slide image"
    for path in (tmp_path, tmp_path / "ct.dcm"):
        with pytest.raises(SlideError, match=said):
            read_dicom(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideError, match="holds no DICOM image"):
        read_dicom(tmp_path / "empty")


def test_a_label_alone_is_no_slide(tmp_path: Path) -> None:
    DicomSlide(tmp_path).write("label.dcm", picture(40, 40), None, kind="LABEL")
    with pytest.raises(SlideError, match="only the label, overview or thumbnail"):
        read_dicom(tmp_path)


def test_fluorescence_is_refused(tmp_path: Path) -> None:
    grey = picture(90, 80)[..., 0]
    DicomSlide(tmp_path, tile=TILE).write("full.dcm", grey, (0.0005, 0.0005), paths=2)
    with pytest.raises(SlideError, match=r"greyscale .* as in fluorescence.*8-bit RGB"):
        read_dicom(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PlanarConfiguration": 1}, "one colour after the other"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"BitsStored": 12}, "12-bit"),
    ],
)
def test_other_colours_are_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    DicomSlide(tmp_path, tile=TILE).write("full.dcm", picture(90, 80), (0.0005, 0.0005), **changes)
    with pytest.raises(SlideError, match=said):
        read_dicom(tmp_path)


def test_a_slide_without_pixel_spacing_is_refused(tmp_path: Path) -> None:
    DicomSlide(tmp_path, tile=TILE).write("full.dcm", picture(90, 80), None)
    with pytest.raises(SlideError, match="pixel spacing"):
        read_dicom(tmp_path)


@pytest.mark.parametrize("jpeg", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path, jpeg: bool, share: float) -> None:
    write_slide(tmp_path, jpeg=jpeg)
    full = tmp_path / "full.dcm"
    full.write_bytes(full.read_bytes()[: int(full.stat().st_size * share)])
    with pytest.raises(SlideError, match="is damaged or incomplete"):
        read_dicom(tmp_path)


def test_the_library_is_asked_for_when_it_is_missing(tmp_path: Path) -> None:
    DicomSlide(tmp_path, tile=TILE).write("full.dcm", picture(90, 80), (0.0005, 0.0005))
    # Python takes None in sys.modules for a module that is not installed.
    code = (
        "import sys; sys.modules['wsidicom'] = None\n"
        "from pathlib import Path; from napari_prts.slide.formats.dicom import read_dicom\n"
        "try: read_dicom(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("SlideError")
    assert 'pip install "napari-prts[dicom]"' in found.stdout
