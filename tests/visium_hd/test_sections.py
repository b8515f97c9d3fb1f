"""Several sections for one model: shared genes, the same ones selected in all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from napari_prts.errors import VisiumHDError
from napari_prts.visium_hd import MeasureRequest, prepare_sections

GENES = [f"G{number}" for number in range(15)]


def _section(seed: int, cells: int = 60, brighter: float = 1.0) -> AnnData:
    """Two kinds of cells: G0 to G4 mark one, G5 to G9 the other, G10 to G13 neither.

    G14 is ``brighter`` in the whole section, as a stain or a lot of reagents would
    have it.
    """
    rng = np.random.default_rng(seed)
    one = [30] * 5 + [2] * 5 + [10] * 4 + [10 * brighter]
    other = [2] * 5 + [30] * 5 + [10] * 4 + [10 * brighter]
    expected = np.where((np.arange(cells) % 2)[:, None], one, other)
    return AnnData(
        sparse.csr_matrix(rng.poisson(expected).astype(np.int32)),
        obs=pd.DataFrame({"id": np.arange(cells)}, index=np.arange(cells).astype(str)),
        var=pd.DataFrame({"gene_ids": [f"ENS{gene}" for gene in GENES]}, index=GENES),
        uns={"visium_hd": {"path": f"section {seed}", "filters": {"kept": cells}}},
    )


def test_the_same_genes_are_selected_in_all_sections() -> None:
    first, second = prepare_sections([_section(0), _section(1, cells=40)])
    assert first.var_names.tolist() == second.var_names.tolist() == GENES
    assert first.var["selected"].tolist() == second.var["selected"].tolist()
    assert first.var["selected"].tolist() == [True] * 10 + [False] * 5
    assert (first.n_obs, second.n_obs) == (60, 40)


def test_what_differs_between_sections_alone_is_not_selected() -> None:
    """Clusters are kinds of cells: a gene three times as bright in one section marks none."""
    first, _ = prepare_sections([_section(0), _section(1, brighter=3.0)])
    assert first.var["selected"].tolist() == [True] * 10 + [False] * 5
    assert first.uns["visium_hd"]["selection"]["clusters"] == 2


def test_only_shared_genes_are_kept_in_the_order_of_the_first() -> None:
    second = _section(1)[:, GENES[::-1][:-1]].copy()
    second.var.loc["G13", "gene_ids"] = "ENSanother"
    first, again = prepare_sections([_section(0), second])
    kept = [gene for gene in GENES if gene not in ("G0", "G13")]
    assert first.var_names.tolist() == again.var_names.tolist() == kept
    assert (again.X != second[:, kept].X).nnz == 0
    told = first.uns["visium_hd"]["sections"]
    assert told["genes"].tolist() == [15, 14]
    assert told["cells"].tolist() == [60, 60]
    assert (told["shared_genes"], told["same_name_other_identifier"]) == (13, 1)


def test_each_section_keeps_what_is_known_of_it_and_can_be_written(tmp_path: Path) -> None:
    given = [_section(0), _section(1)]
    prepared = prepare_sections(given, MeasureRequest(force_genes=("G12", "nowhere")))
    for number, section in enumerate(prepared):
        said = section.uns["visium_hd"]
        assert said["path"] == f"section {number}"
        assert said["filters"]["kept"] == 60
        assert said["selection"]["steps"]["added_by_name"] == 1
        assert said["selection"]["forced_unknown"].tolist() == ["nowhere"]
        section.write_h5ad(tmp_path / "section.h5ad")
        assert read_h5ad(tmp_path / "section.h5ad").var["selected"].sum() == 11
    assert "selected" not in given[0].var, "what was given is not changed"


def test_one_section_is_prepared_like_any_other() -> None:
    (only,) = prepare_sections([_section(0)])
    assert only.var["selected"].tolist() == [True] * 10 + [False] * 5


def test_sections_that_share_nothing_are_refused() -> None:
    mouse = _section(1)
    mouse.var_names = [name.lower() for name in GENES]
    with pytest.raises(VisiumHDError, match=r"share no gene: .*G0.*g0.*species"):
        prepare_sections([_section(0), mouse])
    with pytest.raises(VisiumHDError, match="no sections"):
        prepare_sections([])
    twice = _section(0)
    twice.var_names = ["G0", "G0", *GENES[2:]]
    with pytest.raises(VisiumHDError, match="names genes twice"):
        prepare_sections([_section(1), twice])
