"""An evaluation as one HTML page that needs no other file."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import numpy as np

from napari_prts.analysis.evaluation import Evaluation
from napari_prts.analysis.report_pictures import pictures
from napari_prts.analysis.report_values import gene_columns, means_by_gene_set
from napari_prts.analysis.report_words import measured_word, ranked_genes, sentences

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 0.5rem 0; }
th, td { padding: 0.15rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.banner { background: #fff3cd; padding: 0.5rem 1rem; border-left: 4px solid #d9a400; }
.wide { overflow-x: auto; }
"""

_PICTURES = {
    "pcc": "Each point is a gene. Genes that are rarely caught cannot be predicted well by anyone: "
    "grey circles show the best that is possible.",
    "ceiling": "The nearer to the line, the more of what is possible has been reached.",
    "best_maps": "Each point is a cell; each map has its own range of colours.",
    "worst_maps": "Genes in which there would be something to predict, but the prediction misses "
    "it.",
    "calibration": "On the line, a probability can be taken at its word.",
    "types": "Cells on the diagonal are of the same type on both sides.",
}
_SCORES = {
    "genes": "genes",
    "pcc": "PCC",
    "ceiling_estimated": "ceiling of PCC",
    "rmse": "RMSE",
    "nrmse": "RMSE / range",
    "accuracy": "accuracy of is-expressed",
    "auc": "AUC of is-expressed",
    "mutual_information": "mutual information",
    "js_divergence": "Jensen-Shannon divergence",
    "ssim": "SSIM",
}
_IN_SHORT = (
    "mean",
    "expressed_share",
    "pcc",
    "pcc_low",
    "pcc_high",
    "ceiling_estimated",
    "share_of_ceiling",
    "nearest_pcc",
    "auc",
    "predictable",
)
_ROWS = 15


def page(evaluation: Evaluation) -> str:
    """Write the report: sentences, pictures, tables, definitions.

    Returns
    -------
    str
        HTML with all pictures inside.
    """
    agreement, word = evaluation.agreement, measured_word(evaluation)
    title = f"Predicted against {word} expression"
    parts = [f"<h1>{escape(title)}</h1>", _about(evaluation)]
    if agreement.simulated:
        parts.append('<p class="banner">The counts on this page are <b>simulated</b>.</p>')
    if agreement.trained_on_some:
        parts.append(
            '<p class="banner">Cells that the model was trained on are among those scored.</p>'
        )
    parts += [f"<p>{escape(said)}</p>" for said in sentences(evaluation)]
    for name, png in pictures(evaluation).items():
        data = b64encode(png).decode("ascii")
        parts.append(
            f'<figure><img alt="{name}: predicted against {escape(word)}" '
            f'src="data:image/png;base64,{data}"><figcaption>{escape(_PICTURES[name])}'
            "</figcaption></figure>"
        )
    parts += [
        "<h2>Mean scores</h2>",
        _means(evaluation),
        _groups(evaluation),
        *_gene_tables(evaluation),
        _missing(evaluation),
        _definitions(),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n"
        "</body></html>\n"
    )


def _about(evaluation: Evaluation) -> str:
    names = {
        "slide": "slide",
        "encoder": "encoder",
        "model_hash": "model",
        "trained_on": "model trained on (cells)",
    }
    said = [f"{names[name]}: {escape(value)}" for name, value in evaluation.about.items()]
    return f"<p>{'; '.join(said)}</p>" if said else ""


def _means(evaluation: Evaluation) -> str:
    sets = means_by_gene_set(evaluation)
    heads = ["score", *(name.replace("_", " ") for name in sets)]
    rows = [
        [label, *(_shown(values.get(score), score == "genes") for values in sets.values())]
        for score, label in _SCORES.items()
        if any(score in values for values in sets.values())
    ]
    return _table(heads, rows)


def _groups(evaluation: Evaluation) -> str:
    found = evaluation.clusters
    if found is None:
        return ""
    rows = [
        ["clusters, predicted", str(found.predicted)],
        [f"clusters, {measured_word(evaluation)}", str(found.measured)],
        ["adjusted Rand index of the two groupings", _shown(found.adjusted_rand)],
        ["silhouette of predicted clusters, predicted cells", _shown(found.silhouette)],
        [
            f"silhouette of predicted clusters, {measured_word(evaluation)} cells",
            _shown(found.measured_silhouette),
        ],
    ]
    return "<h2>Clusters</h2>" + _table(["", ""], rows)


def _gene_tables(evaluation: Evaluation) -> list[str]:
    best, worst = ranked_genes(evaluation)
    columns = gene_columns(evaluation)
    short = [name for name in _IN_SHORT if name in columns]

    def table(rows: list[int], names: list[str]) -> str:
        cells = [
            [evaluation.agreement.genes[row], *(_shown(columns[name][row]) for name in names)]
            for row in rows
        ]
        return _table(["gene", *(name.replace("_", " ") for name in names)], cells)

    everything = table(list(range(len(evaluation.agreement.genes))), list(columns))
    return [
        "<h2>Best genes</h2>",
        table(best[:_ROWS].tolist(), short),
        "<h2>Worst genes</h2>",
        table(worst[:_ROWS].tolist(), short),
        f'<details><summary>All genes</summary><div class="wide">{everything}</div></details>',
    ]


def _missing(evaluation: Evaluation) -> str:
    if not evaluation.missing:
        return ""
    items = "".join(
        f"<li>{escape(name.replace('_', ' '))}: {escape(reason)}</li>"
        for name, reason in evaluation.missing.items()
    )
    return f"<h2>What could not be told</h2><ul>{items}</ul>"


def _definitions() -> str:
    return (
        "<h2>What the words mean</h2><p>PCC: Pearson correlation of log(1 + predicted) with "
        "log(1 + measured) over cells. RMSE: root mean squared difference of the same. Ceiling: "
        "the PCC of a prediction that knows each cell's true rate, told from the counts by "
        "dividing them into halves (binomial thinning). Intervals hold 95 % of draws in which "
        "squares of tissue are drawn with replacement. Predictable: PCC above 0, which is that "
        "of the training mean, and above that of the nearest training cell, each beyond its "
        "interval. Nearer in amount: RMSE below that of the training mean, likewise. The other "
        "scores are those of Wang et al., Nature Communications 16 (2025) 1544.</p>"
    )


def _shown(value: object, whole: bool = False) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, float | np.floating) or not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if whole else f"{value:.3f}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
