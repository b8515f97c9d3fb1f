"""Every door is tried with bad input: status 2, one line on stderr, nothing left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.cli.running import MPP, Chain, fail, truncated, write_slide


@pytest.fixture(
    params=["missing", "truncated", "greyscale", "16-bit", "text", "empty"],
)
def bad_slide(request: pytest.FixtureRequest, tmp_path: Path, pixels: np.ndarray) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    path = folder / "bad.tif"
    small = pixels[:300, :300]
    match request.param:
        case "truncated":
            truncated(path, write_slide(folder / "whole.tif", pixels).read_bytes())
        case "greyscale":
            tifffile.imwrite(path, small[..., 0])
        case "16-bit":
            tifffile.imwrite(path, small.astype(np.uint16), photometric="rgb")
        case "text":
            path.write_text("not a slide")
        case "empty":
            path.touch()
    return path


def commands_that_open(slide: Path, chain: Chain, out: Path) -> dict[str, tuple[Any, ...]]:
    nuclei, measured = ("--nuclei", chain.nuclei), ("--measured", chain.measured)
    return {
        "info": ("info", slide),
        "segment": ("segment", slide, "-o", out / "n.geojson"),
        "simulate": ("simulate", slide, *nuclei, "-o", out / "visium_hd"),
        "measure": ("measure", chain.visium_hd, "--slide", slide, *nuclei, "-o", out / "m.h5ad"),
        "train": ("train", "--slide", slide, *nuclei, *measured, "-o", out / "model"),
        "predict": ("predict", slide, *nuclei, "--model", chain.model, "-o", out / "p.h5ad"),
    }


SLIDE_DOORS = ("info", "segment", "simulate", "measure", "train", "predict")


@pytest.mark.parametrize("command", SLIDE_DOORS)
def test_bad_slides_are_refused(command: str, bad_slide: Path, chain: Chain, out: Path) -> None:
    mpp = ("--mpp", MPP)
    assert str(bad_slide) in fail(*commands_that_open(bad_slide, chain, out)[command], *mpp)


@pytest.mark.parametrize("command", SLIDE_DOORS[2:])
def test_missing_pixel_size_is_refused(
    command: str, chain: Chain, out: Path, tmp_path: Path, without_mpp: Path
) -> None:
    nuclei = tmp_path / "plain.geojson"
    collection = json.loads(chain.nuclei.read_text())
    collection.pop("prts")
    nuclei.write_text(json.dumps(collection))
    arguments = commands_that_open(without_mpp, chain, out)[command]
    said = fail(*(nuclei if part == chain.nuclei else part for part in arguments))
    assert "--mpp" in said


def polygons(*rings: list[list[float]]) -> str:
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [r]}}
        for r in rings
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


BAD_NUCLEI = {
    "none": polygons(),
    "outside": polygons([[90_000, 9], [90_020, 9], [90_020, 30], [90_000, 9]]),
    "not JSON": "{",
    "not GeoJSON": '{"type": "banana"}',
    "missing": None,
}


@pytest.mark.parametrize("command", SLIDE_DOORS[2:])
@pytest.mark.parametrize("kind", BAD_NUCLEI)
def test_bad_nuclei_are_refused(
    command: str, kind: str, chain: Chain, out: Path, tmp_path: Path
) -> None:
    nuclei = tmp_path / "bad.geojson"
    if (text := BAD_NUCLEI[kind]) is not None:
        nuclei.write_text(text)
    arguments = commands_that_open(chain.slide, chain, out)[command]
    said = fail(*(nuclei if part == chain.nuclei else part for part in arguments))
    assert "bad.geojson" in said


def test_glass_without_nuclei_writes_nothing(pixels: np.ndarray, tmp_path: Path, out: Path) -> None:
    glass = np.random.default_rng(0).integers(238, 246, (600, 600, 3), dtype=np.uint8)
    slide = write_slide(tmp_path / "glass.tif", glass)
    fail("segment", slide, "-o", out / "nuclei.geojson")


@pytest.mark.parametrize(
    "region", ["1,2,3", "a,b,c,d", "0,0,0,100", "0,0,-5,5", "90000,90000,50,50", "nan,0,9,9"]
)
def test_bad_regions_are_refused(region: str, chain: Chain, out: Path) -> None:
    fail("segment", chain.slide, "-o", out / "nuclei.geojson", "--region", region)


@pytest.mark.parametrize("model", ["no-such-model", "README.md"])
def test_bad_nucleus_models_are_refused(
    model: str, chain: Chain, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("no weights")
    assert model in fail("segment", chain.slide, "-o", out / "n.geojson", "--model", model)


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "no positions", "truncated matrix"])
def test_folders_that_are_not_space_rangers(
    kind: str, chain: Chain, out: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "visium_hd"
    square = folder / "binned_outputs" / "square_002um"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.write_text("")
    elif kind != "missing":
        shutil.copytree(chain.visium_hd, folder)
    if kind == "no positions":
        (square / "spatial" / "tissue_positions.parquet").unlink()
    elif kind == "truncated matrix":
        matrix = square / "filtered_feature_bc_matrix.h5"
        truncated(matrix, matrix.read_bytes())
    fail(
        *("measure", folder, "--slide", chain.slide, "--nuclei", chain.nuclei),
        *("-o", out / "m.h5ad"),
    )


@pytest.mark.parametrize("kind", ["missing", "empty", "damaged card", "truncated weights"])
def test_bad_models_are_refused(kind: str, chain: Chain, out: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    if kind == "empty":
        model.mkdir()
    elif kind != "missing":
        shutil.copytree(chain.model, model)
    if kind == "damaged card":
        (model / "card.json").write_text("{")
    elif kind == "truncated weights":
        for weights in model.glob("*.safetensors"):
            truncated(weights, weights.read_bytes())
    said = fail(
        *("predict", chain.slide, "--nuclei", chain.nuclei),
        *("--model", model, "-o", out / "p.h5ad"),
    )
    assert str(model) in said


def test_unknown_encoder_is_refused(chain: Chain, out: Path) -> None:
    on_slide = ("--slide", chain.slide, "--nuclei", chain.nuclei, "--measured", chain.measured)
    said = fail("train", *on_slide, "-o", out / "model", "--encoder", "no-such-encoder")
    assert "no-such-encoder" in said


def test_weights_under_a_licence_are_not_downloaded_unasked(chain: Chain, out: Path) -> None:
    on_slide = ("--slide", chain.slide, "--nuclei", chain.nuclei, "--measured", chain.measured)
    said = fail("train", *on_slide, "-o", out / "model", "--encoder", "hipt-vit256")
    assert "--accept-licence" in said


@pytest.fixture
def other_genes(chain: Chain, tmp_path: Path) -> Path:
    """Measured cells of genes that the model does not know."""
    from napari_prts.h5ad import read_h5ad, write_h5ad

    table = read_h5ad(chain.measured)
    table.var_names = [f"Other{number}" for number in range(table.n_vars)]
    write_h5ad(table, tmp_path / "other.h5ad")
    return tmp_path / "other.h5ad"


def test_a_model_for_other_genes_cannot_be_scored(
    chain: Chain, other_genes: Path, out: Path
) -> None:
    fail("evaluate", chain.predicted, other_genes, "-o", out / "report.json")


@pytest.mark.parametrize("kind", ["missing", "text", "truncated"])
def test_bad_tables_are_refused(kind: str, chain: Chain, out: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5ad"
    if kind == "text":
        bad.write_text("no table")
    elif kind == "truncated":
        truncated(bad, chain.measured.read_bytes())
    on_slide = ("--slide", chain.slide, "--nuclei", chain.nuclei)
    for arguments in (
        ("train", *on_slide, "--measured", bad, "-o", out / "model"),
        ("evaluate", bad, chain.measured, "-o", out / "report.json"),
        ("evaluate", chain.predicted, bad, "-o", out / "report.json"),
        ("cluster", bad, "-o", out / "clusters.h5ad"),
    ):
        assert "bad.h5ad" in fail(*arguments)
