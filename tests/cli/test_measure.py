"""``napari-prts measure``: nuclei grown, thresholds, genes by name, the slide found by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata import AnnData, read_h5ad

from tests.cli.running import Chain, fail, succeed


def _measured(chain: Chain, out: Path, *options: object) -> AnnData:
    nuclei = ("--nuclei", chain.nuclei)
    succeed("measure", chain.visium_hd, "--slide", chain.slide, *nuclei, "-o", out, *options)
    return read_h5ad(out)


def test_grown_nuclei_hold_more_molecules(chain: Chain, tmp_path: Path) -> None:
    plain = read_h5ad(chain.measured)
    grown = _measured(chain, tmp_path / "grown.h5ad", "--grow-um", 2, "--all-genes")
    both = np.intersect1d(plain.obs_names, grown.obs_names)
    assert len(both) > 0.9 * plain.n_obs
    more = grown[both].obs["n_umi"].to_numpy() - plain[both].obs["n_umi"].to_numpy()
    assert (more >= 0).all()
    assert np.median(more) > 0
    assert grown.uns["visium_hd"]["thresholds"]["grow_um"] == 2


def test_thresholds_can_be_set(chain: Chain, tmp_path: Path) -> None:
    cells = _measured(
        *(chain, tmp_path / "strict.h5ad", "--min-umi", 100, "--max-mito", 0.05),
        *("--max-area-um2", 60, "--all-genes"),
    )
    assert cells.obs["n_umi"].min() > 100
    assert cells.obs["mito"].max() < 0.05
    assert cells.obs["area_um2"].max() < 60
    detected = np.asarray(cells.X.sum(0)).ravel() > 0
    assert cells.var["selected"].tolist() == detected.tolist()


def test_genes_of_a_list_are_selected_and_unknown_ones_are_named(
    chain: Chain, tmp_path: Path
) -> None:
    plain = read_h5ad(chain.measured)
    left_out = plain.var_names[~plain.var["selected"]]
    wanted = left_out[0] if len(left_out) else plain.var_names[0]
    genes = tmp_path / "genes.txt"
    genes.write_text(f"# for the panel\n{wanted}\n\nNOSUCHGENE\n")
    out = tmp_path / "measured.h5ad"
    done = succeed(
        *("measure", chain.visium_hd, "--slide", chain.slide, "--nuclei", chain.nuclei),
        *("-o", out, "--genes", genes),
    )
    assert "unknown: NOSUCHGENE" in done.stderr
    assert read_h5ad(out).var.loc[wanted, "selected"]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00binary", b"x" * 500])
def test_what_is_no_list_of_genes_is_refused(
    chain: Chain, out: Path, tmp_path: Path, content: bytes
) -> None:
    genes = tmp_path / "genes.txt"
    genes.write_bytes(content)
    said = fail(
        *("measure", chain.visium_hd, "--slide", chain.slide, "--nuclei", chain.nuclei),
        *("-o", out / "m.h5ad", "--genes", genes),
    )
    assert "genes.txt" in said


def test_the_slide_is_found_if_the_run_tells(chain: Chain, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(chain.visium_hd, run / "outs")
    nuclei = ("--nuclei", chain.nuclei, "-o", tmp_path / "measured.h5ad", "--all-genes")
    assert "--slide" in fail("measure", run, *nuclei)
    (run / "_cmdline").write_text(f"spaceranger count --id=run --image={chain.slide}\n")
    done = succeed("measure", run, *nuclei)
    assert str(chain.slide) in done.stderr


def test_nuclei_or_segmented_one_of_them(chain: Chain, out: Path) -> None:
    on_slide = ("measure", chain.visium_hd, "--slide", chain.slide, "-o", out / "m.h5ad")
    for options in ((), ("--nuclei", chain.nuclei, "--segmented", "cell")):
        assert "either --nuclei or --segmented" in fail(*on_slide, *options)
    said = fail(*on_slide, "--segmented", "nucleus")
    assert "segmented_outputs" in said


def test_cells_of_space_ranger_4(chain: Chain, tmp_path: Path) -> None:
    """Here its nuclei are ours, and its cells hold the counts that our nuclei do."""
    plain = read_h5ad(chain.measured)
    folder = tmp_path / "outs" / "segmented_outputs"
    (folder / "spatial").mkdir(parents=True)
    square = chain.visium_hd / "binned_outputs" / "square_002um"
    scales = json.loads((square / "spatial" / "scalefactors_json.json").read_text())
    del scales["bin_size_um"]
    (folder / "spatial" / "scalefactors_json.json").write_text(json.dumps(scales))
    features = json.loads(chain.nuclei.read_text())["features"]
    kept = [_as_space_ranger_has_it(feature) for feature in features]
    for kind in ("nucleus", "cell"):
        path = folder / f"{kind}_segmentations.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": kept}))
    with h5py.File(folder / "filtered_feature_cell_matrix.h5", "w") as file:
        counts = plain.X.tocsr()
        file["matrix/data"], file["matrix/indices"] = counts.data, counts.indices
        file["matrix/indptr"], file["matrix/shape"] = counts.indptr, counts.shape[::-1]
        names = [f"cellid_{number:09d}-1" for number in plain.obs["id"]]
        file["matrix/barcodes"] = np.array(names, "S")
        file["matrix/features/name"] = plain.var_names.to_numpy().astype("S")
        file["matrix/features/id"] = plain.var["gene_ids"].to_numpy().astype("S")
        file["matrix/features/feature_type"] = np.full(plain.n_vars, b"Gene Expression")
    cells = tmp_path / "cells.h5ad"
    options = ("--segmented", "nucleus", "--slide", chain.slide, "-o", cells)
    succeed("measure", tmp_path / "outs", *options)
    found = read_h5ad(cells)
    assert found.obs["id"].tolist() == plain.obs["id"].tolist()
    assert (found.X != plain.X).nnz == 0
    assert found.var["selected"].tolist() == plain.var["selected"].tolist()


def _as_space_ranger_has_it(feature: dict) -> dict:
    number = int(feature["id"].rpartition("-")[2], 16)
    properties = {"cell_id": number}
    return {"type": "Feature", "geometry": feature["geometry"], "properties": properties}


def test_several_sections_get_the_same_genes(chain: Chain, tmp_path: Path) -> None:
    """Here the second section lacks every tenth gene, and has its columns turned around."""
    plain = read_h5ad(chain.measured)
    second = plain[:, np.arange(plain.n_vars)[::-1] % 10 != 0].copy()
    second.write_h5ad(tmp_path / "second.h5ad")
    out = tmp_path / "prepared"
    done = succeed("prepare", chain.measured, tmp_path / "second.h5ad", "-o", out)
    assert "2 sections" in done.stdout
    tables = [read_h5ad(out / name) for name in ("measured.h5ad", "second.h5ad")]
    shared = [gene for gene in plain.var_names if gene in second.var_names]
    for table in tables:
        assert table.var_names.tolist() == shared
        assert table.uns["visium_hd"]["sections"]["shared_genes"] == len(shared)
    assert tables[0].var["selected"].tolist() == tables[1].var["selected"].tolist()
    assert (tables[0].X != plain[:, shared].X).nnz == 0


def test_sections_of_the_same_file_name_are_refused(
    chain: Chain, out: Path, tmp_path: Path
) -> None:
    shutil.copy(chain.measured, tmp_path / chain.measured.name)
    said = fail("prepare", chain.measured, tmp_path / chain.measured.name, "-o", out)
    assert "same name" in said
    said = fail("prepare", chain.measured, "-o", chain.measured.parent)
    assert "overwrite the input" in said
