"""Tables of cells as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from napari_prts.errors import ExpressionError
from napari_prts.h5ad import read_h5ad, write_h5ad


@pytest.fixture
def cells() -> AnnData:
    counts = sparse.random(12, 5, 0.5, format="csr", dtype=np.float32, random_state=0)
    ids = np.arange(12) * 2
    return AnnData(
        counts,
        obs=pd.DataFrame({"id": ids}, index=ids.astype(str)),
        var=pd.DataFrame(index=[f"G{i}" for i in range(5)]),
        obsm={"spatial": np.zeros((12, 2), np.float32)},
        uns={"prts": {"simulated": False, "mpp": 0.5, "settings": {"tile": 256}}},
    )


def test_a_table_survives(cells: AnnData, tmp_path: Path) -> None:
    path = write_h5ad(cells, tmp_path / "new folder" / "cells.h5ad")
    again = read_h5ad(path)
    np.testing.assert_array_equal(again.X.toarray(), cells.X.toarray())
    assert again.obs["id"].dtype == np.int64
    assert again.uns["prts"]["settings"]["tile"] == 256
    assert [p.name for p in path.parent.iterdir()] == ["cells.h5ad"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    cells: AnnData, tmp_path: Path
) -> None:
    path = write_h5ad(cells, tmp_path / "cells.h5ad")
    before = path.read_bytes()
    cells.uns["wrong"] = object()
    with pytest.raises(ExpressionError, match="cannot be written"):
        write_h5ad(cells, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["cells.h5ad"]


def test_what_is_no_h5ad_is_said_so(cells: AnnData, tmp_path: Path) -> None:
    with pytest.raises(ExpressionError, match="does not exist"):
        read_h5ad(tmp_path / "none.h5ad")
    with pytest.raises(ExpressionError, match="is a folder"):
        read_h5ad(tmp_path)
    text = tmp_path / "text.h5ad"
    text.write_text("gene,count\n")
    with pytest.raises(ExpressionError, match=r"not an \.h5ad"):
        read_h5ad(text)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_file_is_damaged(cells: AnnData, tmp_path: Path, share: float) -> None:
    path = write_h5ad(cells, tmp_path / "cells.h5ad")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ExpressionError, match="damaged"):
        read_h5ad(path)


def test_other_hdf5_is_no_table_of_cells(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "other.h5ad"
    with h5py.File(path, "w") as file:
        file["matrix"] = np.zeros(3)
    with pytest.raises(ExpressionError, match=r"other\.h5ad"):
        read_h5ad(path)


def test_rows_must_name_their_nuclei(cells: AnnData, tmp_path: Path) -> None:
    def written(name: str, **columns: object) -> Path:
        other = cells.copy()
        other.obs = pd.DataFrame(columns, index=cells.obs_names)
        return write_h5ad(other, tmp_path / name)

    with pytest.raises(ExpressionError, match="no column 'id'"):
        read_h5ad(written("a.h5ad", other=np.arange(12)))
    with pytest.raises(ExpressionError, match="different whole number"):
        read_h5ad(written("b.h5ad", id=np.zeros(12, int)))
    with pytest.raises(ExpressionError, match="different whole number"):
        read_h5ad(written("c.h5ad", id=[f"cell {i}" for i in range(12)]))


def test_empty_tables_and_repeated_genes_are_refused(cells: AnnData, tmp_path: Path) -> None:
    with pytest.raises(ExpressionError, match="0 cells"):
        read_h5ad(write_h5ad(cells[:0].copy(), tmp_path / "a.h5ad"))
    twice = cells.copy()
    twice.var_names = ["A", "A", "B", "C", "D"]
    with pytest.raises(ExpressionError, match="gene A more than once"):
        read_h5ad(write_h5ad(twice, tmp_path / "b.h5ad"))
