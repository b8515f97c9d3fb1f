"""Loading encoders by name, from files, from addresses and from the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from napari_prts.errors import ModelError
from napari_prts.features import Hub, LicenceNotice, load_encoder, models_folder
from napari_prts.features.building import create_vit
from napari_prts.features.sources import HIPT_VIT256
from tests.features.conftest import TINY
from tests.features.dino_reference import random_checkpoint
from tests.features.web import Web, closed_address, serving

CONTENT_OF_TINY = create_vit("test_vit").state_dict()
REPOSITORY = "owner/tiny_vit"
FILES = f"/{REPOSITORY}/resolve/main"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINO checkpoint of a ViT-T/16, standing for HIPT's."""
    path = tmp_path_factory.mktemp("weights") / HIPT_VIT256.filename
    weights = random_checkpoint(width=192, depth=12)
    torch.save({"teacher": {f"backbone.{n}": t for n, t in weights.items()}}, path)
    return path


def _source(web_address: str, content: bytes) -> object:
    """HIPT's source, at another address and with the hash of ``content``."""
    return replace(
        HIPT_VIT256,
        urls=(f"{web_address}/vit256_small_dino.pth",),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


def test_weights_are_downloaded_once_and_only_with_consent(web: Web, checkpoint: Path) -> None:
    web.files["/vit256_small_dino.pth"] = checkpoint.read_bytes()
    source = _source(web.address, checkpoint.read_bytes())
    shown: list[LicenceNotice] = []

    with pytest.raises(ModelError, match=r"Commons Clause.*github\.com/mahmoodlab/HIPT"):
        load_encoder("hipt-vit256", source=source)
    with pytest.raises(ModelError, match="only once their licence is accepted"):
        load_encoder("hipt-vit256", source=source, accept_licence=lambda n: bool(shown.append(n)))
    assert not web.asked
    assert (shown[0].name, shown[0].size) == ("hipt-vit256", source.size)

    encoder = load_encoder("hipt-vit256", source=source, accept_licence=True)
    assert encoder.name == "hipt-vit256"
    assert "Commons Clause" in encoder.licence
    assert load_encoder("hipt-vit256", source=source).key == encoder.key
    assert web.sent() == ["/vit256_small_dino.pth"]


def test_a_download_of_something_else_is_not_kept(web: Web, checkpoint: Path) -> None:
    web.files["/vit256_small_dino.pth"] = b"<html>Quota exceeded</html>"
    source = _source(web.address, checkpoint.read_bytes())
    with pytest.raises(ModelError, match="SHA-256 differs"):
        load_encoder("hipt-vit256", source=source, accept_licence=True)
    assert not list(models_folder().glob("vit256*"))


def test_the_second_address_helps_when_the_first_fails(web: Web, checkpoint: Path) -> None:
    web.files["/mirror.pth"] = checkpoint.read_bytes()
    source = replace(
        _source(web.address, checkpoint.read_bytes()),
        urls=(f"{closed_address()}/x.pth", f"{web.address}/none.pth", f"{web.address}/mirror.pth"),
    )
    assert load_encoder("hipt-vit256", source=source, accept_licence=True).tile == 256


def test_without_a_connection_the_message_says_which_file_to_put_where() -> None:
    source = replace(HIPT_VIT256, urls=(f"{closed_address()}/vit256_small_dino.pth",))
    with pytest.raises(ModelError) as caught:
        load_encoder("hipt-vit256", source=source, accept_licence=True)
    message = str(caught.value)
    assert "vit256_small_dino.pth" in message
    assert str(models_folder()) in message


def test_a_file_that_was_put_into_the_cache_is_used(checkpoint: Path) -> None:
    models_folder().mkdir(parents=True)
    kept = models_folder() / "vit256_small_dino.pth"
    kept.write_bytes(checkpoint.read_bytes())
    by_name = load_encoder("hipt-vit256")
    by_file_name = load_encoder("/another/computer/vit256_small_dino.pth")
    assert by_name.key == by_file_name.key
    kept.unlink()
    weights = random_checkpoint(width=192, depth=12)
    save_file(weights, models_folder() / "vit256_small_dino.safetensors")
    assert load_encoder("hipt-vit256").key == by_name.key, "the same weights in another file"


def test_the_published_file_given_by_path_is_known_by_name(checkpoint: Path) -> None:
    """So that a model trained with it can be used on another computer."""
    source = _source("http://unused", checkpoint.read_bytes())
    assert load_encoder(checkpoint, source=source).name == "hipt-vit256"
    assert load_encoder(checkpoint).name == str(checkpoint)


def test_other_weights_or_another_tile_have_another_key() -> None:
    keys = {
        load_encoder(name).key
        for name in (TINY, "random-vit:test_vit,img_size=96", "random-vit:test_vit2,img_size=64")
    }
    assert len(keys) == 3
    assert load_encoder(TINY).key == load_encoder(TINY).key
    assert "random" in load_encoder(TINY).key


def test_random_weights_say_so_and_leave_the_random_numbers_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    encoder = load_encoder(TINY)
    assert torch.equal(torch.rand(1), expected)
    assert encoder.name == TINY
    assert encoder.licence == "none: random weights"


def test_an_architecture_of_timm_with_weights_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(CONTENT_OF_TINY, path)
    encoder = load_encoder(f"test_vit={path}")
    assert (encoder.tile, encoder.context_size, encoder.local_size) == (160, 64, 32)
    assert encoder.name == f"test_vit={path}"
    with pytest.raises(ModelError, match="do not fit timm's test_vit2"):
        load_encoder(f"test_vit2={path}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-such-encoder", "There is no encoder 'no-such-encoder'"),
        ("folder/none.pth", "There is no encoder 'folder/none.pth', neither a file"),
        ("test_vit=/none.pth", "There is no file of weights at /none.pth"),
        ("resnet18=/none.pth", "There is no file of weights"),
        ("random-vit:resnet18", "vision transformer"),
        ("random-vit:nonsense", "timm cannot make 'nonsense'"),
        ("random-vit:test_vit,img_size=big", "'img_size=big' in .* is no option"),
        ("random-vit:test_vit,colour=3", "timm cannot make 'test_vit'"),
    ],
)
def test_what_is_no_encoder_is_refused_with_a_reason(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_encoder(name)


# --- The hub --------------------------------------------------------------------------------


@pytest.fixture
def hub(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with one model in timm's form, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    weights = tmp_path / "model.safetensors"
    save_file(CONTENT_OF_TINY, weights)
    config = {
        "architecture": "test_vit",
        "num_classes": 1000,
        "pretrained_cfg": {
            "mean": [0.7, 0.6, 0.7],
            "std": [0.2, 0.2, 0.2],
            "input_size": [3, 160, 160],
        },
    }
    web.files[f"{FILES}/config.json"] = json.dumps(config).encode()
    web.files[f"{FILES}/README.md"] = b"---\nlicense: gpl-3.0\n---\n# A model\n"
    web.files[f"{FILES}/model.safetensors"] = weights.read_bytes()
    web.headers["X-Repo-Commit"] = "0" * 40
    return Hub(endpoint=web.address)


def test_a_model_of_the_hub(web: Web, hub: Hub) -> None:
    name = f"hf-hub:{REPOSITORY}"
    with pytest.raises(ModelError, match=rf"hf-hub:{REPOSITORY}.*gpl-3\.0.*/{REPOSITORY}"):
        load_encoder(name, hub=hub)
    assert f"{FILES}/model.safetensors" not in web.sent()

    encoder = load_encoder(name, hub=hub, accept_licence=True)
    assert (encoder.name, encoder.licence) == (name, "gpl-3.0")
    assert (encoder.tile, encoder.local_size, encoder.context_size) == (160, 32, 64)

    web.asked.clear()
    assert load_encoder(name, hub=hub).key == encoder.key
    assert not web.asked, "the second time it comes from the cache"


def test_the_normalisation_is_that_of_the_models_configuration(hub: Hub, tmp_path: Path) -> None:
    encoder = load_encoder(f"hf-hub:{REPOSITORY}", hub=hub, accept_licence=True)
    path = tmp_path / "same.safetensors"
    save_file(CONTENT_OF_TINY, path)
    same_weights = load_encoder(f"test_vit={path}")
    assert encoder.key != same_weights.key, "only mean and std differ"


def test_a_downloaded_folder_can_be_given_instead(hub: Hub, web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(web.files[f"{FILES}/{name}"])
    by_hand = load_encoder(folder)
    assert by_hand.key == load_encoder(f"hf-hub:{REPOSITORY}", hub=hub, accept_licence=True).key


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (b"{", "cannot be read as a model's configuration"),
        (b"[]", "should hold one JSON object"),
        (b'{"architectures": ["ViTModel"]}', "no model in timm's form"),
        (b'{"architecture": "test_vit", "pretrained_cfg": {}}', "mean None and std None"),
        (b'{"architecture": "resnet18"}', "vision transformer"),
    ],
)
def test_a_folder_with_another_configuration_is_refused(
    tmp_path: Path, config: bytes, says: str
) -> None:
    (tmp_path / "config.json").write_bytes(config)
    save_file(CONTENT_OF_TINY, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=says):
        load_encoder(tmp_path)


def test_a_model_that_is_given_out_on_request_says_how_to_ask(web: Web, hub: Hub) -> None:
    web.status[f"{FILES}/model.safetensors"] = 403
    with pytest.raises(ModelError, match=r"given out on request.*hf auth login"):
        load_encoder(f"hf-hub:{REPOSITORY}", hub=hub, accept_licence=True)


def test_a_repository_without_weights_for_timm_is_refused(web: Web, hub: Hub) -> None:
    del web.files[f"{FILES}/model.safetensors"]
    with pytest.raises(ModelError, match="not a model in timm's form"):
        load_encoder(f"hf-hub:{REPOSITORY}", hub=hub, accept_licence=True)


def test_without_a_connection_the_message_says_which_folder_to_give(hub: Hub) -> None:
    nowhere = Hub(endpoint=closed_address())
    with pytest.raises(ModelError, match=r"could not be downloaded.*config\.json.*folder"):
        load_encoder(f"hf-hub:{REPOSITORY}", hub=nowhere, accept_licence=True)


def test_a_model_of_timm_comes_from_timms_place_at_the_hub(web: Web, hub: Hub) -> None:
    for name in ("config.json", "README.md", "model.safetensors"):
        web.files[f"/timm/test_vit.r160_in1k/resolve/main/{name}"] = web.files[f"{FILES}/{name}"]
    encoder = load_encoder("test_vit.r160_in1k", hub=hub, accept_licence=True)
    assert (encoder.name, encoder.tile) == ("test_vit.r160_in1k", 160)
