"""The exceptions that napari-prts raises on purpose.

Each message says what is wrong, with which file or value, and what to do.
The command line prints them as one line, the window as a notification.
"""

from __future__ import annotations


class PrtsError(Exception):
    """Base of every error that a user can mend."""


class SlideError(PrtsError):
    """A slide cannot be opened or read."""


class LostSlideError(SlideError):
    """A slide's file can no longer be read: a drive is gone, not a tile broken."""


class MissingPixelSizeError(SlideError):
    """The slide's microns per pixel are unknown; they are never guessed."""


class NucleiError(PrtsError):
    """Nuclei are missing, invalid or lie outside the slide."""


class ModelError(PrtsError):
    """Model weights or a model bundle are missing, damaged or do not fit."""


class VisiumHDError(PrtsError):
    """A folder is not Space Ranger's, or its parts do not belong together."""


class ExpressionError(PrtsError):
    """Expression data are missing, or do not fit the nuclei or the model."""
