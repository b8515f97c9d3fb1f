"""What an evaluation says, in sentences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_prts.analysis.evaluation import Evaluation
from napari_prts.analysis.resampling import Drawn

_NAMED = 8
# By its definition 5 % of cells of the training slide are marked; regions of it differ.
_MANY_UNLIKE = 0.25


def measured_word(evaluation: Evaluation) -> str:
    """Name what the prediction is compared with: ``"measured"`` or that it is simulated."""
    return "measured (simulated)" if evaluation.agreement.simulated else "measured"


def sentences(evaluation: Evaluation) -> list[str]:
    """Sum up an evaluation for a reader who knows tissue, not statistics."""
    said = [
        _what(evaluation),
        _correlation(evaluation),
        *_ceiling(evaluation),
        *_predictable(evaluation),
        *_types(evaluation),
        *_calibration(evaluation),
        *_unlike(evaluation),
    ]
    return said


def ranked_genes(evaluation: Evaluation) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order genes by PCC: the best first, and the worst first.

    The worst are sought among genes in which there is something to predict: those whose
    estimated ceiling is half of the median or more, where it is known.
    """
    pcc = np.nan_to_num(evaluation.agreement.pcc)
    varying = np.flatnonzero(evaluation.gene_sets["all"])
    best = varying[np.argsort(-pcc[varying], kind="stable")]
    hopeful = varying
    if evaluation.ceiling is not None:
        ceiling = np.nan_to_num(evaluation.ceiling[varying])
        hopeful = varying[ceiling >= np.median(ceiling) / 2]
    return best, hopeful[np.argsort(pcc[hopeful], kind="stable")]


def _what(evaluation: Evaluation) -> str:
    agreement = evaluation.agreement
    where = (
        "of the region that was left out of training"
        if agreement.held_out
        else "that were both predicted and measured"
    )
    text = (
        f"Predicted expression was compared with {measured_word(evaluation)} expression in "
        f"{agreement.cells:,} cells {where}, for {len(agreement.genes):,} genes."
    )
    if agreement.simulated:
        text += (
            " The counts are simulated from the picture: they show that the program works, not "
            "what it can do on tissue."
        )
    if agreement.trained_on_some:
        text += " Cells that the model was trained on are among them, so the scores are too good."
    return text


def _correlation(evaluation: Evaluation) -> str:
    mean = evaluation.agreement.pcc_mean
    between = _range(evaluation.predictability.means["pcc"])
    return (
        f"From cell to cell, a gene's prediction and its measurement go together with a "
        f"correlation of {mean:.2f}{between} on average; 0 would be chance, 1 is out of reach "
        "because counts are noisy."
    )


def _ceiling(evaluation: Evaluation) -> list[str]:
    means = evaluation.predictability.means
    if "share" not in means:
        return []
    ceiling, share = means["ceiling"], means["share"]
    return [
        f"Even a perfect prediction would reach no more than {ceiling.value:.2f}"
        f"{_range(ceiling)}, so this one reaches {share.value:.0%}{_range(share, '.0%')} of what "
        "is possible."
    ]


def _predictable(evaluation: Evaluation) -> list[str]:
    told, genes = evaluation.predictable, evaluation.agreement.genes
    if told is None:
        return [
            "Which genes can be relied on cannot be told: "
            + "; ".join(
                evaluation.missing[name]
                for name in ("intervals", "control_mean", "control_nearest")
                if name in evaluation.missing
            )
            + "."
        ]
    count, found = int(told.sum()), evaluation.predictability
    said = [
        f"{count:,} of {len(genes):,} genes ({count / len(genes):.0%}) are predictable: where they "
        "are high and low is surely told better than by giving every cell the training mean, and "
        "surely better than by copying the training cell that looks most alike. (Surely: in 39 of "
        "40 draws of tissue blocks. Among hundreds of genes a few pass by luck.)"
    ]
    if found.nearer_in_amount is not None:
        right = int((told & found.nearer_in_amount).sum())
        said.append(
            f"For {right:,} of these {count:,} the amount is told better than by the mean too; of "
            "the others read the pattern, not the numbers."
        )
    best, worst = ranked_genes(evaluation)
    trusted = [genes[row] for row in best if told[row]][:_NAMED]
    doubted = [genes[row] for row in worst if not told[row]][:_NAMED]
    if trusted:
        said.append(f"The maps to trust most are those of {_listed(trusted)}.")
    if doubted:
        said.append(f"Do not read anything into the maps of {_listed(doubted)}, among others.")
    return said


def _types(evaluation: Evaluation) -> list[str]:
    found = evaluation.types
    if found is None:
        return []
    return [
        f"{found.agreement:.0%} of the cells are of the same broad type by predicted as by "
        f"{measured_word(evaluation)} marker genes; {found.by_chance:.0%} would be by chance."
    ]


def _calibration(evaluation: Evaluation) -> list[str]:
    found = evaluation.calibration
    if found is None:
        return []
    return [
        "The predicted probability that a cell has a gene is off by "
        f"{100 * found.expected_error:.0f} percentage points on average."
    ]


def _unlike(evaluation: Evaluation) -> list[str]:
    if evaluation.unlike is None:
        return []
    said = f"{evaluation.unlike:.0%} of the cells look unlike those that the model was trained on"
    if evaluation.unlike > _MANY_UNLIKE:
        return [
            f"{said}, where 5% would be usual: another stain, another tissue or outlines that are "
            "no nuclei. What is predicted for them is a guess."
        ]
    return [f"{said}; 5% are usual."]


def _range(drawn: Drawn, form: str = ".2f") -> str:
    """Say the interval in brackets, if there is one."""
    if not np.isfinite(drawn.low):
        return ""
    return f" ({drawn.low:{form}} to {drawn.high:{form}})"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
