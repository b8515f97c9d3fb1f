"""Explore, Cell: what is known of one cell."""

from __future__ import annotations

from napari_prts.widgets._panel import Panel


class CellPage(Panel):
    """Shows the cell that was clicked."""

    tag = "cell"
