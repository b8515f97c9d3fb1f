"""Outputs are checked before the work, and nothing that exists is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.cli.running import Chain, fail


def test_outputs_are_checked_before_the_work(chain: Chain, out: Path, tmp_path: Path) -> None:
    segment = ("segment", chain.slide, "-o")
    assert ".geojson" in fail(*segment, out / "nuclei.csv")
    (tmp_path / "folder.geojson").mkdir()
    assert "folder" in fail(*segment, tmp_path / "folder.geojson")
    (tmp_path / "file").touch()
    assert "file" in fail(*segment, tmp_path / "file" / "nuclei.geojson")


def test_no_input_is_overwritten(chain: Chain) -> None:
    before = chain.measured.read_bytes()
    assert "overwrite" in fail("cluster", chain.measured, "-o", chain.measured)
    assert chain.measured.read_bytes() == before


@pytest.mark.parametrize("command", ["simulate", "train"])
def test_a_folder_with_other_things_is_not_replaced(
    command: str, chain: Chain, tmp_path: Path
) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    nuclei = ("--nuclei", chain.nuclei, "-o", folder)
    arguments = {
        "simulate": ("simulate", chain.slide, *nuclei),
        "train": ("train", "--slide", chain.slide, "--measured", chain.measured, *nuclei),
    }
    assert "precious" in fail(*arguments[command])
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_folder_that_cannot_be_written_to(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root, as whom tests may run, may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert "permissions" in fail("segment", chain.slide, "-o", tmp_path / "nuclei.geojson")


def test_a_full_disk_is_one_line(chain: Chain, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.json")

    monkeypatch.setattr("napari_prts.analysis.write_report", full)
    said = fail("evaluate", chain.predicted, chain.measured, "-o", out / "report.json")
    assert "Free some space" in said
