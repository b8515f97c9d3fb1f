"""The pictures of an evaluation's report, each a PNG in memory.

Every picture says on itself what was predicted, what was measured and what was simulated:
pictures are copied out of reports.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.evaluation import Evaluation
from napari_prts.analysis.report_words import measured_word, ranked_genes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's blue, vermilion and grey: told apart by colour-blind eyes too.
_GOOD, _BAD, _GREY = "#0072B2", "#D55E00", "#999999"
_DPI = 110
_MAPS = 4
# The paper cuts the colour range of maps at the 99th percentile.
_BRIGHTEST = 99.0


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw all pictures that the evaluation allows.

    Returns
    -------
    dict of bytes
        PNG by name: ``"pcc"``, ``"ceiling"``, ``"best_maps"``, ``"worst_maps"``,
        ``"calibration"``, ``"types"``.
    """
    drawn: dict[str, Figure] = {"pcc": _pcc_by_mean_and_sparsity(evaluation)}
    if evaluation.ceiling is not None:
        drawn["ceiling"] = _ceiling_against_pcc(evaluation)
    if evaluation.cells.places_um is not None:
        best, worst = ranked_genes(evaluation)
        places = evaluation.cells.places_um
        drawn["best_maps"] = _maps(evaluation, best[:_MAPS], places, "Best genes")
        drawn["worst_maps"] = _maps(evaluation, worst[:_MAPS], places, "Worst genes")
    if evaluation.calibration is not None:
        drawn["calibration"] = _calibration(evaluation)
    if evaluation.types is not None:
        drawn["types"] = _types(evaluation)
    return {name: _png(figure) for name, figure in drawn.items()}


def _pcc_by_mean_and_sparsity(evaluation: Evaluation) -> Figure:
    agreement = evaluation.agreement
    figure = _figure(10, 4.2)
    left, right = figure.subplots(1, 2, sharey=True)
    word = measured_word(evaluation)
    _pcc_points(left, evaluation, agreement.measured_mean)
    left.set_xscale("log")
    left.set_xlabel(f"mean {word} count per cell")
    left.set_ylabel(f"PCC of predicted with {word}")
    _pcc_points(right, evaluation, 1 - agreement.measured_share)
    right.set_xlabel(f"share of cells without a {word} count")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"How well each gene is predicted; predicted against {word}")
    return figure


def _pcc_points(axes: Axes, evaluation: Evaluation, across: NDArray[np.float64]) -> None:
    varies, pcc = evaluation.gene_sets["all"], np.nan_to_num(evaluation.agreement.pcc)
    if evaluation.ceiling is not None:
        axes.scatter(
            across[varies],
            evaluation.ceiling[varies],
            s=9,
            facecolors="none",
            edgecolors=_GREY,
            linewidths=0.6,
            label="ceiling (best possible PCC)",
        )
    for shown, colour, label in _groups(evaluation):
        chosen = shown & varies
        axes.scatter(across[chosen], pcc[chosen], s=9, color=colour, label=label)
    axes.axhline(0, color="black", linewidth=0.6)


def _groups(evaluation: Evaluation) -> list[tuple[NDArray[np.bool_], str, str]]:
    told = evaluation.predictable
    if told is None:
        return [(np.ones(len(evaluation.agreement.genes), np.bool_), _GOOD, "gene")]
    return [(~told, _BAD, "not predictable"), (told, _GOOD, "predictable")]


def _ceiling_against_pcc(evaluation: Evaluation) -> Figure:
    assert evaluation.ceiling is not None
    figure = _figure(5.2, 4.8)
    axes = figure.subplots()
    ceiling, pcc = np.nan_to_num(evaluation.ceiling), np.nan_to_num(evaluation.agreement.pcc)
    for shown, colour, label in _groups(evaluation):
        chosen = shown & evaluation.gene_sets["all"]
        axes.scatter(ceiling[chosen], pcc[chosen], s=9, color=colour, label=label)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, label="as good as possible")
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"ceiling, from {measured_word(evaluation)} counts")
    axes.set_ylabel(f"PCC of predicted with {measured_word(evaluation)}")
    axes.legend(loc="upper left", fontsize=8)
    axes.set_title(
        f"Predicted and the best possible,\nagainst {measured_word(evaluation)}", size=11
    )
    return figure


