"""Slides to measure on: one of gigapixels made of real sections, and a small one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from time import perf_counter

from _figures import in_fresh_process, tell

SECTIONS = ("B4", "C2", "C3", "C4", "C5")
# Rows and columns of a section that are used: the smallest of the five has 9,901 x 9,270.
SECTION_SHAPE = (9900, 9270)
TILE = 256
QUALITY = 85
MPP = 0.25


def small_slide(data: Path) -> Path:
    """A few megapixels, to be read from before the clock starts."""
    return data / "slides" / "CMU-1-Small-Region.svs"


def section(data: Path, name: str) -> Path:
    """One of the five sections, a JPEG of 92 megapixels."""
    return data / "her2st" / f"{name}.jpg"


def big_slide(data: Path, work: Path) -> Path:
    """Return the slide of gigapixels; made when it is not there yet.

    Returns
    -------
    Path
        Pyramidal BigTIFF, 49,500 x 46,350 (row, column), JPEG tiles, 0.25 um/px.
    """
    rows, columns = (len(SECTIONS) * length for length in SECTION_SHAPE)
    path = work / f"her2st_{rows}x{columns}_tile{TILE}_q{QUALITY}.tif"
    if not path.exists():
        tell(f"making {path}, once")
        started = perf_counter()
        # libvips keeps memory and threads: not in the process that measures.
        in_fresh_process(_make, data, path)
        size = path.stat().st_size / 1e6
        tell(f"made in {perf_counter() - started:.0f} s, {size:.0f} MB")
    return path


def _make(data: Path, path: Path) -> None:
    """Lay the five sections out so that each is once in every row and column of the mosaic."""
    import pyvips

    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(SECTIONS)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        sections = [_decoded(section(data, name), Path(folder)) for name in SECTIONS]
        tiles = [
            _flipped(sections[(2 * row + column) % count], row, column)
            for row in range(count)
            for column in range(count)
        ]
        mosaic = pyvips.Image.arrayjoin(tiles, across=count)
        per_mm = 1000 / MPP
        aside = Path(folder) / path.name
        mosaic.copy(xres=per_mm, yres=per_mm).tiffsave(
            str(aside),
            tile=True,
            tile_width=TILE,
            tile_height=TILE,
            pyramid=True,
            bigtiff=True,
            compression="jpeg",
            Q=QUALITY,
            resunit="cm",
        )
        os.replace(aside, path)


def _decoded(path: Path, folder: Path) -> object:
    """Decode a JPEG to a file that can be read anywhere, so that five need no memory."""
    import pyvips

    raw = str(folder / f"{path.stem}.v")
    pyvips.Image.jpegload(str(path), access="sequential").write_to_file(raw)
    rows, columns = SECTION_SHAPE
    return pyvips.Image.new_from_file(raw).crop(0, 0, columns, rows)


def _flipped(image: object, row: int, column: int) -> object:
    """Mirror by place, so that a section is not seen twice the same way up."""
    if row % 2:
        image = image.flipver()  # type: ignore[attr-defined]
    if (row // 2 + column) % 2:
        image = image.fliphor()  # type: ignore[attr-defined]
    return image
