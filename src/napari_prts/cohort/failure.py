"""One sentence for whatever ended a slide's work."""

from __future__ import annotations

from napari_prts.cohort.outcome import FAILED, LOST
from napari_prts.errors import PrtsError
from napari_prts.features.device import is_out_of_memory

OUT_OF_MEMORY = "There was not enough memory for this slide: run with fewer --jobs."


def sentence(error: BaseException) -> tuple[str, str]:
    """Tell how a slide ended, and why.

    Parameters
    ----------
    error : BaseException
        What ended it.

    Returns
    -------
    tuple of str
        ``"failed"`` or, for lack of memory, ``"lost"``; and one sentence without line breaks.
    """
    if _is_memory(error):
        return LOST, OUT_OF_MEMORY
    if isinstance(error, PrtsError):
        text = str(error)
    elif isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        text = f"{error.strerror or error}{where}. Check the file and the disk, then run again."
    else:
        text = (
            f"Internal error ({type(error).__name__}: {error}). This is a bug in napari-prts: "
            "report it with this slide's log.txt."
        )
    return FAILED, " ".join(text.split())


def _is_memory(error: BaseException | None) -> bool:
    """Whether memory was short, also where that was told as something else."""
    if error is None:
        return False
    short = isinstance(error, MemoryError) or is_out_of_memory(error)
    return short or _is_memory(error.__cause__)
