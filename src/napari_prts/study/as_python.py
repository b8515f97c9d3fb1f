"""Source text of calls: what a click did, as a line of Python that does it again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# As ruff and black have it.
WIDTH = 88
_INDENT = "    "
_BRACKETS = {tuple: ("(", ")"), list: ("[", "]")}


class Name(str):
    """A name that a call is given as it stands: of a variable, not a text."""

    __slots__ = ()


def given(request: DataclassInstance, *, but: Iterable[str] = ()) -> dict[str, Any]:
    """List the fields of a frozen dataclass that are not at their default.

    Parameters
    ----------
    request : dataclass instance
        Any request of this package.
    but : iterable of str
        Fields to leave out.

    Returns
    -------
    dict
        Values by name, in the order of the fields; those without a default always.
    """
    left_out = set(but)
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    return {
        field.name: values[field.name]
        for field in fields(request)
        if field.name not in left_out and not _is_default(field, values[field.name])
    }


def call(function: str, *positional: Any, **named: Any) -> str:
    """Write a call, on one line if it fits, else one argument a line.

    Parameters
    ----------
    function : str
        What is called, with what it is assigned to: ``"study = napari_prts.open"``.
    *positional, **named
        Its arguments; see :func:`literal` for what they may be.

    Raises
    ------
    TypeError
        If an argument cannot be written as Python.
    """
    head = f"{function}("
    parts = [literal(value) for value in positional]
    parts += [f"{name}={literal(value)}" for name, value in named.items()]
    line = f"{head}{', '.join(parts)})"
    if len(line) <= WIDTH and "\n" not in line:
        return line
    inner = [_INDENT + part.replace("\n", f"\n{_INDENT}") + "," for part in parts]
    return "\n".join([head, *inner, ")"])


def literal(value: Any) -> str:
    """Write a value so that Python reads the same value again.

    Parameters
    ----------
    value : object
        None, a bool, number, text, path (written as text) or :class:`Name`, a tuple, list or
        mapping of such, or a numpy array (written as lists). Long lists are wrapped.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        return literal(value.tolist())
    if isinstance(value, Path):
        return _text(str(value))
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, Mapping):
        items = [f"{literal(key)}: {literal(each)}" for key, each in value.items()]
        return _enclosed("{", items, "}")
    if isinstance(value, tuple | list):
        first, last = _BRACKETS[list if isinstance(value, list) else tuple]
        items = [literal(each) for each in value]
        if isinstance(value, tuple) and len(items) == 1:
            return f"({items[0]},)"
        return _enclosed(first, items, last)
    raise TypeError(f"A {type(value).__name__} cannot be written as Python: {value!r}.")


def comment(words: str) -> str:
    """Write a sentence as a comment, wrapped."""
    import textwrap

    # A slide's name may hold what no source may.
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    return "\n".join(textwrap.wrap(words, WIDTH, initial_indent="# ", subsequent_indent="# "))


def _text(value: str) -> str:
    # repr escapes all that is not printable: line ends, lone surrogates, changes of direction.
    written = repr(value)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written


def _enclosed(first: str, items: list[str], last: str) -> str:
    line = f"{first}{', '.join(items)}{last}"
    if len(line) <= WIDTH - len(_INDENT) and "\n" not in line:
        return line
    lines, row = [], ""
    for item in items:
        longer = f"{row} {item}," if row else f"{item},"
        if row and len(longer) > WIDTH - 2 * len(_INDENT):
            lines.append(row)
            longer = f"{item},"
        row = longer
    inner = [_INDENT + each.replace("\n", f"\n{_INDENT}") for each in [*lines, row]]
    return "\n".join([first, *inner, last])


def _is_default(field: Field[Any], value: Any) -> bool:
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    if default is MISSING:
        return False
    # A name and the path of that name mean the same.
    if isinstance(value, Path) or isinstance(default, Path):
        return str(value) == str(default)
    return bool(type(value) is type(default) and value == default)
