"""Nuclei and predicted gene expression on H&E slides, in napari."""

__version__ = "0.1.0"
