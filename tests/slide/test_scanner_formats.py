"""Every scanner's TIFF gives back its pixels, its pixel size, and the pictures beside the slide.

The files are written by pyvips, Pillow or the writers of ``scanner_files`` and
read here; where OpenSlide knows the format, it must see the same.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import PIL.Image
import pytest
import tifffile

from napari_prts.errors import SlideError
from napari_prts.slide.formats.openslide_reader import openslide_vendor
from napari_prts.slide.formats.tiff import read_tiff
from napari_prts.slide.levels import halve
from tests.slide.comparing import error, seen_by_openslide, shapes, whole
from tests.slide.conftest import picture
from tests.slide.scanner_files import (
    APERIO,
    Image,
    NdpiPage,
    picture_of,
    smooth_picture,
    write_bif,
    write_ndpi,
    write_philips,
    write_svs,
    write_vips,
)

# A tile of 64 x 64 from OpenJPEG's opj_compress, YCbCr with half as many columns of colour,
# 8:1, of smooth_picture(64, 64): no Python library writes such tiles.
YCBCR_422 = base64.b85decode(
    b"|4;u>051Rl0000$0000$00000000000000$0000$000000000000RdB0S5vB2Lb{AQUDA9000310t5sA0RLP75kg"
    b";5Pz6v0P)AqOSJPKw|6~9q00BdCWnpw>WFTUBAWv{*Zc0!^M<8}(a&u{KZXhx)H7+p!kN^q*000033jhKClgH(Hf"
    b"Eg>Y?C^)JwTT(wx*6$AKEv?P=RPHX5q<&8|0~$d09ph6ev{B_89>{J>huDOs)CjtKxoXwZO{=Veb-6e%Pgc2fE}H"
    b"dL7P?S6_wLducPS*9yv=~0%X_V*Z!`}5G<a}P3Iu##jLYIE5||W(qlzjU&j9qS^aMg;tNs|VR@pTqZ3Bf{x=s9C_"
    b"qzny8m`6v&LxezQ}#_Tnvw>-q&I)sFQWK7m3_TRfxoch#9i@3<d<v*{22~DYNW_BNoT$>JZGzps(nDg86bgHM3I("
    b"HP1WG0HQZkon+vfW406zRMuG*EA}j7ri7#IGXDtcSV6<@at37Ro|_`??b>MDMzynt=3cvo@5c_RWmyRu@&GmVE!Z"
    b"fR^d*7xL8kpC^Q1v;vPrk$4vtU``~)lma$jfRTo~j`T>aTn{fS5#74m7@ww9<yCc!{do8xq;mL*Sx2&3??47lrqX"
    b"`;wBp51zhH7$R`?{OT9Q7Nlo?>9Brn~GvtH6c0sC+D?#15`EG)m^zopKE1CCQymky<qvHvi+up6X3Yzzs7^^Dv74"
    b"RBb}sUKa+Slqy)hWW-vC{#OrMq|8_iv{|V^Pt3VevXd~KI(LA1RZxfBE1sl<NtWGnciNFiMe1)JsLa+j0U82$WVm"
    b"Fa$6CttyA-j+?=B<h03$LE18*pmsbGFo|#Gc}+ZO(5={P>G*q$g{|BfxxxpdSek0w6XnQ>5_3yrL32P#vE^a_Ab<"
    b"^HG_9gdW;vR{C+5iC@5cg<u~EPy#SEo;71&Zs&f~;M^uh4v#20(-Y!<gbQ#{Vuu~D(}QsopTHe%0P8RUu#2-Yt^Q"
    b"yIEEybi9mQAg(}AOdnBaM9%zx6c;fxI$w&`ZD?_SzO^V~7rgbqI1Vpem5zf+LJ{cSVYv8SrNf506=08IcTUr*1{n"
    b"8S0zu)An8k}9z;e@RMt(O0m;`fYE(9ZCRA03=_3O_uNfa03sTD$e-i6Ol#*S_+afpaYHK#ozzg"
)


@pytest.fixture
def without_openslide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import openslide`` fail, as where it is not installed."""
    monkeypatch.setitem(sys.modules, "openslide", None)


# Aperio SVS


