"""Reading weights from files, without running what is in them."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from napari_prts.errors import ModelError

if TYPE_CHECKING:
    import torch

# Training scripts keep their options and learning rates beside the weights. These types hold
# data and run nothing, so a checkpoint that has them can still be read with weights_only.
# NumPy renamed the module of its scalars in 2.0; files made before have the old name.
_SCALAR = np.float64(0).__reduce__()[0]
_INERT: list[Any] = [
    argparse.Namespace,
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]
# Keys under which training scripts file the weights: DINO, then the usual ones.
_INNER_KEYS = ("teacher", "state_dict", "model")
_PREFIXES = ("module.", "backbone.")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a vision transformer from a file.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or a checkpoint of PyTorch. Of a DINO checkpoint the
        teacher is taken; the prefixes ``module.`` and ``backbone.`` are removed.

    Returns
    -------
    dict of str to torch.Tensor
        Weights by parameter name.

    Raises
    ------
    ModelError
        If there is no such file, it is damaged, or it holds code.
    """
    if not path.is_file():
        raise ModelError(f"There is no file of weights at {path}: give the right path.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for key in _INNER_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    weights = _only_tensors(content)
    if not weights:
        raise ModelError(f"{path} holds no weights: give a checkpoint of a vision transformer.")
    return {_bare(name): tensor for name, tensor in weights.items()}


def weights_digest(weights: dict[str, torch.Tensor]) -> str:
    """Identity of weights: 32 hexadecimal digits over names, shapes and float32 values.

    The same weights have the same digest whatever kind of file they came from.
    """
    import torch

    digest = xxhash.xxh3_128()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().to(torch.float32).contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is no safetensors file, or is cut off: get it again.") from error


def _read_torch(path: Path) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(_INERT):
            # Mapped, so that an optimiser's state beside the weights is never read.
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} cannot be read as plain weights: it is damaged, or holds Python objects, "
            "which could run code. Get it again, or save its weights as .safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ModelError(
            f"{path} is no PyTorch checkpoint, or is cut off: get it again."
        ) from error


def _only_tensors(content: Any) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(content, dict):
        return {}
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name
