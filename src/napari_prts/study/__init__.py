"""The state of one open slide, its events, its jobs, saving and recovery."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Study": "study",
    "open_study": "saving",
    "save_study": "saving",
    "Autosave": "autosave",
    "Recoverable": "recovery",
    "Saved": "journal",
    "PredictionRequest": "predicting",
    "StudyTrainRequest": "jobs",
    "SessionParts": "session_parts",
    "for_other_tools": "other_tools",
    "open_session_study": "session_file",
    "save_session": "session_file",
    "write_spatialdata": "spatialdata_export",
}

__all__ = [
    "Autosave",
    "PredictionRequest",
    "Recoverable",
    "Saved",
    "SessionParts",
    "Study",
    "StudyTrainRequest",
    "for_other_tools",
    "open_session_study",
    "open_study",
    "save_session",
    "save_study",
    "write_spatialdata",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
