"""The command line: the same verbs as the window, without a screen.

Each command ends with status 0, or with 2 and one line on stderr that says what
is wrong and what to do, or with 130 after Ctrl-C. Outputs appear whole or not
at all. ``NAPARI_PRTS_DEBUG=1`` shows tracebacks and warnings.
"""

from __future__ import annotations

from napari_prts.cli.app import app, main

__all__ = ["app", "main"]
