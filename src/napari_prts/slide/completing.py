"""Levels quick to read anywhere, from the full resolution down to one screen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_prts.slide.blocks import BlockCache, CachedPixels
from napari_prts.slide.damage import Damage, MendedPixels
from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.growing import Growth
from napari_prts.slide.levels import lower_levels
from napari_prts.slide.pixels import ArrayPixels, KeptPixels, LevelPixels, Pixels
from napari_prts.slide.pyramid import StoredArray, StoredPyramid
from napari_prts.slide.pyramid_cache import PyramidCache

# An image of up to 50 megapixels (150 MB) may be held in memory.
SMALL_IMAGE = 50_000_000
# Chunks beyond this are strips or whole images: nothing to read small regions from.
LARGEST_RANDOM_CHUNK = 4096


@dataclass(frozen=True)
class Levels:
    """The levels of an open slide.

    Parameters
    ----------
    levels : tuple of LevelPixels
        Full resolution first.
    growth : Growth or None
        What builds some of them; None if all are there.
    damage : Damage
        Where broken tiles are recorded.
    """

    levels: tuple[LevelPixels, ...]
    growth: Growth | None
    damage: Damage


def complete(file: SlideFile) -> Levels:
    """Make a file's levels quick to read, and add what is missing below them.

    Raises
    ------
    SlideError
        If a small image, which is decoded now, is damaged.
    """
    cache, damage = BlockCache(), Damage(file.levels[0].shape)
    kept = [*file.levels]
    # Of an image in one piece nothing is left if that is broken: then reading it is an error.
    spared = None if _in_one_piece(kept[0]) else damage
    # A large level in strips is tiled anew, and with it all below it.
    slow = [index for index, level in enumerate(kept) if _is_large(level) and not _random(level)]
    if slow:
        kept = kept[: slow[0] + 1]
    last = kept[-1]
    if not _is_large(last):
        if isinstance(last, KeptPixels):
            # Decoded now, so that a damaged image is found when it is opened.
            last.read(0, 0, 1, 1)
        quick = [_quick(pixels, cache, spared) for pixels in kept]
        return Levels((*quick, *lower_levels(quick[-1])), None, damage)
    above = [_quick(pixels, cache, spared) for pixels in (kept[:-1] if slow else kept)]
    stored = PyramidCache.of_user().find(file.fingerprint, last.shape)
    if stored is not None:
        return Levels((*above, *_open_stored(stored, file, cache, damage)), None, damage)
    source = _quick(last, cache, spared) if _random(last) else _mended(last, spared)
    growth = Growth(source, file.fingerprint, file.path.name, bool(slow), cache, damage)
    return Levels((*above, *growth.levels), growth, damage)


def _is_large(pixels: Pixels) -> bool:
    return math.prod(pixels.shape) > SMALL_IMAGE


def _random(pixels: Pixels) -> bool:
    """Whether a small region can be read without decoding much more."""
    if isinstance(pixels, KeptPixels):
        return False
    return pixels.chunk is None or max(pixels.chunk) <= LARGEST_RANDOM_CHUNK


def _quick(pixels: Pixels, cache: BlockCache, damage: Damage | None) -> LevelPixels:
    """Remember decoded blocks; hold a small image that is stored in one piece or in strips."""
    if isinstance(pixels, KeptPixels):
        return pixels
    if pixels.chunk is None:
        assert isinstance(pixels, ArrayPixels)
        return pixels
    blocks = CachedPixels(pixels, cache, damage)
    if _random(pixels):
        return blocks
    rows, columns = pixels.shape
    return KeptPixels(pixels.shape, lambda: blocks.read(0, 0, rows, columns))


def _mended(pixels: Pixels, damage: Damage | None) -> Pixels:
    """Let broken strips be white."""
    return pixels if damage is None or pixels.chunk is None else MendedPixels(pixels, damage)


def _in_one_piece(pixels: Pixels) -> bool:
    if pixels.chunk is None:
        return True
    return all(part >= whole for part, whole in zip(pixels.chunk, pixels.shape, strict=True))


def _open_stored(
    stored: StoredPyramid, file: SlideFile, cache: BlockCache, damage: Damage
) -> list[LevelPixels]:
    pyramids = PyramidCache.of_user()
    name = f"{pyramids.path(file.fingerprint)} (a cached copy; delete it to have it made again)"
    arrays = [array for array in stored.arrays if array is not None]
    levels: list[LevelPixels] = [
        CachedPixels(ArrayPixels(StoredArray(array), name, chunk=array.chunks[:2]), cache, damage)
        for array in arrays
    ]
    pyramids.hold(file.fingerprint, levels[0])
    for tile in stored.broken:
        damage.restore(tile)
    return levels
