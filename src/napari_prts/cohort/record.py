"""What has been done for a slide and from what: ``steps.json`` and ``done.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_prts.cohort.contents import content_of
from napari_prts.errors import PrtsError
from napari_prts.files import written_aside

STEPS = ("segment", "measure", "predict", "cluster", "report")
STEPS_FILE, DONE_FILE, LOG_FILE = "steps.json", "done.json", "log.txt"
FORMAT, FORMAT_VERSION = "napari-prts batch", 1


@dataclass(frozen=True)
class StepRecord:
    """A step that is done.

    Parameters
    ----------
    key : str
        All that its result depends on.
    output : str
        Name of the file or folder that it wrote.
    seconds : float
        What it took.
    facts : dict
        What is worth telling, as JSON values.
    """

    key: str
    output: str
    seconds: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class SlideRecord:
    """What has been done for a slide; a change is a new record.

    Parameters
    ----------
    slide : str
        Path of the slide.
    nuclei : str or None
        Path of the nuclei that were given.
    fingerprint : str
        Of the slide; empty before it was opened.
    steps : dict of StepRecord
        By name of the step.
    written : dict of tuple of str
        Contents that this program ever wrote, by name of the file: what differs from them was
        changed by somebody.
    """

    slide: str
    nuclei: str | None = None
    fingerprint: str = ""
    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SlideRecord | None:
        """Read a folder's record; None if it has none that can be used.

        A record of a newer format is not used, and its folder is not written to: see
        :func:`check_folder`.
        """
        values = _read(folder / STEPS_FILE)
        if values is None or values.get("format_version") != FORMAT_VERSION:
            return None
        try:
            steps = {name: StepRecord(**step) for name, step in values["steps"].items()}
            written = {name: tuple(found) for name, found in values["written"].items()}
            about = values["slide"], values["nuclei"], values["fingerprint"]
            return cls(*about, steps, written)
        except (KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Write the record, whole or not at all."""
        values = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "slide": self.slide,
            "nuclei": self.nuclei,
            "fingerprint": self.fingerprint,
            "steps": {name: vars(step) for name, step in self.steps.items()},
            "written": {name: list(found) for name, found in self.written.items()},
        }
        write_json(folder / STEPS_FILE, values)

    def without(self, step: str) -> SlideRecord:
        """Forget a step and those that come after it."""
        before = STEPS[: STEPS.index(step)]
        return replace(self, steps={n: s for n, s in self.steps.items() if n in before})

    def with_step(self, name: str, step: StepRecord) -> SlideRecord:
        """Add a step that is done."""
        return replace(self, steps={**self.steps, name: step})

    def with_written(self, file: str, content: str) -> SlideRecord:
        """Remember a content before it is moved into place, so that a kill cannot hide it."""
        known = dict.fromkeys((*self.written.get(file, ()), content))
        return replace(self, written={**self.written, file: tuple(known)})

    def check_untouched(self, path: Path) -> None:
        """Refuse to replace a file that somebody has changed since it was written.

        Raises
        ------
        PrtsError
            If it was changed.
        """
        if not path.is_file() or path.name not in self.written:
            return
        if content_of(path) not in self.written[path.name]:
            raise PrtsError(
                f"{path} was changed since the batch wrote it, and what it was made from is "
                "another now: move it away to have it made anew, or give corrected nuclei in the "
                "column 'nuclei' of a CSV."
            )


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds other things than a slide's results.

    Raises
    ------
    PrtsError
        If it does.
    """
    if not folder.is_dir():
        return
    values = _read(folder / STEPS_FILE)
    version = None if values is None else values.get("format_version")
    if version == FORMAT_VERSION:
        return
    if version is not None:
        raise PrtsError(
            f"{folder / STEPS_FILE} has format version {version!r}, this napari-prts reads "
            f"{FORMAT_VERSION}: update napari-prts, or choose another folder."
        )
    names = (path.name for path in folder.iterdir())
    # A killed process leaves hidden folders in which it was writing.
    if others := [name for name in names if name != LOG_FILE and not name.startswith(".")]:
        raise PrtsError(
            f"{folder} holds other things than a slide's results ({others[0]}): choose another "
            "output folder, or give the slide another name in a CSV."
        )


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON values, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and values.get("format") == FORMAT else None
