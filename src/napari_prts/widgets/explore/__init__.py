"""Explore: the pages on genes, cells, regions and clusters, and what they are made of."""
