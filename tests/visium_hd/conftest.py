"""Small sections: a real folder, hand-written folders, and a simulated one on real tissue."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.visium_hd import simulate_visium_hd

FolderWriter = Callable[..., Path]


@pytest.fixture
def tiny_outs(shared_data: Path) -> Path:
    """Ten bins of a real mouse section, as Space Ranger wrote them."""
    return shared_data / "visium_hd_2um_tiny"


@pytest.fixture(scope="session")
def simulated(
    tissue_slide: Slide, tissue_nuclei: Nuclei, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("section") / "outs"
    return simulate_visium_hd(tissue_slide, tissue_nuclei, folder, genes=120, seed=3)


@pytest.fixture
def write_folder(tmp_path: Path) -> FolderWriter:
    """Write a Space Ranger folder of a few bins by hand; returns its ``outs``."""

    def write(
        counts: Any,
        positions: Any,
        genes: list[str] | None = None,
        barcodes: list[str] | None = None,
        position_barcodes: list[str] | None = None,
        scales: Mapping[str, float] | None = None,
        name: str = "outs",
        bin_um: int = 2,
        in_tissue: list[int] | None = None,
        places: Any = None,
    ) -> Path:
        counts, positions = np.asarray(counts), np.asarray(positions, float)
        genes = genes or [f"Gene{number}" for number in range(counts.shape[1])]
        kind = f"{bin_um:03d}um"
        barcodes = barcodes or [f"s_{kind}_{bin:05d}_00000-1" for bin in range(len(counts))]
        square = tmp_path / name / "binned_outputs" / f"square_{kind}"
        (square / "spatial").mkdir(parents=True)
        write_matrix(square / "filtered_feature_bc_matrix.h5", counts, genes, barcodes)
        table = {
            "barcode": position_barcodes or barcodes,
            "in_tissue": np.array(in_tissue or [1] * len(positions), np.int32),
            "pxl_row_in_fullres": positions[:, 0],
            "pxl_col_in_fullres": positions[:, 1],
        }
        if places is not None:
            table |= dict(zip(("array_row", "array_col"), np.transpose(places), strict=True))
        pq.write_table(pa.table(table), square / "spatial" / "tissue_positions.parquet")
        contents = {"microns_per_pixel": 0.5, "bin_size_um": float(bin_um), **(scales or {})}
        (square / "spatial" / "scalefactors_json.json").write_text(json.dumps(contents))
        return tmp_path / name

    return write


def write_matrix(path: Path, counts: Any, genes: list[str], barcodes: list[str]) -> None:
    """Write bins or cells x genes as Space Ranger does: features x barcodes, by column."""
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        file["matrix/data"], file["matrix/indices"] = matrix.data, matrix.indices
        file["matrix/indptr"], file["matrix/shape"] = matrix.indptr, matrix.shape[::-1]
        file["matrix/barcodes"] = np.array(barcodes, "S")
        write_features(file.create_group("matrix/features"), genes)


def write_features(group: h5py.Group, genes: list[str]) -> None:
    group["name"] = np.array(genes, "S")
    group["id"] = np.array([f"ENS{gene}" for gene in genes], "S")
    group["feature_type"] = np.full(len(genes), b"Gene Expression")
