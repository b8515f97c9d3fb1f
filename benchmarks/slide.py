"""Measure the opening and reading of slides against OpenSlide and libvips.

    python benchmarks/slide.py [--quick] [--work FOLDER] [--data FOLDER]

Each line printed is one figure as JSON. All are costs (seconds, megabytes), so the
ratio is the baseline's over ours: above 1 we are better. The two sides take turns,
so that other work on the machine slows both. The slide of gigapixels is made once
and kept in --work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import platformdirs
from _figures import SHARED_DATA, PeakMemory, in_fresh_process, seconds_of, show_cost, tell
from _slides import big_slide, section, small_slide
from numpy.typing import NDArray

VIEW = (1000, 1500)
# The level that fills a screen: on a file of 49,500 x 46,350 px it has 1,546 x 1,448.
OVERVIEW_DOWNSAMPLE = 32
SECTION_MPP = 0.69
# Two JPEG decoders differ by their rounding and how they enlarge the colours.
LARGEST_DIFFERENCE = 3.0
# Green of the sections' glass is above this, of nearly all tissue below.
DARKEST_GLASS = 180
# Half a second at full speed: an even share of what else the machine does for either side.
ROUND_VIEWS = 10

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Counts:
    """How often things are done."""

    first_pixels: int = 7
    views: int = 200
    memory_views: int = 500
    pyramids: int = 5


QUICK = Counts(first_pixels=2, views=40, memory_views=60, pyramids=1)


class Ours:
    """A slide read by this package."""

    def __init__(self, path: Path) -> None:
        from napari_prts.slide import open_slide

        self.slide = open_slide(path)
        self.shape = self.slide.shape

    def view(self, row: int, column: int) -> Picture:
        return self.slide.read(row, column, *VIEW)

    def overview(self) -> Picture:
        """Read a whole level, as the thumbnail or the tissue mask asks for it."""
        level = _nearest(self.slide.downsamples)
        down = self.slide.downsamples[level]
        rows, columns = (int(length // down) for length in self.shape)
        return self.slide.read(0, 0, rows, columns, mpp=self.slide.require_mpp() * down)


class OursInWindow(Ours):
    """The same, through the arrays that an image layer is given."""

    def __init__(self, path: Path) -> None:
        from napari_prts.slide.screen import Screen

        super().__init__(path)
        # A window would draw a coarser level while it waits; here the wait is what counts.
        self.screen = Screen(self.slide, patience=60)

    def view(self, row: int, column: int) -> Picture:
        rows, columns = VIEW
        view: Picture = self.screen.levels[0][row : row + rows, column : column + columns]
        return view

    def overview(self) -> Picture:
        overview: Picture = self.screen.levels[_nearest(self.slide.downsamples)][:]
        return overview


class Openslide:
    """A slide read by OpenSlide, each view turned into red, green, blue as we give it."""

    def __init__(self, path: Path) -> None:
        import openslide

        self.slide = openslide.OpenSlide(path)
        columns, rows = self.slide.dimensions
        self.shape = (rows, columns)

    def view(self, row: int, column: int) -> Picture:
        rows, columns = VIEW
        return _rgb(self.slide.read_region((column, row), 0, (columns, rows)))

    def overview(self) -> Picture:
        level = _nearest(self.slide.level_downsamples)
        return _rgb(self.slide.read_region((0, 0), level, self.slide.level_dimensions[level]))


Reader = type[Ours] | type[Openslide]


def _rgb(image: Any) -> Picture:
    return np.asarray(image.convert("RGB"))


def _nearest(downsamples: tuple[float, ...]) -> int:
    """Index of the overview's level; the last where a slide has none so small."""
    return int(np.argmin([abs(np.log2(down / OVERVIEW_DOWNSAMPLE)) for down in downsamples]))


Corners = list[tuple[int, int]]


def positions(shape: tuple[int, int], count: int, seed: int = 0) -> Corners:
    """Top-left corners of views anywhere on a slide, (row, column) in level-0 pixels."""
    rng = np.random.default_rng(seed)
    last = [full - part for full, part in zip(shape, VIEW, strict=True)]
    corners = rng.integers(0, last, (count, 2), endpoint=True)
    return [(int(row), int(column)) for row, column in corners]