def _maps(
    evaluation: Evaluation, genes: NDArray[np.intp], places: NDArray[np.float64], title: str
) -> Figure:
    height, width = np.maximum(np.ptp(places, axis=0), 1.0)
    panel = float(np.clip(2.6 * height / width, 1.2, 4.5))
    figure = _figure(2.9 * len(genes) + 0.4, 2 * panel + 1.2)
    grid = figure.subplots(2, len(genes), squeeze=False)
    word, cells = measured_word(evaluation), evaluation.cells
    size = float(np.clip(6000 / len(cells), 0.6, 14))
    for column, gene in enumerate(genes):
        for row, (values, side) in enumerate(
            ((cells.expression[:, gene], "predicted"), (cells.counts[:, gene], word))
        ):
            axes = grid[row, column]
            top = max(float(np.percentile(values, _BRIGHTEST)), 1e-6)
            order = np.argsort(values, kind="stable")
            points = axes.scatter(
                places[order, 1],
                places[order, 0],
                c=values[order],
                s=size,
                vmin=0,
                vmax=top,
                cmap="viridis",
                linewidths=0,
            )
            _as_slide(axes)
            axes.set_title(_map_title(evaluation, gene, side), size=9)
            figure.colorbar(points, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    figure.suptitle(f"{title}: predicted above, {word} below (counts per cell)")
    return figure


def _map_title(evaluation: Evaluation, gene: np.intp, side: str) -> str:
    name = evaluation.agreement.genes[gene]
    if side != "predicted":
        return f"{name}, {side}"
    return f"{name}, predicted (PCC {np.nan_to_num(evaluation.agreement.pcc[gene]):.2f})"


def _as_slide(axes: Axes) -> None:
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#222222")


def _calibration(evaluation: Evaluation) -> Figure:
    found = evaluation.calibration
    assert found is not None
    figure = _figure(5.2, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    word = measured_word(evaluation)
    upper.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, label="as promised")
    upper.plot(found.predicted, found.measured, "o-", color=_GOOD, label="found")
    upper.set_ylabel(f"share of cells with a {word} count")
    upper.set_ylim(0, 1)
    upper.legend(loc="upper left", fontsize=8)
    edges = np.linspace(0, 1, len(found.cases) + 1)
    lower.bar(edges[:-1], found.cases, width=np.diff(edges), align="edge", color=_GREY)
    lower.set_xlabel("predicted probability that the gene is expressed")
    lower.set_ylabel("cases")
    lower.set_xlim(0, 1)
    upper.set_title(f"Predicted probability against {word}", size=11)
    return figure


def _types(evaluation: Evaluation) -> Figure:
    found = evaluation.types
    assert found is not None
    count = len(found.types)
    figure = _figure(2.6 + 0.62 * count, 2.2 + 0.5 * count)
    axes = figure.subplots()
    totals = found.matrix.sum(1, keepdims=True)
    shares = found.matrix / np.maximum(totals, 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), found.types, rotation=45, ha="right")
    axes.set_yticks(range(count), found.types)
    for row, column in np.ndindex(found.matrix.shape):
        dark = shares[row, column] > 0.6
        axes.text(
            column,
            row,
            f"{found.matrix[row, column]:,}",
            ha="center",
            va="center",
            size=8,
            color="white" if dark else "black",
        )
    axes.set_xlabel("type by predicted expression")
    axes.set_ylabel(f"type by {measured_word(evaluation)} counts")
    axes.set_title(f"Broad types: predicted against {measured_word(evaluation)}", size=11)
    figure.colorbar(picture, ax=axes, label="share of the row", shrink=0.8)
    return figure


def _figure(width: float, height: float) -> Figure:
    # Not pyplot: it would keep the figures, and choose a window system.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _png(figure: Figure) -> bytes:
    held = BytesIO()
    figure.savefig(held, format="png")
    return held.getvalue()
