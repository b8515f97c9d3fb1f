"""Writes a simulated section file by file as Space Ranger 3 lays out a measured one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from napari_prts import __version__
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd.barcodes import barcodes_of
from napari_prts.visium_hd.folder import (
    MARKER_FILE,
    MATRIX_FILE,
    POSITIONS_FILE,
    SCALES_FILE,
    SQUARE,
    TRUTH_FILE,
)
from napari_prts.visium_hd.grid import BinGrid
from napari_prts.visium_hd.matrix import GENE_EXPRESSION, SIMULATED_ATTRIBUTE
from napari_prts.visium_hd.programmes import Programmes

if TYPE_CHECKING:
    from napari_prts.visium_hd.simulation import SimulationSettings

_HIRES_PIXELS = 2000
_LOWRES_PIXELS = 600
_FIDUCIAL_UM = 330.0
_GENOME = "GRCh38"


@dataclass(frozen=True, eq=False)
class Section:
    """Simulated bins.

    Parameters
    ----------
    grid : BinGrid
    bins : (bins, 2) int32
        Array row and array column of the bins over the slide.
    positions : (bins, 2) float64
        (row, column) in level-0 pixels.
    in_tissue : (bins,) bool
    counts : csr_matrix, (bins under tissue, genes), int32
    order : (bins under tissue,) int64
        Order of the bins in the matrix file; the machine's is not sorted either.
    """

    grid: BinGrid
    bins: NDArray[np.int32]
    positions: NDArray[np.float64]
    in_tissue: NDArray[np.bool_]
    counts: sparse.csr_matrix
    order: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is behind simulated counts.

    Parameters
    ----------
    programmes : Programmes
    types : list of str
        Cell types.
    memberships : (cells, types) float64
    rates : (cells, genes) float32
        Expected counts.
    """

    programmes: Programmes
    types: list[str]
    memberships: NDArray[np.float64]
    rates: NDArray[np.float32]


def write_section(
    folder: Path,
    slide: Slide,
    nuclei: Nuclei,
    section: Section,
    truth: Truth,
    seed: int,
    settings: SimulationSettings,
) -> None:
    """Write the whole folder: counts, positions, scale factors, images, truth and marker."""
    square = folder / "binned_outputs" / SQUARE
    (square / "spatial").mkdir(parents=True)
    barcodes = barcodes_of(section.bins)
    under_tissue = barcodes[section.in_tissue][section.order]
    _write_matrix(
        square / MATRIX_FILE, section.counts[section.order], truth.programmes.genes, under_tissue
    )
    _write_positions(square / POSITIONS_FILE, section, barcodes)
    scales = _write_images(square / "spatial", slide)
    _write_scales(square / SCALES_FILE, section.grid, scales)
    _write_truth(folder / TRUTH_FILE, slide, nuclei, truth)
    _write_marker(folder / MARKER_FILE, slide, nuclei, len(truth.programmes.genes), seed, settings)


def _write_matrix(
    path: Path,
    counts: sparse.csr_matrix,
    genes: NDArray[np.str_],
    barcodes: NDArray[np.bytes_],
) -> None:
    """Features x barcodes by column, with the groups and number types of the machine's file."""
    names = np.char.encode(genes, "ascii")
    # Not Ensembl's numbers: a made-up count must not pass for a measured one.
    ids = np.array([f"SIMG{number:011d}" for number in range(1, len(genes) + 1)], "S")
    ids_type = f"S{max(18, ids.dtype.itemsize)}"
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "chemistry_description": "SIMULATED Visium HD",
                "filetype": "matrix",
                "library_ids": np.array([b"simulated"]),
                "original_gem_groups": np.array([1]),
                "software_version": f"napari-prts-{__version__}",
                "version": 2,
                SIMULATED_ATTRIBUTE: True,
            }
        )
        _write_datasets(
            file.create_group("matrix"),
            {
                "barcodes": barcodes,
                "data": counts.data.astype(np.int32),
                "genes": ids.astype(ids_type),
                "indices": counts.indices.astype(np.uint32),
                "indptr": counts.indptr.astype(np.uint32),
                "shape": np.array([len(genes), len(barcodes)], np.uint32),
                "features/_all_tag_keys": np.array([b"genome"]),
                "features/feature_type": np.full(len(genes), GENE_EXPRESSION.encode()),
                "features/genome": np.full(len(genes), _GENOME.encode()),
                "features/id": ids.astype(ids_type),
                "features/name": names,
                "features/target_sets/SIMULATED": np.arange(len(genes)).astype("S"),
            },
        )


