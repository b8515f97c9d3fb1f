"""A study as a SpatialData .zarr: the H&E's pyramid, nuclei as polygons, tables that name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_prts.errors import NucleiError, PrtsError
from napari_prts.files import written_aside
from napari_prts.jobs import Job, Progress
from napari_prts.study.dask_progress import computing
from napari_prts.study.other_tools import kind_of, with_clusters_of

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide
    from napari_prts.study.session_parts import SessionParts

SYSTEM = "um"
IMAGE, NUCLEI = "he", "nuclei"
EXTRA = "napari-prts[spatialdata]"


def spatialdata_there() -> bool:
    """Tell whether the package that writes SpatialData is installed; does not import it."""
    from importlib.util import find_spec

    return find_spec("spatialdata") is not None


def write_spatialdata(parts: SessionParts, path: Path | str) -> Job[Path]:
    """Write a study as SpatialData; an existing one is replaced once the new one is whole.

    Parameters
    ----------
    parts : SessionParts
        What to write: slide, nuclei and those tables that there are.
    path : path
        Folder to write; its name should end in .zarr.

    Yields
    ------
    Progress
        In pieces of the slide and its pyramid.

    Returns
    -------
    Path
        The folder. It holds the image ``he``, its pyramid read piece by piece from the slide's
        own levels; the shapes ``nuclei``, polygons by id, with area in um2 and score; and the
        tables ``predicted`` and ``measured`` (``simulated`` if it was), whose rows name their
        nucleus by ``id``. All lie in the coordinate system ``um``: micrometres from the
        slide's upper left corner, (x, y).

    Raises
    ------
    PrtsError
        If the package spatialdata is not installed, or the folder holds something else or
        cannot be written.
    MissingPixelSizeError
        If the slide's pixel size is unknown.
    NucleiError
        If there are no nuclei.
    """
    path = Path(path)
    require_spatialdata()
    _check_target(path)
    parts.slide.require_mpp()
    if not len(parts.nuclei):
        raise NucleiError("There are no nuclei to write as SpatialData: find nuclei first.")
    yield Progress(0, 0, "pieces", "gathering nuclei and tables")
    gathered = _gather(parts)
    try:
        with written_aside(path) as aside:
            yield from computing(lambda: gathered.write(aside), "pieces")
    except OSError as error:
        raise PrtsError(
            f"{path} cannot be written ({error.strerror or error}): choose another folder, or "
            "free some space."
        ) from error
    return path


def require_spatialdata() -> None:
    """Refuse to go on without the package.

    Raises
    ------
    PrtsError
        If it is not installed, with what to do.
    """
    if not spatialdata_there():
        raise PrtsError(
            "SpatialData cannot be written, because the package spatialdata is not installed: "
            f'pip install "{EXTRA}", then start again.'
        )


def _check_target(path: Path) -> None:
    if path.is_file():
        raise PrtsError(f"{path} is a file: name a new folder that ends in .zarr.")
    zarr = any((path / name).exists() for name in ("zarr.json", ".zgroup"))
    if path.is_dir() and any(path.iterdir()) and not zarr:
        raise PrtsError(f"The folder {path} holds other things: name a new or an empty folder.")


def _gather(parts: SessionParts) -> Any:
    """Put everything into a SpatialData object; the image stays lazy."""
    from spatialdata import SpatialData

    tables = {}
    for side in ("predicted", "measured"):
        table = getattr(parts, side)
        if table is not None:
            made = _table(table, parts.clusters.get(side), parts.nuclei)
            tables[kind_of(table)] = made
    return SpatialData(
        images={IMAGE: _image(parts.slide)},
        shapes={NUCLEI: _shapes(parts.nuclei, parts.slide.require_mpp())},
        tables=tables,
        attrs={"napari-prts": _about(parts)},
    )


def _image(slide: Slide) -> Any:
    import xarray
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    levels = {}
    for number, (level, downsample) in enumerate(zip(slide.levels, slide.downsamples, strict=True)):
        um = slide.require_mpp() * downsample
        array = Image2DModel.parse(
            level,
            dims=("y", "x", "c"),
            c_coords=("r", "g", "b"),
            transformations={SYSTEM: Scale([um, um], axes=("x", "y"))},
        )
        # Channels together, as the slide is decoded; zarr wants chunks of one size.
        array = array.chunk({"c": 3, "y": 1024, "x": 1024})
        levels[f"scale{number}"] = array.to_dataset(name="image")
    if len(levels) == 1:
        return array
    tree = xarray.DataTree.from_dict(levels)
    Image2DModel().validate(tree)
    return tree


def _shapes(nuclei: Nuclei, mpp: float) -> Any:
    import geopandas
    import shapely
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Scale

    # There the first pixel's upper left corner is (0, 0), ours is its middle.
    outlines = shapely.transform(nuclei.shapely(), lambda corners: corners + 0.5)
    frame = geopandas.GeoDataFrame(
        {"area_um2": nuclei.areas * mpp**2, "score": nuclei.scores},
        geometry=outlines,
        index=nuclei.ids,
    )
    return ShapesModel.parse(frame, transformations={SYSTEM: Scale([mpp, mpp], axes=("x", "y"))})


def _table(table: AnnData, clustered: AnnData | None, nuclei: Nuclei) -> Any:
    """A table whose rows name their nucleus; those whose nucleus is gone are left out."""
    import pandas as pd
    from spatialdata.models import TableModel

    from napari_prts.h5ad import plain

    made = with_clusters_of(table, clustered)
    made = made[np.isin(made.obs["id"].to_numpy(), nuclei.ids)].copy()
    made.uns = plain(made.uns)
    made.obs["region"] = pd.Categorical([NUCLEI] * made.n_obs)
    return TableModel.parse(made, region=NUCLEI, region_key="region", instance_key="id")


def _about(parts: SessionParts) -> Mapping[str, Any]:
    from napari_prts import __version__

    model = {} if parts.model is None else {"model_hash": parts.model.hash}
    return {
        "version": __version__,
        "slide": parts.slide.name,
        "slide_fingerprint": parts.slide.fingerprint,
        "mpp": parts.slide.mpp,
        **model,
    }
