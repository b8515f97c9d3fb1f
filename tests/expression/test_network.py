"""The network is the paper's."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from napari_prts.expression import PrtsNetwork


def linear_parameters(network: nn.Module) -> int:
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def test_it_has_the_published_number_of_parameters() -> None:
    # The paper's "about 4.0 M" counts the linear layers with one head of 1,820 genes.
    network = PrtsNetwork(576, 1820)
    one_head = linear_parameters(network.trunk) + linear_parameters(network.expression)
    assert one_head == 3_998_492  # 3.99 M
    assert linear_parameters(network) == 5_863_992  # 5.86 M with both heads
    batch_norm = sum(p.numel() for p in network.parameters()) - linear_parameters(network)
    assert batch_norm == 2 * (512 + 512 + 1024 + 1024)


def test_each_layer_is_linear_activation_batch_norm_dropout() -> None:
    kinds = [type(layer) for layer in PrtsNetwork(10, 3).trunk]
    assert kinds == [nn.Linear, nn.LeakyReLU, nn.BatchNorm1d, nn.Dropout] * 4


def test_it_gives_two_numbers_per_cell_and_gene() -> None:
    expression, logit = PrtsNetwork(10, 3)(torch.randn(5, 10))
    assert expression.shape == logit.shape == (5, 3)


def test_importing_the_room_does_not_load_torch() -> None:
    code = (
        "import sys, napari_prts.expression, napari_prts.analysis, napari_prts.h5ad\n"
        "print({'torch', 'scanpy', 'anndata', 'pandas'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
