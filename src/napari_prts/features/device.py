"""Choosing where a network runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_prts.errors import ModelError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
# PyTorch's own, on a CPU and on a GPU.
_MEMORY_WORDS = ("not enough memory", "can't allocate memory", "out of memory")


def check_device(device: str) -> None:
    """Raise ModelError unless ``device`` is the name of a kind of device."""
    if device not in DEVICES:
        raise ModelError(f"Device {device!r} is unknown; choose one of {', '.join(DEVICES)}.")


def choose_device(device: str) -> torch.device:
    """Turn a device's name into a device that is there.

    Parameters
    ----------
    device : str
        ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"`` for the fastest there is.

    Raises
    ------
    ModelError
        If the device is not there, or the name is another.
    """
    import torch

    check_device(device)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device in there and not there[device]:
        raise ModelError(f"No {device} device was found; choose 'cpu' or 'auto' as device.")
    if device == "auto":
        device = next((name for name, found in there.items() if found), "cpu")
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """Name of a device for the user, with what tells how fast it is."""
    import torch

    if device.type == "cuda":
        return f"GPU ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "GPU (Apple, Metal)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads != 1 else ''})"


def release(device: torch.device) -> None:
    """Give memory that PyTorch holds in reserve on a GPU back to others."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether PyTorch lacked memory; on a CPU it says so in a bare RuntimeError."""
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _MEMORY_WORDS)
