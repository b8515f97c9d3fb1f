"""How many tiles must be encoded, each nucleus having its own or sharing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_prts.features.combined import CombinedEncoder, parts_of
from napari_prts.features.request import GRID
from napari_prts.features.vit_tiles import lattice_under

if TYPE_CHECKING:
    from napari_prts.features.encoder import Encoder
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True)
class TilesNeeded:
    """Tiles to encode for all nuclei of a slide.

    Parameters
    ----------
    exact : int
        With a tile for each nucleus.
    grid : int
        With tiles on a lattice that nuclei share.
    """

    exact: int
    grid: int


def tiles_needed(
    slide: Slide, nuclei: Nuclei, encoder: Encoder | CombinedEncoder
) -> TilesNeeded | None:
    """Count the tiles of both ways.

    Parameters
    ----------
    slide : Slide
        The slide; its mpp must be known.
    nuclei : Nuclei
        Its nuclei.
    encoder : Encoder or CombinedEncoder
        The encoder; of a combination the parts that look at tiles, in the mean.

    Returns
    -------
    TilesNeeded or None
        None for an encoder that looks at no tiles: there is nothing to choose.
    """
    sharing = [part for part in parts_of(encoder) if GRID in part.tilings]
    if not sharing:
        return None
    lattices = [len(lattice_under(part, slide, nuclei.centroids)) for part in sharing]
    return TilesNeeded(len(nuclei), round(sum(lattices) / len(lattices)))
