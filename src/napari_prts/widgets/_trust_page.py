"""Explore, Trust: which genes are predicted well."""

from __future__ import annotations

from napari_prts.widgets._panel import Panel


class TrustPage(Panel):
    """A table of all genes."""

    tag = "trust"
