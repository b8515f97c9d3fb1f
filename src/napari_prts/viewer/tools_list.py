"""The tools with which nuclei are corrected: their names, keys and words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tool(StrEnum):
    """What the mouse does on the slide; NONE moves the view."""

    NONE = "none"
    SELECT = "select"
    RESHAPE = "reshape"
    DRAW = "draw"
    GROW = "grow"
    MERGE = "merge"
    SPLIT = "split"
    LASSO = "lasso"


@dataclass(frozen=True)
class ToolWords:
    """How a tool is called and explained.

    Parameters
    ----------
    name : str
        On its button.
    key : str
        On the canvas.
    tooltip : str
        What it does.
    hint : str
        What to do with the mouse, while it is on.
    """

    name: str
    key: str
    tooltip: str
    hint: str


WORDS = {
    Tool.SELECT: ToolWords(
        "Select",
        "S",
        "Click a nucleus to select it, Shift+click for more; drag to move",
        "Click a nucleus, Shift+click adds more. Delete removes, M merges them. Esc ends.",
    ),
    Tool.RESHAPE: ToolWords(
        "Reshape",
        "E",
        "Drag the points of an outline",
        "Click a nucleus, then drag the points of its outline. Esc ends.",
    ),
    Tool.DRAW: ToolWords(
        "Draw",
        "D",
        "Draw a nucleus: click its corners",
        "Click the corners of the nucleus; double-click or Enter closes it.",
    ),
    Tool.GROW: ToolWords(
        "Grow",
        "G",
        "Click a nucleus that was missed: the network draws its outline",
        "Click inside a nucleus: its outline is drawn for you. Drag moves the view. Esc ends.",
    ),
    Tool.MERGE: ToolWords(
        "Merge",
        "M",
        "Join the selected nuclei into one, or two that are clicked one after the other",
        "Click the two parts of a nucleus; Shift+click first for more than two. Esc ends.",
    ),
    Tool.SPLIT: ToolWords(
        "Split",
        "X",
        "Draw a line across a nucleus to cut it",
        "Draw a line right across a nucleus. Hold Space to move the view. Esc ends.",
    ),
    Tool.LASSO: ToolWords(
        "Lasso",
        "L",
        "Draw a line around nuclei to delete them in one step",
        "Draw around the nuclei to delete. Hold Space to move the view. Esc ends.",
    ),
}

# The tools that are modes of napari's Shapes layer; the others are ours.
MODES = {Tool.SELECT: "select", Tool.RESHAPE: "direct", Tool.DRAW: "add_polygon"}
STROKES = (Tool.SPLIT, Tool.LASSO)