def tissue_positions(slide: Openslide, count: int) -> Corners:
    """Corners of views that show tissue, which takes longer to decode than glass."""
    dark = slide.overview()[..., 1] < DARKEST_GLASS
    down = slide.shape[0] / dark.shape[0]
    rows, columns = (round(part / down) for part in VIEW)

    def shows_tissue(corner: tuple[int, int]) -> bool:
        top, left = (round(position / down) for position in corner)
        return bool(dark[top : top + rows, left : left + columns].mean() > 0.5)

    anywhere = positions(slide.shape, 100 * count, seed=2)
    return [corner for corner in anywhere if shows_tissue(corner)][:count]


def warm(reader: Reader, small: Path) -> None:
    """Import and load all that reading needs, on another slide."""
    slide = reader(small)
    slide.view(0, 0)
    slide.overview()


def first_pixels(reader: Reader, what: str, path: Path, small: Path) -> float:
    """Seconds from opening to the overview or to a view in the middle."""
    warm(reader, small)
    if what == "overview":
        return seconds_of(lambda: reader(path).overview())
    return seconds_of(lambda: reader(path).view(20_001, 20_001))


def measure_first_pixels(path: Path, small: Path, counts: Counts) -> None:
    """Every opening in a new process, the file in the system's page cache."""
    for what in ("overview", "full resolution"):
        readers: tuple[Reader, ...] = (Ours, OursInWindow, Openslide)
        taken: dict[Reader, list[float]] = {reader: [] for reader in readers}
        for _ in range(counts.first_pixels):
            for reader in readers:
                taken[reader].append(in_fresh_process(first_pixels, reader, what, path, small))
        ours, window, baseline = (median(taken[reader]) for reader in readers)
        name = f"{what.replace(' ', '_')}_first_pixels"
        show_cost(name, ours, baseline, "s", "ours < 0.3")
        show_cost(f"{name}_in_window", window, baseline, "s", None)


def measure_views(path: Path, small: Path, counts: Counts) -> None:
    """Random views, the readers taking turns at the same positions."""
    for where, target in (("full_resolution", "ratio >= 2.5"), ("tissue", "ratio >= 2.5")):
        rounds = in_fresh_process(view_rounds, path, small, where, counts.views)
        ours, window, baseline = np.median(rounds, axis=0)
        ratios = np.median(rounds[:, 2:] / rounds, axis=0)
        unit = f"s a view of {VIEW[1]} x {VIEW[0]}"
        show_cost(f"random_{where}_views", ours, baseline, unit, target, ratios[0])
        lazy = "tissue_views" if where == "tissue" else "views"
        show_cost(f"{lazy}_in_window", window, baseline, unit, target, ratios[1])


def view_rounds(path: Path, small: Path, where: str, count: int) -> NDArray[np.float64]:
    """Seconds a view, shape (round, 3): ours, ours in a window, OpenSlide."""
    readers: tuple[Reader, ...] = (Ours, OursInWindow, Openslide)
    for reader in readers:
        warm(reader, small)
    # A slide of its own for each: none finds what another has decoded.
    slides = [reader(path) for reader in readers]
    corners = positions(slides[0].shape, count)
    if where == "tissue":
        corners = tissue_positions(Openslide(path), count)
    check_same(slides, *corners[0])
    rounds = []
    for number, begin in enumerate(range(0, count, ROUND_VIEWS)):
        part = corners[begin : begin + ROUND_VIEWS]
        taken = np.zeros(len(slides))
        for turn in range(len(slides)):
            which = (turn + number) % len(slides)
            taken[which] = seconds_of(partial(look_at, slides[which], part))
        rounds.append(taken / len(part))
    return np.array(rounds)


def look_at(slide: Any, corners: Corners) -> None:
    """Read the views that begin at these corners."""
    for corner in corners:
        slide.view(*corner)


def check_same(slides: list[Any], row: int, column: int) -> None:
    """Refuse to time readers that do not read the same picture."""
    views = [slide.view(row, column).astype(np.int16) for slide in slides]
    for slide, view in zip(slides, views, strict=True):
        difference = float(np.abs(view - views[-1]).mean())
        if view.shape != (*VIEW, 3) or difference > LARGEST_DIFFERENCE:
            raise RuntimeError(
                f"{type(slide).__name__} reads another picture than OpenSlide at row {row}, "
                f"column {column}: shape {view.shape}, mean difference {difference:.1f} grey values"
            )


