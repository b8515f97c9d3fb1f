"""Masks of Cellpose's ``_seg.npy``, read without running what the file says.

Such a file is a pickled dictionary, and unpickling runs whatever functions the pickle
names: a file from elsewhere could do anything. Here the pickle may name nothing but the
few functions by which numpy stores arrays, types and numbers, and the paths of file
names; none of these is ever called. Stand-ins of our own take their place, which only
keep what they are given, and the arrays are made from that by ``np.frombuffer``, of
plain numbers only. A pickle that names anything else is refused.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_prts.errors import NucleiError

_KINDS = "biuf"


class _Dtype:
    """What a pickle says of a numpy type."""

    def __init__(self, text: Any = "", *_: Any) -> None:
        self.text = text
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def made(self) -> np.dtype[Any]:
        made = np.dtype(str(self.text))
        return made.newbyteorder(">") if self.order == ">" else made


class _Array:
    """What a pickle says of a numpy array."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def made(self) -> NDArray[Any]:
        _, shape, dtype, by_columns, content = self.state
        return _array(content, dtype, shape, "F" if by_columns else "C")


class _Buffered:
    """What a pickle of protocol 5 says of a numpy array."""

    def __init__(self, content: Any, dtype: Any, shape: Any, order: Any = "C") -> None:
        self.given = (content, dtype, shape, order)

    def made(self) -> NDArray[Any]:
        return _array(*self.given)


class _Ignored:
    """A path or a single number: nothing that is needed."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """How old pickles hold bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("it holds bytes in an unusual way")
    return text.encode("latin1")


def _buffer(*given: Any) -> bytes:
    """How pickles hold bytes that may change."""
    if len(given) != 1 or not isinstance(given[0], bytes):
        raise pickle.UnpicklingError("it holds bytes in an unusual way")
    return given[0]


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Ignored for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Buffered for core in ("core", "_core")},
    ("numpy", "ndarray"): _Ignored,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encoded,
    ("builtins", "bytearray"): _buffer,
    **{
        (module, f"{kind}Path"): _Ignored
        for module in ("pathlib", "pathlib._local")
        for kind in ("Posix", "Windows", "PurePosix", "PureWindows")
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in; nothing is ever imported."""
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no Cellpose file needs and which could run code"
            ) from None


def is_pickled(path: Path) -> bool:
    """Whether a ``.npy`` file holds Python objects instead of numbers.

    Raises
    ------
    ValueError
        If it is no ``.npy`` file.
    """
    with path.open("rb") as file:
        return _header(file).hasobject


def read_masks(path: Path) -> NDArray[Any]:
    """Read the masks of a Cellpose ``_seg.npy``.

    Parameters
    ----------
    path : Path
        As Cellpose saves it: a dictionary with the label image ``"masks"``.

    Returns
    -------
    ndarray of int
        0 is background.

    Raises
    ------
    NucleiError
        If the file names functions that could run code, or holds no masks.
    """
    try:
        with path.open("rb") as file:
            _header(file)
            content = _Unpickler(file).load()
        if isinstance(content, _Array):
            # numpy wraps the dictionary in an array of one object.
            content = content.state[4][0]
        masks = content["masks"]
        return np.asarray(masks.made())
    except pickle.UnpicklingError as error:
        raise NucleiError(
            f"{path} is not read: {error}. Save the masks alone, by "
            'np.save("labels.npy", masks), and import those.'
        ) from error
    except Exception as error:
        raise NucleiError(
            f"{path} cannot be read as a label image: it holds Python objects, but no masks as "
            'Cellpose saves them. Save the masks alone, by np.save("labels.npy", masks).'
        ) from error


def _header(file: Any) -> np.dtype[Any]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    return read(file)[2]


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    kind = dtype.made()
    if kind.kind not in _KINDS or not isinstance(content, bytes | bytearray):
        raise ValueError("not an array of numbers")
    return np.frombuffer(content, kind).reshape(shape, order=order)
