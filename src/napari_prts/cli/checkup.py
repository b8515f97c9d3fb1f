"""What ``napari-prts doctor`` finds: versions, device, weights, cache, screen."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from napari_prts import __version__
from napari_prts.demo import has_screen
from napari_prts.files import cache_folder

Section = tuple[str, list[str]]

PACKAGES = (
    "napari",
    "npe2",
    "torch",
    "timm",
    "stardist",
    "numpy",
    "anndata",
    "scanpy",
    "zarr",
    "tifffile",
    "bermuda",
)
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def findings() -> Iterator[Section]:
    """Yield a title and its lines, one section after the other."""
    yield f"napari-prts {__version__}", [f"Python {platform.python_version()}", platform.platform()]
    yield "Packages", [f"{name} {_version(name) or 'not installed'}" for name in PACKAGES]
    yield "Window", _window()
    yield "Device", _device()
    yield "Nucleus models", _nucleus_models()
    yield "Encoders", _encoders()
    yield "Cache", _cache()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _window() -> list[str]:
    found = [f"{name} {_version(name)}" for name in QT_BINDINGS if _version(name)]
    qt = ", ".join(found) or 'no Qt: install "napari-prts[all]" for the napari widgets'
    return [qt, "screen: yes" if has_screen() else "screen: none (demo uses a virtual one)"]


def _device() -> list[str]:
    from napari_prts.features.device import choose_device, device_name

    lines = [f"{device_name(choose_device('auto'))}, {os.cpu_count()} CPU cores in all"]
    if choose_device("auto").type == "cpu":
        lines.append("no GPU that PyTorch can use: everything runs on the CPU")
    return lines


def _nucleus_models() -> list[str]:
    from napari_prts.segmentation.loading import DEFAULT_MODEL, embedded_folder
    from napari_prts.segmentation.sources import VERSATILE_HE

    here = embedded_folder().is_dir()
    state = "comes with napari-prts" if here else "MISSING: install napari-prts again"
    return [
        f"{DEFAULT_MODEL}: {state}",
        f"{VERSATILE_HE.name}: {_cached(VERSATILE_HE.path)}; licence {VERSATILE_HE.licence}",
    ]


def _encoders() -> list[str]:
    from napari_prts.features.sources import HIPT_VIT256, find_weights, models_folder

    kept = find_weights(HIPT_VIT256) or models_folder() / HIPT_VIT256.filename
    return [
        "morphology, texture, unet: need no weights; A+B is both side by side",
        f"{HIPT_VIT256.name}: {_cached(kept)}; licence {HIPT_VIT256.licence}",
        "hf-hub:NAME: asks for the licence of each before its first download",
    ]


def _cached(path: Path) -> str:
    if path.is_file():
        return f"cached, {_size(path.stat().st_size)}, {path}"
    return f"not downloaded yet, would be {path}"


def _cache() -> list[str]:
    folder = cache_folder()
    parts = sorted(part for part in folder.iterdir() if part.is_dir())
    sizes = [f"{part.name}: {_size(_bytes_in(part))}" for part in parts]
    return [f"{folder} (can be deleted; NAPARI_PRTS_CACHE names another)", *sizes]


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(size: int) -> str:
    if size < 1e6:
        return f"{size / 1e3:,.0f} kB"
    if size < 1e9:
        return f"{size / 1e6:,.1f} MB"
    return f"{size / 1e9:,.1f} GB"
