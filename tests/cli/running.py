"""Running the command line in tests, and the outputs of one whole way through it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from typer.testing import CliRunner, Result

from napari_prts.cli import app

MPP = 0.499


def invoke(*arguments: object) -> Result:
    """Run a command inside this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> Result:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(*arguments: object) -> str:
    """Run a command that must fail as all do; return what it says."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("napari-prts: ")
    assert "Internal error" not in line
    return line


def shell(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own."""
    command = [sys.executable, "-m", "napari_prts", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )


def write_slide(path: Path, pixels: np.ndarray, mpp: float | None = MPP) -> Path:
    """Write a tiled TIFF with its pixel size in the resolution tags."""
    size = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), **size)
    return path


def truncated(path: Path, whole: bytes) -> Path:
    path.write_bytes(whole[: len(whole) * 6 // 10])
    return path


@dataclass(frozen=True)
class Chain:
    """What the whole way leaves, each step made by its command."""

    folder: Path
    said: dict[str, str]

    def __getattr__(self, name: str) -> Path:
        endings = {
            "slide": "slide.tif",
            "nuclei": "nuclei.geojson",
            "visium_hd": "visium_hd",
            "measured": "measured.h5ad",
            "model": "model",
            "predicted": "predicted.h5ad",
            "report": "report.json",
            "clusters": "clusters.h5ad",
        }
        if name not in endings:
            raise AttributeError(name)
        return self.folder / endings[name]
