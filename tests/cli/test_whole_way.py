"""From pixels to a report by commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import MPP, Chain, fail, invoke, succeed


def test_segment_writes_geojson_that_says_how_it_was_made(chain: Chain) -> None:
    collection = json.loads(chain.nuclei.read_text())
    assert len(collection["features"]) > 100
    provenance = collection["prts"]
    assert provenance["model"] == "he-open"
    assert provenance["slide_mpp"] == pytest.approx(MPP, rel=1e-3)
    info = json.loads(succeed("info", chain.slide).stdout)
    assert info["fingerprint"] in provenance.values()


def test_each_output_is_announced_in_one_line(chain: Chain) -> None:
    nuclei = len(json.loads(chain.nuclei.read_text())["features"])
    said = chain.said["segment"]
    assert said.startswith(f"wrote {chain.nuclei}: {nuclei:,} nuclei in ")
    for line in chain.said.values():
        assert line.startswith("wrote ")
        assert line.count("\n") == 1
        assert line.endswith((" s\n", " min\n"))


def test_whatever_comes_from_simulation_says_so(chain: Chain) -> None:
    assert (chain.visium_hd / "SIMULATED.json").is_file()
    for step in ("simulate", "measure", "train", "predict", "evaluate"):
        assert "simulated" in chain.said[step]


def test_measured_and_predicted_rows_are_the_nuclei(chain: Chain) -> None:
    from napari_prts.h5ad import read_h5ad

    nuclei = json.loads(chain.nuclei.read_text())["features"]
    predicted, measured = read_h5ad(chain.predicted), read_h5ad(chain.measured)
    assert predicted.n_obs == len(nuclei)
    assert set(measured.obs["id"]) <= set(predicted.obs["id"])
    assert "p_expressed" in predicted.layers


def test_report_holds_the_figures_that_scripts_rely_on(chain: Chain) -> None:
    report = json.loads(chain.report.read_text())
    assert {"cells", "genes", "pcc_mean", "rmse_mean", "accuracy", "per_gene"} <= set(report)
    assert len(report["per_gene"]) == report["genes"]
    assert 0 <= report["accuracy"] <= 1


def test_clusters_are_kept_beside_the_expression(chain: Chain) -> None:
    from napari_prts.h5ad import read_h5ad

    clustered = read_h5ad(chain.clusters)
    assert clustered.obs["leiden"].nunique() >= 1
    assert "X_umap" in clustered.obsm
    assert clustered.n_obs == read_h5ad(chain.predicted).n_obs


def test_model_folder_holds_no_pickle(chain: Chain) -> None:
    names = {path.name for path in chain.model.rglob("*") if path.is_file()}
    assert {"card.json"} < names
    assert all(name.endswith((".json", ".safetensors")) for name in names)


def test_outputs_leave_nothing_beside_them(chain: Chain) -> None:
    assert not [path for path in chain.folder.iterdir() if path.name.startswith(".")]


def test_the_same_seed_predicts_the_same(chain: Chain, tmp_path: Path) -> None:
    from napari_prts.h5ad import read_h5ad

    again = tmp_path / "again.h5ad"
    succeed(
        *("predict", chain.slide, "--nuclei", chain.nuclei),
        *("--model", chain.model, "-o", again),
    )
    np.testing.assert_allclose(read_h5ad(again).X, read_h5ad(chain.predicted).X, atol=1e-5)


# Pixel size


def test_info_of_a_slide_without_pixel_size(without_mpp: Path) -> None:
    assert json.loads(succeed("info", without_mpp).stdout)["mpp"] is None
    given = json.loads(succeed("info", without_mpp, "--mpp", 0.25).stdout)
    assert (given["mpp"], given["mpp_source"]) == (0.25, "user")


def test_pixel_size_is_asked_for_and_never_guessed(without_mpp: Path, tmp_path: Path) -> None:
    assert "--mpp" in fail("segment", without_mpp, "-o", tmp_path / "nuclei.geojson")
    assert "0.25" in fail("info", without_mpp, "--mpp", -1)


def test_pixel_size_given_to_segment_holds_for_its_nuclei(
    chain: Chain, without_mpp: Path, tmp_path: Path
) -> None:
    from napari_prts.h5ad import read_h5ad

    nuclei, out = tmp_path / "nuclei.geojson", tmp_path / "predicted.h5ad"
    region = ("--region", "300,50,300,300")
    succeed("segment", without_mpp, "-o", nuclei, "--mpp", MPP, *region)
    result = succeed("predict", without_mpp, "--nuclei", nuclei, "--model", chain.model, "-o", out)
    assert f"{MPP} um/px" in result.stderr
    assert read_h5ad(out).uns["prts"]["mpp"] == pytest.approx(MPP)


def test_nuclei_of_another_slide_bring_no_pixel_size(
    chain: Chain, without_mpp: Path, tmp_path: Path
) -> None:
    collection = json.loads(chain.nuclei.read_text())
    collection["prts"] |= {"slide": "another", "slide_fingerprint": "another"}
    other = tmp_path / "other.geojson"
    other.write_text(json.dumps(collection))
    result = invoke(
        *("predict", without_mpp, "--nuclei", other),
        *("--model", chain.model, "-o", tmp_path / "out.h5ad"),
    )
    assert result.exit_code == 2
    assert "--mpp" in result.stderr