def test_the_demo_slide_is_seen_as_openslide_sees_it(demo_slide_path: Path) -> None:
    file = read_tiff(demo_slide_path)
    assert (file.format, shapes(file)) == ("aperio-svs", [(2967, 2220)])
    # Two JPEG decoders: rounding.
    assert error(whole(file.levels[0]), seen_by_openslide(demo_slide_path)) <= 1
    with openslide.OpenSlide(demo_slide_path) as slide:
        assert set(file.associated) == set(slide.associated_images)
        for name, read in file.associated.items():
            expected = np.asarray(slide.associated_images[name].convert("RGB"))
            assert error(read(), expected) <= 1


def test_aperio_jpeg_pyramid_from_vips(tmp_path: Path) -> None:
    image, path = smooth_picture(700, 900), tmp_path / "a.svs"
    text = APERIO.format(width=900, height=700, coding="JPEG/RGB Q=90")
    options: dict[str, Any] = {"tile_width": 128, "tile_height": 128, "region_shrink": "mean"}
    write_vips(path, image, text, compression="jpeg", Q=90, tile=True, pyramid=True, **options)
    file = read_tiff(path)
    assert (file.format, file.stated and file.stated.height) == ("aperio-svs", 0.252)
    assert shapes(file) == [(700, 900), (350, 450), (175, 225), (87, 112)]
    # JPEG of quality 90 with half the colours, of a smooth picture.
    assert error(whole(file.levels[0]), image) <= 12
    assert error(whole(file.levels[1]), halve(image)) <= 12
    for level, pixels in enumerate(file.levels):
        assert error(whole(pixels), seen_by_openslide(path, level)) <= 1


def test_aperio_jpeg_2000_in_rgb(tmp_path: Path) -> None:
    """The directories are tifffile's, the tiles OpenJPEG's without loss: every pixel returns."""
    image, path = smooth_picture(300, 500), tmp_path / "a.svs"
    write_svs(path, image, 33005)
    file = read_tiff(path)
    assert shapes(file) == [(300, 500), (150, 250)]
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    np.testing.assert_array_equal(whole(file.levels[1]), halve(image))
    np.testing.assert_array_equal(seen_by_openslide(path), image)
    assert list(file.associated) == ["label", "macro", "thumbnail"]
    for name, read in file.associated.items():
        np.testing.assert_array_equal(read(), picture_of(name))
    assert file.remarks == ()


def test_aperio_jpeg_2000_in_ycbcr_with_half_the_colours(tmp_path: Path) -> None:
    """What real slides of compression 33003 have, and imagecodecs alone returns as noise."""
    tile, path = smooth_picture(64, 64), tmp_path / "a.svs"
    write_svs(path, np.tile(tile, (2, 3, 1)), 33003, [YCBCR_422] * 6, tile=64)
    read = whole(read_tiff(path).levels[0])
    for top in (0, 64):
        for left in (0, 64, 128):
            part = read[top : top + 64, left : left + 64]
            assert error(part, tile) <= 8
            assert np.abs(part.astype(int) - tile).mean() < 2
    assert error(read, seen_by_openslide(path)) <= 1


def test_aperio_jpeg_2000_in_ycbcr_with_all_colours(tmp_path: Path) -> None:
    tile, path = smooth_picture(64, 64), tmp_path / "a.svs"
    ycbcr = np.asarray(PIL.Image.fromarray(tile).convert("YCbCr"))
    data = imagecodecs.jpeg2k_encode(ycbcr, level=0, codecformat="j2k", mct=False)
    write_svs(path, tile, 33003, [data], tile=64)
    read = whole(read_tiff(path).levels[0])
    # To YCbCr and back in whole numbers.
    assert error(read, tile) <= 3
    assert error(read, seen_by_openslide(path)) <= 1


def test_a_damaged_jpeg_2000_tile_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_svs(path, np.tile(smooth_picture(64, 64), (1, 2, 1)), 33003, [YCBCR_422, b"x" * 99], 64)
    pixels = read_tiff(path).levels[0]
    assert pixels.read(0, 0, 64, 64).shape == (64, 64, 3)
    with pytest.raises(SlideError, match=r"a\.svs: rows 0 to 64, columns 64 to 128"):
        pixels.read(0, 64, 64, 128)


def test_of_aperio_focal_planes_the_one_at_zero_is_the_slide(tmp_path: Path) -> None:
    image, path = smooth_picture(300, 400), tmp_path / "a.svs"
    write_svs(path, image, planes=3)
    file = read_tiff(path)
    assert shapes(file) == [(300, 400), (150, 200)]
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    np.testing.assert_array_equal(whole(file.levels[1]), halve(image))
    assert "3 focal planes" in file.remarks[0]


