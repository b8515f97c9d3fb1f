"""All our keys in one list: what they do, where they hold, in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_prts.viewer.tools_keys import DELETE, REDO, UNDO
from napari_prts.viewer.tools_list import WORDS

# All of them are bound on our layers, see viewer/tools_keys.py.
WHERE = (
    "Keys work on the canvas: click it once. They hold while one of our layers is the active "
    "one in the layer list; your own layers keep the keys that napari gives them."
)


class Action(StrEnum):
    """What a key does while genes are looked at."""

    NEXT_GENE = "next gene"
    PREVIOUS_GENE = "previous gene"
    SWAP = "swap sides"
    NEXT_MODE = "next mode"
    LINE_LEFT = "line left"
    LINE_RIGHT = "line right"
    PEEK = "H&E while held"
    NUCLEI = "nuclei"


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does.

    Parameters
    ----------
    keys : tuple of str
        As napari writes them, ``"Control-Shift-Z"``; each of them does the same.
    words : str
        What it does.
    where : str
        When it does so; empty for always.
    action : Action or None
        What this window does at it; None where the tools that correct nuclei do it.
    """

    keys: tuple[str, ...]
    words: str
    where: str = ""
    action: Action | None = None


LOOKING = (
    Shortcut((".",), "Paint the next gene of the list", "", Action.NEXT_GENE),
    Shortcut((",",), "Paint the previous gene of the list", "", Action.PREVIOUS_GENE),
    Shortcut(("H",), "Show the H&E alone, as long as it is held down", "painted", Action.PEEK),
    Shortcut(("U",), "Show or hide the outlines of nuclei", "", Action.NUCLEI),
    Shortcut(("Q",), "Next way to compare predicted and measured", "", Action.NEXT_MODE),
    Shortcut(("W",), "Swap the predicted and the measured side", "both painted", Action.SWAP),
    Shortcut(("Shift-Left",), "Move the line to the left", "swipe", Action.LINE_LEFT),
    Shortcut(("Shift-Right",), "Move the line to the right", "swipe", Action.LINE_RIGHT),
)

CORRECTING = (
    *(Shortcut((words.key,), f"{words.name}: {words.tooltip}") for words in WORDS.values()),
    Shortcut(DELETE, "Delete the selected nuclei"),
    Shortcut(UNDO, "Undo the last correction"),
    Shortcut(REDO, "Do it again"),
    Shortcut(("Escape",), "Put the tool away", "a tool is on"),
    Shortcut(("Space",), "Move the view while it is held down", "Split or Lasso is on"),
)

REVIEWING = (
    Shortcut(("N",), "Next uncertain nucleus; starts the review"),
    Shortcut(("P",), "Previous uncertain nucleus", "review"),
    Shortcut(("A",), "Accept: this nucleus is right", "review"),
    Shortcut(("R",), "Reject: this is no nucleus", "review"),
)

GROUPS = {
    "Genes over the tissue": LOOKING,
    "Correcting nuclei": CORRECTING,
    "Reviewing uncertain nuclei": REVIEWING,
}


def written(key: str) -> str:
    """Write a key as keyboards have it: ``"Ctrl+Shift+Z"``."""
    names = {"Control": "Ctrl", "Left": "←", "Right": "→", "Escape": "Esc"}
    names |= {".": ". (full stop)", ",": ", (comma)"}
    parts = key.split("-") if len(key) > 1 else [key]
    return "+".join(names.get(part, part) for part in parts)


def as_markdown() -> str:
    """Write the list as tables for the documentation, one a group."""
    lines = [WHERE, ""]
    for title, shortcuts in GROUPS.items():
        lines += [f"**{title}**", "", "| key | what it does | when |", "| --- | --- | --- |"]
        for each in shortcuts:
            keys = " or ".join(f"`{written(key)}`" for key in each.keys)
            lines.append(f"| {keys} | {each.words} | {each.where or 'always'} |")
        lines.append("")
    return "\n".join(lines)


def as_html() -> str:
    """Write the list for a label of Qt."""
    rows = [f"<p>{WHERE} napari's own keys: Ctrl+Alt+/</p>"]
    for title, shortcuts in GROUPS.items():
        rows.append(f"<h3>{title}</h3><table cellspacing='0' cellpadding='3'>")
        for each in shortcuts:
            keys = " or ".join(f"<b>{written(key)}</b>" for key in each.keys)
            when = f" <i>({each.where})</i>" if each.where else ""
            words = each.words.replace("&", "&amp;")
            rows.append(f"<tr><td width='110'>{keys}</td><td>{words}{when}</td></tr>")
        rows.append("</table>")
    return "".join(rows)
