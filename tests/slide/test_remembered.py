"""A pixel size that the user corrected is remembered for that slide."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_prts.errors import SlideError
from napari_prts.slide.remembered import PixelSizeMemory

SLIDE, OTHER = "0123456789abcdef0123456789abcdef", "f" * 32


def test_remember_get_and_forget(tmp_path: Path) -> None:
    memory = PixelSizeMemory(tmp_path / "sizes")
    assert memory.get(SLIDE) is None
    memory.remember(SLIDE, 0.2501, "biopsy.svs")
    memory.remember(OTHER, 0.5, "other.svs")
    # A later session.
    later = PixelSizeMemory(tmp_path / "sizes")
    assert (later.get(SLIDE), later.get(OTHER)) == (0.2501, 0.5)
    later.remember(SLIDE, 0.26, "biopsy.svs")
    assert memory.get(SLIDE) == 0.26
    memory.forget(SLIDE)
    memory.forget(SLIDE)
    assert (later.get(SLIDE), later.get(OTHER)) == (None, 0.5)


def test_it_is_kept_with_the_users_data_not_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_PRTS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NAPARI_PRTS_CACHE", str(tmp_path / "cache"))
    memory = PixelSizeMemory()
    assert memory.get(SLIDE) is None
    assert not (tmp_path / "data").exists()
    memory.remember(SLIDE, 0.25, "biopsy.svs")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "data" / "pixel_sizes" / f"{SLIDE}.json"]
    # One can see whose it is.
    assert json.loads(files[0].read_text())["name"] == "biopsy.svs"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[0.25]",
        b'"0.25"',
        b"{}",
        b'{"fingerprint": "0123456789abcdef0123456789abcdef"}',
        b'{"fingerprint": "0123456789abcdef0123456789abcdef", "mpp": "much"}',
        b'{"fingerprint": "0123456789abcdef0123456789abcdef", "mpp": null}',
        b'{"fingerprint": "0123456789abcdef0123456789abcdef", "mpp": NaN}',
        b'{"fingerprint": "0123456789abcdef0123456789abcdef", "mpp": 300}',
        b'{"fingerprint": "0123456789abcdef0123456789abcdef", "mpp": ' + b"9" * 400 + b"}",
        b'{"fingerprint": "of another slide", "mpp": 0.25}',
    ],
)
def test_damaged_files_are_ignored_and_replaced(tmp_path: Path, damage: bytes) -> None:
    memory = PixelSizeMemory(tmp_path)
    (tmp_path / f"{SLIDE}.json").write_bytes(damage)
    assert memory.get(SLIDE) is None
    memory.remember(SLIDE, 0.25, "biopsy.svs")
    assert memory.get(SLIDE) == 0.25


@pytest.mark.parametrize("mpp", [0, -1, 300, float("nan"), float("inf")])
def test_impossible_sizes_are_refused(tmp_path: Path, mpp: float) -> None:
    memory = PixelSizeMemory(tmp_path)
    memory.remember(SLIDE, 0.25, "biopsy.svs")
    with pytest.raises(SlideError, match="um per pixel"):
        memory.remember(SLIDE, mpp, "biopsy.svs")
    assert memory.get(SLIDE) == 0.25


@pytest.mark.parametrize("fingerprint", ["", "../../etc/passwd", "a/b", "a\0b", "x" * 999])
def test_a_fingerprint_leads_nowhere_else(tmp_path: Path, fingerprint: str) -> None:
    memory = PixelSizeMemory(tmp_path)
    assert memory.get(fingerprint) is None
    with pytest.raises(SlideError, match="is no fingerprint"):
        memory.remember(fingerprint, 0.25, "biopsy.svs")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "sizes").write_text("a file stands where the folder should be")
    memory = PixelSizeMemory(tmp_path / "sizes")
    assert memory.get(SLIDE) is None
    with pytest.raises(SlideError, match=r"biopsy\.svs cannot be remembered .*NAPARI_PRTS_DATA"):
        memory.remember(SLIDE, 0.25, "biopsy.svs")


def test_two_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_prts.slide.remembered import PixelSizeMemory\n"
        "memory = PixelSizeMemory(Path(sys.argv[1]))\n"
        "for turn in range(100):\n"
        "    memory.remember(sys.argv[2], float(sys.argv[3]), 'biopsy.svs')\n"
        "    assert memory.get(sys.argv[2]) in (0.25, 0.5), turn\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), SLIDE, mpp])
        for mpp in ("0.25", "0.5")
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    assert PixelSizeMemory(tmp_path).get(SLIDE) in (0.25, 0.5)
    # Nothing is left lying about.
    assert [path.name for path in tmp_path.iterdir()] == [f"{SLIDE}.json"]