# Hamamatsu NDPI


def ndpi_pages(image: Image) -> list[NdpiPage]:
    """Return two levels, a macro picture and a map."""
    return [
        NdpiPage(image, 20.0, strip=128),
        NdpiPage(halve(image), 10.0, resolution=45_331.0 / 2),
        NdpiPage(picture_of("macro"), -1.0, resolution=300),
        NdpiPage(image // 2, -2.0),
    ]


@pytest.mark.parametrize("name", ["a.ndpi", "a.tif"])
def test_ndpi(tmp_path: Path, name: str) -> None:
    """The JPEGs with restart markers are Pillow's, the directories ours: no library writes NDPI."""
    image, path = smooth_picture(384, 512), tmp_path / name
    write_ndpi(path, ndpi_pages(image))
    file = read_tiff(path)
    assert (file.format, shapes(file)) == ("hamamatsu-ndpi", [(384, 512), (192, 256)])
    # Read in restart intervals, not as the one JPEG that it is.
    assert file.levels[0].chunk == (8, 128)
    # JPEG of quality 95 with all colours.
    assert error(whole(file.levels[0]), image) <= 6
    assert error(whole(file.levels[1]), halve(image)) <= 8
    assert error(whole(file.levels[0]), seen_by_openslide(path)) <= 1
    assert file.stated is not None
    assert file.stated.height == pytest.approx(0.2206, abs=1e-4)
    assert file.stated.source == "file (Hamamatsu)"
    assert list(file.associated) == ["macro"]
    assert error(file.associated["macro"](), picture_of("macro")) <= 2


@pytest.mark.parametrize("name", ["a.ndpi", "a.tif"])
def test_ndpi_of_more_than_4_gib(tmp_path: Path, name: str) -> None:
    image, path = smooth_picture(384, 512), tmp_path / name
    write_ndpi(path, ndpi_pages(image), start=(4 << 30) + 1000)
    if os.stat(path).st_blocks * 512 > 1 << 28:
        pytest.skip("the temporary folder cannot hold a file with holes")
    file = read_tiff(path)
    assert shapes(file) == [(384, 512), (192, 256)]
    assert error(whole(file.levels[0]), image) <= 6
    assert error(file.associated["macro"](), picture_of("macro")) <= 2
    # Some programs that copy or pack temporary folders would write out the hole.
    path.unlink()


def test_an_ndpi_whose_height_is_no_multiple_of_8(tmp_path: Path) -> None:
    image, path = smooth_picture(381, 512), tmp_path / "a.ndpi"
    write_ndpi(path, [NdpiPage(image, 20.0, strip=128)])
    pixels = read_tiff(path).levels[0]
    assert pixels.chunk == (8, 128)
    assert error(whole(pixels), image) <= 6


def test_an_ndpi_whose_restart_intervals_run_over_the_ends_of_rows(tmp_path: Path) -> None:
    # Taken for tiles, they would give a scrambled picture; OpenSlide refuses such files too.
    path = tmp_path / "a.ndpi"
    write_ndpi(path, [NdpiPage(smooth_picture(384, 512), 20.0, strip=96)])
    with pytest.raises(SlideError, match="restart intervals of its JPEG do not fit its rows"):
        read_tiff(path)


def test_of_ndpi_focal_planes_the_one_at_zero_is_the_slide(tmp_path: Path) -> None:
    image, path = smooth_picture(384, 512), tmp_path / "a.ndpi"
    planes = {-2000: image - 20, 0: image, 2000: image - 40}
    pages = [NdpiPage(plane, 20.0, height, strip=128) for height, plane in planes.items()]
    pages += [NdpiPage(halve(plane), 10.0, height) for height, plane in planes.items()]
    write_ndpi(path, pages)
    file = read_tiff(path)
    assert shapes(file) == [(384, 512), (192, 256)]
    assert error(whole(file.levels[0]), image) <= 6
    assert error(whole(file.levels[1]), halve(image)) <= 8
    assert "3 focal planes" in file.remarks[0]


def test_the_name_ndpi_does_not_make_an_ndpi(tmp_path: Path) -> None:
    image, path = picture(300, 200), tmp_path / "a.ndpi"
    write_vips(tmp_path / "a.tif", image, tile=True, compression="lzw")
    (tmp_path / "a.tif").rename(path)
    file = read_tiff(path)
    assert file.format == "tiff"
    np.testing.assert_array_equal(whole(file.levels[0]), image)


# Philips


def test_philips_levels_lose_their_padding(tmp_path: Path) -> None:
    """The tiles are Pillow's, the directories tifffile's, the XML ours: no library writes it."""
    image, path = smooth_picture(448, 576), tmp_path / "a.tiff"
    levels = [image]
    for _ in range(3):
        levels.append(halve(levels[-1]))
    write_philips(path, levels, glass=10)
    file = read_tiff(path)
    assert file.format == "philips-tiff"
    # In the file the levels are padded to 256 x 320, 128 x 192 and 64 x 128.
    assert shapes(file) == [(448, 576), (224, 288), (112, 144), (56, 72)]
    for level, pixels in enumerate(file.levels):
        read, expected = whole(pixels), levels[level].copy()
        if level == 0:
            # The tile that the scanner left out.
            expected[64:128, 64:128] = 255
        # JPEG of quality 95; the smaller the level, the sharper it is.
        assert error(read, expected) <= 12
        assert error(read, seen_by_openslide(path, level)) <= 1
    assert file.stated is not None
    assert file.stated.height == pytest.approx(0.25)
    assert file.stated.source == "file (Philips)"
    assert list(file.associated) == ["label", "macro"]
    for name, picture_read in file.associated.items():
        assert error(picture_read(), picture_of(name)) <= 2


# Ventana, through OpenSlide


def test_the_overlapping_tiles_of_ventana_are_stitched(tmp_path: Path) -> None:
    """The directories are tifffile's, the XML ours: no library writes BIF."""
    image, path = picture(2 * 128 - 8, 3 * 128 - 32), tmp_path / "a.bif"
    write_bif(path, image, 128, (8, 16))
    file = read_tiff(path)
    assert file.format == "ventana-bif"
    np.testing.assert_array_equal(whole(file.levels[0]), image)
    assert file.stated is not None
    assert (file.stated.height, file.stated.source) == (0.465, "file (OpenSlide)")
    np.testing.assert_array_equal(file.associated["macro"](), picture_of("macro"))


@pytest.mark.usefixtures("without_openslide")
def test_ventana_without_openslide_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "a.bif"
    write_bif(path, picture(248, 352), 128, (8, 16))
    with pytest.raises(SlideError) as caught:
        read_tiff(path)
    assert str(caught.value) == (
        f"{path}: this is a Ventana BIF file: install the reader with  "
        'pip install "napari-prts[openslide]"'
    )
    assert openslide_vendor(path) is None


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write_svs(path, smooth_picture(300, 400))
    file = read_tiff(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SlideError, match=r"a\.svs: its label picture cannot be read"):
        file.associated["label"]()


# Damage


def write_one(path: Path) -> None:
    """Write a small slide of the maker whose ending the name has."""
    image = smooth_picture(384, 512)
    if path.suffix == ".ndpi":
        write_ndpi(path, ndpi_pages(image))
    elif path.suffix == ".svs":
        write_svs(path, image)
    elif path.suffix == ".bif":
        write_bif(path, smooth_picture(248, 352), 128, (8, 16))
    else:
        write_philips(path, [image, halve(image)])


@pytest.mark.parametrize("name", ["a.ndpi", "a.svs", "a.bif", "a.tiff"])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_slide_cut_short_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    write_one(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SlideError, match="damaged or incomplete"):
        read_tiff(path)


@pytest.mark.parametrize("name", ["a.ndpi", "a.svs", "a.bif", "a.tiff"])
def test_a_slide_with_wrong_bytes_is_read_or_refused(tmp_path: Path, name: str) -> None:
    """Whatever is wrong in the directories, nothing but a SlideError comes out."""
    path, rng = tmp_path / name, np.random.default_rng(0)
    write_one(path)
    whole_file = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        directories = [page.offset for page in file.pages]
    for _ in range(60):
        data = bytearray(whole_file)
        at = int(rng.choice(directories)) + int(rng.integers(0, 200))
        data[min(at, len(data) - 1)] = int(rng.integers(0, 256))
        path.write_bytes(data)
        with contextlib.suppress(SlideError):
            for pixels in read_tiff(path).levels:
                pixels.read(0, 0, min(pixels.shape[0], 400), min(pixels.shape[1], 400))