def memory_of_views(reader: Reader, path: Path, small: Path, count: int) -> float:
    """Megabytes above an open, idle slide."""
    warm(reader, small)
    slide = reader(path)
    corners = positions(slide.shape, count, seed=1)
    return PeakMemory().during(partial(look_at, slide, corners))


def measure_memory(path: Path, small: Path, counts: Counts) -> None:
    """Memory of many views, each reader in a process of its own."""
    ours, window, baseline = (
        in_fresh_process(memory_of_views, reader, path, small, counts.memory_views)
        for reader in (Ours, OursInWindow, Openslide)
    )
    name = f"peak_memory_{counts.memory_views}_views"
    show_cost(name, ours, baseline, "MB above idle", "ours < 400")
    show_cost(f"{name}_in_window", window, baseline, "MB above idle", None)


def build_ours(image: Path, small: Path) -> float:
    """Seconds to open an image without a pyramid for the first time."""
    from napari_prts.slide import open_slide

    warm(Ours, small)
    return seconds_of(lambda: open_slide(image, mpp=SECTION_MPP))


def vips_commands(image: Path, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What libvips does with the same image: (name, call), by its command where it is installed."""
    tiff = folder / "pyramid.tif"
    zoom = folder / "zoom"
    command = shutil.which("vips")
    if command:
        flags = ("--tile", "--pyramid", "--compression", "jpeg")
        yield "vips dzsave", lambda: _call(command, "dzsave", image, zoom)
        yield "vips tiffsave", lambda: _call(command, "tiffsave", image, tiff, *flags)
    else:
        yield "pyvips dzsave", lambda: _pyvips(image).dzsave(str(zoom))
        yield (
            "pyvips tiffsave",
            lambda: _pyvips(image).tiffsave(str(tiff), tile=True, pyramid=True, compression="jpeg"),
        )


def _call(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def _pyvips(image: Path) -> Any:
    import pyvips

    return pyvips.Image.new_from_file(str(image), access="sequential")


def measure_pyramid(image: Path, small: Path, work: Path, counts: Counts) -> None:
    """Build the pyramid of a JPEG, everything from nothing in each round."""
    ours: list[float] = []
    vips: dict[str, list[float]] = {}
    for _ in range(counts.pyramids):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            environment = {"NAPARI_PRTS_CACHE": folder}
            ours.append(in_fresh_process(build_ours, image, small, environment=environment))
        with tempfile.TemporaryDirectory(dir=work) as folder:
            for name, call in vips_commands(image, Path(folder)):
                vips.setdefault(name, []).append(seconds_of(call))
    quickest = min(vips, key=lambda name: median(vips[name]))
    for name, taken in vips.items():
        ratio = median(theirs / mine for mine, theirs in zip(ours, taken, strict=True))
        target = "ratio >= 0.5" if name == quickest else None
        title = f"pyramid_of_jpeg against {name}"
        show_cost(title, median(ours), median(taken), "s", target, ratio)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer views: a rough answer")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(platformdirs.user_cache_dir("napari-prts-benchmarks")),
        help="folder that keeps the slide of gigapixels",
    )
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder of shared data")
    given = parser.parse_args()
    image, small = section(given.data, "C2"), small_slide(given.data)
    if not (image.exists() and small.exists()):
        tell(
            f"skipped: {given.data} has no her2st sections and slides; name their folder by --data"
        )
        return 0
    if find_spec("openslide") is None:
        tell("skipped: OpenSlide, the baseline, is missing; install napari-prts[openslide]")
        return 0
    counts = QUICK if given.quick else Counts()
    path = big_slide(given.data, given.work)
    # Whatever the package keeps for later is kept out of the user's own cache.
    os.environ["NAPARI_PRTS_CACHE"] = str(given.work / "cache")
    measure_first_pixels(path, small, counts)
    measure_views(path, small, counts)
    measure_memory(path, small, counts)
    measure_pyramid(image, small, given.work, counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
