"""HIPT's checkpoint gives the features that HIPT's own code computes from it."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_prts.errors import ModelError
from napari_prts.features import load_encoder
from napari_prts.features.checkpoints import read_weights
from napari_prts.features.dino import load_dino, stretch_positions
from tests.features.dino_reference import dino_tokens, random_checkpoint


def as_training_saves_it(weights: dict[str, torch.Tensor], path: Path) -> Path:
    """A checkpoint as DINO's main_dino.py writes it: prefixes, options, optimiser and all."""
    head = {"head.mlp.0.weight": torch.zeros(8, 192), "head.last_layer.weight_g": torch.ones(4, 1)}
    rate = np.float64(0.0005)
    torch.save(
        {
            "student": {f"module.backbone.{n}": torch.zeros(1) for n in weights},
            "teacher": {f"backbone.{n}": t for n, t in {**weights, **head}.items()},
            "optimizer": {"state": {}, "param_groups": [{"lr": rate, "params": [0]}]},
            "epoch": 100,
            "args": argparse.Namespace(arch="vit_small", patch_size=16, lr=rate),
            "dino_loss": {"center": torch.zeros(1, 4)},
        },
        path,
    )
    return path


@pytest.fixture(scope="module")
def small() -> dict[str, torch.Tensor]:
    """Weights of a ViT-S/16 for tiles of 224 px, as in HIPT's checkpoint."""
    return random_checkpoint(width=384, depth=12)


def _cosines(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)


def test_vit_s_16_at_256_px_is_the_original_computation(
    small: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = as_training_saves_it(small, tmp_path / "vit256_small_dino.pth")
    architecture, model = load_dino(path)
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(4)) * 2 - 1

    with torch.inference_mode():
        ours = model.eval().forward_features(images)
        original = dino_tokens(small, images, heads=6)

    assert architecture == "vit_small_patch16_224"
    assert ours.shape == original.shape == (1, 257, 384)
    assert _cosines(ours, original).min() > 0.9999
    torch.testing.assert_close(ours, original, atol=2e-3, rtol=0)


def test_safetensors_with_a_table_made_for_256_px(tmp_path: Path) -> None:
    weights = random_checkpoint(width=192, depth=12, grid=16)
    path = tmp_path / "tiny.safetensors"
    save_file(weights, path)
    _, model = load_dino(path)
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(4)) * 2 - 1
    with torch.inference_mode():
        ours = model.eval().forward_features(images)
        original = dino_tokens(weights, images, heads=3)
    assert _cosines(ours, original).min() > 0.9999


def test_timms_own_resampling_would_not_do() -> None:
    """Why the table is stretched here: left to timm, the features are others."""
    from timm import create_model
    from timm.models.vision_transformer import checkpoint_filter_fn

    weights = random_checkpoint(width=192, depth=2)
    model = create_model("vit_tiny_patch16_224", img_size=256, num_classes=0, depth=2)
    model.load_state_dict(checkpoint_filter_fn(dict(weights), model))
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(4)) * 2 - 1
    with torch.inference_mode():
        by_timm = model.eval().forward_features(images)
        original = dino_tokens(weights, images, heads=3)
    assert _cosines(by_timm, original).min() < 0.9999


def test_a_table_of_the_right_size_is_not_touched() -> None:
    table = torch.randn(1, 257, 8)
    assert stretch_positions(table, 16) is table


@pytest.mark.parametrize("shape", [(1, 256, 8), (1, 1, 8), (1, 198, 8)])
def test_a_table_that_is_no_square_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="square grid"):
        stretch_positions(torch.zeros(shape), 16)


def test_the_encoder_has_the_sizes_of_prts(small: dict[str, torch.Tensor], tmp_path: Path) -> None:
    encoder = load_encoder(as_training_saves_it(small, tmp_path / "mine.pth"))
    assert (encoder.tile, encoder.mpp) == (256, 0.5)
    assert (encoder.local_size, encoder.context_size) == (192, 384)
    assert encoder.key.startswith("vit_small_patch16_224-256px-0.5um-")


def test_a_checkpoint_from_before_numpy_2_can_be_read(tmp_path: Path) -> None:
    """HIPT's was made in 2021, when NumPy's scalars lived in another module."""
    weights = random_checkpoint(width=192, depth=1)
    new = as_training_saves_it(weights, tmp_path / "new.pth")
    old = tmp_path / "old.pth"
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(item, content)
    found = read_weights(old)
    assert torch.equal(found["pos_embed"], weights["pos_embed"])


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (marker,)

    path = tmp_path / "bomb.pth"
    torch.save({"teacher": {"pos_embed": torch.zeros(1)}, "x": Bomb()}, path)
    with pytest.raises(ModelError, match=r"bomb\.pth.*could run code"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_refused(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="broken"):
        read_weights(path)


def test_a_download_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    weights = random_checkpoint(width=192, depth=1)
    whole = as_training_saves_it(weights, tmp_path / "whole.pth").read_bytes()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"cut\.pth"):
        read_weights(cut)


def test_other_networks_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    with pytest.raises(ModelError, match=r"resnet\.safetensors is no DINO checkpoint.*NAME=PATH"):
        load_encoder(path)


def test_missing_and_damaged_weights_are_named(tmp_path: Path) -> None:
    weights = random_checkpoint(width=192, depth=12)
    path = tmp_path / "w.safetensors"

    save_file({n: t for n, t in weights.items() if n != "blocks.3.norm1.bias"}, path)
    with pytest.raises(ModelError, match=r"missing \(blocks\.3\.norm1\.bias\)"):
        load_encoder(path)

    save_file({**weights, "blocks.12.norm1.bias": torch.zeros(192)}, path)
    with pytest.raises(ModelError, match=r"left over \(blocks\.12\.norm1\.bias\)"):
        load_encoder(path)

    save_file({**weights, "norm.bias": torch.full((192,), torch.nan)}, path)
    with pytest.raises(ModelError, match=r"norm\.bias holds NaN"):
        load_encoder(path)
