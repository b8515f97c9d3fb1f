"""Opening any slide: which reader, which pixel size, which levels are still to be made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from napari_prts.errors import SlideError
from napari_prts.jobs import Job, run
from napari_prts.slide.levels import lower_levels, stack
from napari_prts.slide.pixel_size import settle
from napari_prts.slide.pixels import BlockCache, CachedPixels, KeptPixels, Pixels
from napari_prts.slide.slide import Slide
from napari_prts.slide.slide_file import SlideFile, damaged

# An image of up to 50 megapixels (150 MB) may be held in memory.
SMALL_IMAGE = 50_000_000
# Chunks beyond this are strips or whole images: nothing to read small regions from.
LARGEST_RANDOM_CHUNK = 4096

_KINDS = "Aperio SVS, TIFF, OME-TIFF, OME-Zarr, JPEG and PNG can be opened"


def open_slide(path: str | os.PathLike[str], mpp: float | None = None) -> Slide:
    """Open a slide.

    Parameters
    ----------
    path : path
        Aperio SVS, TIFF, BigTIFF, OME-TIFF, JPEG or PNG file, or OME-Zarr
        folder (0.4 or 0.5). The content decides, not the name.
    mpp : float, optional
        um per level-0 pixel; goes before what the file says.

    Returns
    -------
    Slide
        Read lazily. A large file without a pyramid gets one first, which is
        kept in the cache; :func:`open_slide_job` tells how far that is.

    Raises
    ------
    SlideError
        If there is no such file, it is damaged, it is not 8-bit RGB, its
        pixels are not square, or ``mpp`` is impossible.
    """
    return run(open_slide_job(path, mpp))


def open_slide_job(path: str | os.PathLike[str], mpp: float | None = None) -> Job[Slide]:
    """Open a slide with progress; see :func:`open_slide`.

    Yields
    ------
    Progress
        In rows, only while a pyramid is built.
    """
    path = Path(path)
    file = _read_file(path)
    size, source = settle(path, file.stated, mpp)
    levels = yield from _complete(file)
    return Slide(
        path, file.format, stack(levels, str(path)), size, source, file.fingerprint, path.name
    )


def _read_file(path: Path) -> SlideFile:
    try:
        return _reader(path)(path)
    except OSError as error:
        raise SlideError(
            f"{path} cannot be read ({error.strerror or error}). Check that it is a slide and "
            "that you may read it."
        ) from error


def _reader(path: Path) -> Callable[[Path], SlideFile]:
    """Choose the reader by what the file begins with."""
    if not path.exists():
        raise SlideError(f"{path} does not exist. Check the path and the spelling.")
    if path.is_dir():
        from napari_prts.slide.ome_zarr import read_ome_zarr

        return read_ome_zarr
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise damaged(path, "it is empty (0 bytes)")
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        from napari_prts.slide.tiff import read_tiff

        return read_tiff
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        from napari_prts.slide.raster import read_jpeg, read_png

        return read_jpeg if head.startswith(b"\xff\xd8") else read_png
    raise SlideError(
        f"{path} is no slide that is known here: {_KINDS}. Convert it to one of these, "
        "for example to OME-TIFF in QuPath."
    )


def _complete(file: SlideFile) -> Job[list[Pixels]]:
    """Return the file's levels, quick to read anywhere, with lower ones down to a screen."""
    cache = BlockCache()
    levels = [*file.levels]
    last = levels[-1]
    small = math.prod(last.shape) <= SMALL_IMAGE
    if small:
        if isinstance(last, KeptPixels):
            # Decoded now, so that a damaged image is found when it is opened.
            last.read(0, 0, 1, 1)
        levels = [_quick(pixels, cache) for pixels in levels]
        return [*levels, *lower_levels(levels[-1])]
    from napari_prts.slide.pyramid import build_pyramid, cached_pyramid

    built = cached_pyramid(file.fingerprint, last.shape)
    if built is None:
        built = yield from build_pyramid(
            last, file.fingerprint, file.path.name, keep_first=not _random(last)
        )
    if not _random(last):
        levels.pop()
    return [_quick(pixels, cache) for pixels in [*levels, *built]]


def _random(pixels: Pixels) -> bool:
    """Whether a small region can be read without decoding much more."""
    if isinstance(pixels, KeptPixels):
        return False
    return pixels.chunk is None or max(pixels.chunk) <= LARGEST_RANDOM_CHUNK


def _quick(pixels: Pixels, cache: BlockCache) -> Pixels:
    """Remember decoded blocks; hold an image that is stored in one piece or in strips."""
    if pixels.chunk is None:
        return pixels
    if _random(pixels) or math.prod(pixels.shape) > SMALL_IMAGE:
        return CachedPixels(pixels, cache)
    rows, columns = pixels.shape
    return KeptPixels(pixels.shape, lambda: pixels.read(0, 0, rows, columns))
