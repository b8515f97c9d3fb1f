"""Explore, Region: what is known of the cells in a region."""

from __future__ import annotations

from napari_prts.widgets._panel import Panel


class RegionPage(Panel):
    """Asks a region."""

    tag = "region"
