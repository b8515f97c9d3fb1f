"""The state of an unfinished training on disk, from which it goes on exactly as it would have.

One safetensors file a training, replaced whole each time: a process that is killed leaves
the state before. Reading one runs no code.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from torch import Tensor

from napari_prts.errors import ExpressionError
from napari_prts.files import written_aside

# Whoever cancels a training comes back to it within days.
KEEP_DAYS = 14.0
_ENDING = ".safetensors"
_NETWORK, _BEST, _ADAM = "network.", "best.", "adam."

# A closed job, Ctrl-C, and what the command line makes of SIGTERM: the latter two may come
# while a step is being computed, not only where the job reports.
CANCELLED = (GeneratorExit, KeyboardInterrupt, SystemExit)

State = dict[str, Tensor]


@dataclass(frozen=True)
class EpochReport:
    """What came out of an epoch.

    Parameters
    ----------
    epoch : int
        Counted from 1.
    train_loss, validation_loss : float
        Mean over cells; the former while the epoch went on, with dropout.
    validation_pcc : float
        Mean over genes of the PCC of log1p expected with log1p measured counts
        over validation cells; a gene without variation counts 0.
    best : bool
        Whether the validation loss is the lowest so far.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_pcc: float
    best: bool


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that the next epoch depends on, as it was at the end of one.

    Parameters
    ----------
    network : dict of Tensor
        The network's state.
    adam : dict of dict of Tensor
        AdamW's state by the number of the parameter.
    best : dict of Tensor
        State of the network with the lowest validation loss.
    order : dict
        State of the random numbers that shuffle the cells.
    reports : tuple of EpochReport
        Of the epochs so far.
    """

    network: State
    adam: dict[int, State]
    best: State
    order: dict[str, Any]
    reports: tuple[EpochReport, ...]


class Checkpoint:
    """Where the state of one training is kept.

    Parameters
    ----------
    folder : path
        Folder of the states of all unfinished trainings.
    key : mapping
        All that the model depends on, as JSON values.
    every_s : float
        Seconds between two writings.

    Attributes
    ----------
    problem : str
        Why the state cannot be written; empty while it can.
    """

    def __init__(self, folder: Path | str, key: Mapping[str, Any], every_s: float) -> None:
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        self.path = Path(folder) / f"{name}{_ENDING}"
        self.problem = ""
        self._every_s = every_s
        self._latest: Snapshot | None = None
        self._written = time.monotonic()
        _sweep(self.path)

    def read(self) -> Snapshot | None:
        """Read the state that an earlier run left; None if there is none.

        Raises
        ------
        ExpressionError
            If it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                about = json.loads(file.metadata()["state"])
                # Copied, for what arithmetic rounds to depends on where in memory it reads.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return _unpacked(tensors, about)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ExpressionError(
                f"The state of an unfinished training in {self.path} cannot be read ({error}): "
                "remove the file to begin again."
            ) from error

    def keep(self, snapshot: Snapshot) -> None:
        """Take note of a state; write it if the last was written long enough ago."""
        self._latest = snapshot
        if time.monotonic() - self._written >= self._every_s:
            self.write()

    def write(self) -> None:
        """Write the latest state; where that fails, training goes on and ``problem`` says why."""
        from safetensors.torch import save_file

        snapshot, self._latest = self._latest, None
        if snapshot is None:
            return
        tensors, about = _packed(snapshot)
        try:
            with written_aside(self.path) as aside:
                save_file(tensors, aside, metadata={"state": json.dumps(about)})
            self.problem = ""
        except OSError as error:
            self.problem = f"the state cannot be kept in {self.path.parent} ({error})"
        self._written = time.monotonic()

    def remove(self) -> None:
        """Remove what is kept: training has ended by itself."""
        self._latest = None
        # Left where it is, it would only make the same training end at once.
        with suppress(OSError):
            self.path.unlink()


def digest_of(*arrays: np.ndarray[Any, Any]) -> str:
    """Identity of some arrays by content."""
    digest = xxhash.xxh3_128()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _packed(snapshot: Snapshot) -> tuple[State, dict[str, Any]]:
    tensors = {f"{_NETWORK}{name}": value for name, value in snapshot.network.items()}
    tensors |= {f"{_BEST}{name}": value for name, value in snapshot.best.items()}
    for number, state in snapshot.adam.items():
        tensors |= {f"{_ADAM}{number}.{name}": value for name, value in state.items()}
    return tensors, {
        "order": snapshot.order,
        "reports": [asdict(report) for report in snapshot.reports],
    }


def _unpacked(tensors: State, about: dict[str, Any]) -> Snapshot:
    adam: dict[int, State] = {}
    for name in (name for name in tensors if name.startswith(_ADAM)):
        number, _, part = name.removeprefix(_ADAM).partition(".")
        adam.setdefault(int(number), {})[part] = tensors[name]
    parts = {
        prefix: {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        for prefix in (_NETWORK, _BEST)
    }
    reports = tuple(EpochReport(**report) for report in about["reports"])
    if not (reports and adam and parts[_NETWORK] and parts[_BEST]):
        raise ValueError("parts are missing")
    return Snapshot(parts[_NETWORK], adam, parts[_BEST], about["order"], reports)


def copied(state: Mapping[str, Tensor]) -> State:
    """Copy tensors to the CPU, so that training does not change them."""
    return {name: value.detach().cpu().clone() for name, value in state.items()}


def _sweep(keep: Path) -> None:
    """Remove states, and halves of them, that nobody came back to."""
    oldest = time.time() - KEEP_DAYS * 86_400
    with suppress(OSError):
        for path in [*keep.parent.glob(f"*{_ENDING}"), *keep.parent.glob(f".*{_ENDING}.*")]:
            if path == keep or path.stat().st_mtime >= oldest:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
