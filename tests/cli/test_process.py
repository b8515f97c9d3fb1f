"""The program as a process: help, usage, status, signals, the progress bar."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import fail, shell, succeed

COMMANDS = ("info", "segment", "simulate", "measure", "train", "predict", "evaluate", "cluster")


@pytest.mark.parametrize("command", [*COMMANDS, "demo", "doctor"])
def test_every_command_has_help(command: str) -> None:
    assert command in succeed(command, "--help").stdout
    assert command in succeed("--help").stdout


@pytest.mark.parametrize(
    "arguments",
    [("banana",), ("info",), ("info", "a", "b"), ("info", "a", "--mpp", "x"), ("--banana",)],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...]) -> None:
    assert "--help" in fail(*arguments)


def test_process_ends_with_status_and_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "missing.svs"
    done = shell("info", bad)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in shell("info", bad, NAPARI_PRTS_DEBUG="1").stderr


def test_process_reads_a_slide(demo_slide_path: Path) -> None:
    done = shell("info", demo_slide_path)
    assert (done.returncode, done.stderr) == (0, "")
    known = json.loads(done.stdout)
    assert known["levels"][0] == [2967, 2220]
    assert (known["format"], known["dtype"]) == ("aperio-svs", "uint8")
    assert known["quality"]["focus_word"] == "good"
    rest = {
        "path",
        "mpp",
        "mpp_source",
        "fingerprint",
        "associated",
        "remarks",
        "broken",
        "quality",
    }
    assert set(known) == {"format", "levels", "dtype"} | rest


def test_process_segments_a_region(demo_slide_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "nuclei.geojson"
    done = shell("segment", demo_slide_path, "-o", out, "--region", "2000,1000,300,300")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"wrote {out}: ")


def test_doctor_says_what_is_here() -> None:
    done = shell("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("torch", "PyQt6", "he-open", "2D_versatile_he", "hipt-vit256", "licence", "CPU"):
        assert word in done.stdout


INTERRUPTED = """
import os, signal, sys
# A test run in the background inherits that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_prts import files
from napari_prts.cli import main
import napari_prts.slide

def halfway(path, mpp=None):
    with files.written_aside({target!r}) as aside:
        aside.write_text("half of it")
        os.kill(os.getpid(), {number})
        yield

napari_prts.slide.open_slide_job = halfway
sys.argv = ["napari-prts", "info", "slide.svs"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_cancelling_leaves_nothing_half_written(number: signal.Signals, out: Path) -> None:
    code = INTERRUPTED.format(target=str(out / "output.json"), number=int(number))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr


def test_progress_is_shown_on_a_terminal(demo_slide_path: Path, tmp_path: Path) -> None:
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-m", "napari_prts", "segment", str(demo_slide_path)]
    options = ["-o", str(tmp_path / "n.geojson"), "--region", "2000,1000,300,300"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=stderr) as running:
        os.close(stderr)
        shown = b""
        # Reading a terminal that its last writer has left is an error.
        with contextlib.suppress(OSError):
            while some := os.read(terminal, 4096):
                shown += some
        os.close(terminal)
        said = running.communicate()[0]
    assert running.returncode == 0
    assert b"Finding nuclei" in shown
    assert said.startswith(b"wrote ")
