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
    ) -> Path:
        counts, positions = np.asarray(counts), np.asarray(positions, float)
        genes = genes or [f"Gene{number}" for number in range(counts.shape[1])]
        barcodes = barcodes or [f"s_002um_{bin:05d}_00000-1" for bin in range(len(counts))]
        square = tmp_path / name / "binned_outputs" / "square_002um"
        (square / "spatial").mkdir(parents=True)
        matrix = sparse.csr_matrix(counts)
        with h5py.File(square / "filtered_feature_bc_matrix.h5", "w") as file:
            file["matrix/data"], file["matrix/indices"] = matrix.data, matrix.indices
            file["matrix/indptr"], file["matrix/shape"] = matrix.indptr, counts.shape[::-1]
            file["matrix/barcodes"] = np.array(barcodes, "S")
            file["matrix/features/name"] = np.array(genes, "S")
            file["matrix/features/id"] = np.array([f"ENS{gene}" for gene in genes], "S")
            file["matrix/features/feature_type"] = np.full(len(genes), b"Gene Expression")
        table = {
            "barcode": position_barcodes or barcodes,
            "in_tissue": np.ones(len(positions), np.int32),
            "pxl_row_in_fullres": positions[:, 0],
            "pxl_col_in_fullres": positions[:, 1],
        }
        pq.write_table(pa.table(table), square / "spatial" / "tissue_positions.parquet")
        contents = {"microns_per_pixel": 0.5, "bin_size_um": 2.0, **(scales or {})}
        (square / "spatial" / "scalefactors_json.json").write_text(json.dumps(contents))
        return tmp_path / name

    return write