def _write_datasets(group: h5py.Group, datasets: Mapping[str, NDArray[Any]]) -> None:
    for name, values in datasets.items():
        # Compression cannot chunk a data set of no entries.
        packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        group.create_dataset(name, data=values, **(packed if values.size else {}))


def _write_positions(path: Path, section: Section, barcodes: NDArray[np.bytes_]) -> None:
    table = pa.table(
        {
            "barcode": pa.array(barcodes, pa.binary()).cast(pa.string()),
            "in_tissue": section.in_tissue.astype(np.int32),
            "array_row": section.bins[:, 0],
            "array_col": section.bins[:, 1],
            "pxl_row_in_fullres": section.positions[:, 0],
            "pxl_col_in_fullres": section.positions[:, 1],
        }
    )
    pq.write_table(table, path)


def _write_images(folder: Path, slide: Slide) -> dict[str, float]:
    """Write both overview images; returns their scale against level 0."""
    import cv2

    mpp, (height, width) = slide.require_mpp(), slide.shape
    scales = {}
    for name, longest in (("hires", _HIRES_PIXELS), ("lowres", _LOWRES_PIXELS)):
        scale = min(1.0, longest / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = slide.read(0, 0, *size, mpp=mpp / scale)
        encoded = cv2.imencode(".png", pixels[..., ::-1])[1]
        (folder / f"tissue_{name}_image.png").write_bytes(encoded.tobytes())
        scales[name] = scale
    return scales


def _write_scales(path: Path, grid: BinGrid, scales: Mapping[str, float]) -> None:
    contents = {
        "spot_diameter_fullres": grid.bin_um / grid.mpp,
        "bin_size_um": grid.bin_um,
        "microns_per_pixel": grid.mpp,
        "regist_target_img_scalef": scales["hires"],
        "tissue_lowres_scalef": scales["lowres"],
        "fiducial_diameter_fullres": _FIDUCIAL_UM / grid.mpp,
        "tissue_hires_scalef": scales["hires"],
    }
    path.write_text(json.dumps(contents, indent=4) + "\n", encoding="utf-8")


def _write_truth(path: Path, slide: Slide, nuclei: Nuclei, truth: Truth) -> None:
    import pandas as pd
    from anndata import AnnData

    shares = {
        f"share of {name}": truth.memberships[:, column].astype(np.float32)
        for column, name in enumerate(truth.types)
    }
    most = pd.Categorical.from_codes(truth.memberships.argmax(1), truth.types)
    index = nuclei.ids.astype(str)
    table = AnnData(
        X=truth.rates,
        obs=pd.DataFrame(
            {"id": nuclei.ids, "type": most, **shares},
            index=index,
        ),
        var=pd.DataFrame(
            {"varies": truth.programmes.varies, "kind": pd.Categorical(truth.programmes.kinds)},
            index=truth.programmes.genes,
        ),
        obsm={"spatial": nuclei.centroids[:, ::-1].astype(np.float32)},
        uns={"simulated": True, "slide_fingerprint": slide.fingerprint, "kind": "true rates"},
    )
    table.write_h5ad(path, compression="gzip")


def _write_marker(
    path: Path, slide: Slide, nuclei: Nuclei, genes: int, seed: int, settings: SimulationSettings
) -> None:
    contents = {
        "simulated": True,
        "note": "These counts were not measured: napari-prts made them up from the look of nuclei.",
        "version": __version__,
        "seed": seed,
        "genes": genes,
        "nuclei": len(nuclei),
        "slide_fingerprint": slide.fingerprint,
        "settings": asdict(settings),
    }
    path.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
