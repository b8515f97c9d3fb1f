"""In words: how far the corrections are on disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_prts.study import Saved


def saving_words(saved: Saved, now: datetime | None = None) -> str:
    """Say it in a few words: ``"saved 2 s ago"``, ``"saving…"``, ``"not saved"``.

    Parameters
    ----------
    saved : Saved
        What the study says.
    now : datetime, optional
        The time with its zone; the clock's by default.

    Returns
    -------
    str
        Empty if nothing was there to be saved.
    """
    if saved.problem:
        return "not saved: the disk is full or cannot be written"
    if saved.pending:
        return "saving…"
    if saved.at is None:
        return ""
    # A clock that was set back must not make it negative.
    ago = max((now or datetime.now(UTC)) - saved.at, timedelta(0))
    if ago < timedelta(seconds=1):
        return "saved"
    if ago < timedelta(minutes=1):
        return f"saved {int(ago.total_seconds())} s ago"
    if ago < timedelta(hours=1):
        return f"saved {int(ago.total_seconds() // 60)} min ago"
    return f"saved at {saved.at.astimezone():%H:%M}"
