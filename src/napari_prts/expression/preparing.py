"""From matched sections to what the network learns from: parts, scalings, a sample of cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import ExpressionError
from napari_prts.expression.batches import Cells
from napari_prts.expression.matching import chosen_features
from napari_prts.expression.nearest import sampled_rows
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.scaling import FeatureScaling, GeneScaling
from napari_prts.expression.sections import MatchedSection, Section, match_sections
from napari_prts.expression.similarity import MOST_ROWS, TrainingCells
from napari_prts.expression.splitting import FEWEST_CELLS, TEST, TRAIN, VALIDATION

_LEARNED_FROM = (TRAIN, VALIDATION, TEST)


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a training needs.

    Parameters
    ----------
    sections : tuple of MatchedSection
        The sections; their features and counts are in ``parts``.
    genes : tuple of str
        Names.
    parts : dict of Cells
        ``"train"``, ``"validation"``, ``"test"``: standardised features and counts.
    rates : ndarray of float32, shape (test cells, genes), or None
        True rates of the test cells, if all of them are simulated.
    counted : tuple of Counter
        Cells of each section by part.
    features : FeatureScaling
        Of all training cells.
    by_section : FeatureScaling or None
        Of each section's own nuclei, shape (sections, features); None where the
        features are standardised over all sections.
    scaling : GeneScaling
        Of the training cells' counts.
    sample : TrainingCells
        At most 2,000 of the training cells.
    sampled : ndarray of int, shape (m,)
        Which training cells they are.
    """

    sections: tuple[MatchedSection, ...]
    genes: tuple[str, ...]
    parts: dict[str, Cells]
    rates: NDArray[np.float32] | None
    counted: tuple[Counter[str], ...]
    features: FeatureScaling
    by_section: FeatureScaling | None
    scaling: GeneScaling
    sample: TrainingCells
    sampled: NDArray[np.int64]

    @property
    def total(self) -> Counter[str]:
        """Cells of all sections by part."""
        return sum(self.counted, Counter())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a model bundle keeps of it."""
        counts = sparse.csr_matrix(self.parts[TRAIN].counts[self.sampled])
        arrays = {
            "features.mean": self.features.mean,
            "features.std": self.features.std,
            "genes.minimum": self.scaling.minimum,
            "genes.span": self.scaling.span,
            "training.rows": self.sample.rows,
            "training.counts.data": counts.data.astype(np.float32),
            "training.counts.indices": counts.indices.astype(np.int32),
            "training.counts.indptr": counts.indptr.astype(np.int64),
        }
        if self.by_section is not None:
            arrays |= {"sections.mean": self.by_section.mean, "sections.std": self.by_section.std}
        return arrays


def prepare(sections: Sequence[Section], request: TrainRequest) -> Prepared:
    """Match, split, standardise and scale.

    Raises
    ------
    ExpressionError
        If the sections do not belong together, or a part has too few cells.
    ModelError
        If the features are not usable.
    """
    matched = match_sections(sections, request)
    labels = [each.plan.label(each.cells.centroids_um) for each in matched]
    counted = tuple(Counter(part.tolist()) for part in labels)
    _check(sum(counted, Counter()), request)
    overall = FeatureScaling.fit(
        np.concatenate(
            [each.cells.features[part == TRAIN] for each, part in zip(matched, labels, strict=True)]
        )
    )
    by_section = _by_section(matched, request)
    looks = [
        (overall if by_section is None else by_section.of(number)).apply(each.cells.features)
        for number, each in enumerate(matched)
    ]

    def cells(part: str) -> Cells:
        rows = [label == part for label in labels]
        return Cells(
            np.concatenate([look[row] for look, row in zip(looks, rows, strict=True)]),
            sparse.csr_matrix(
                sparse.vstack(
                    [each.cells.counts[row] for each, row in zip(matched, rows, strict=True)]
                )
            ),
        )

    parts = {part: cells(part) for part in _LEARNED_FROM}
    sampled = sampled_rows(len(parts[TRAIN]), MOST_ROWS, request.seed)
    sample = TrainingCells.fit(
        parts[TRAIN].features[sampled], parts[VALIDATION].features, request.seed
    )
    return Prepared(
        matched,
        matched[0].cells.genes,
        parts,
        _rates(matched, labels),
        counted,
        overall,
        by_section,
        GeneScaling.fit(parts[TRAIN].counts),
        sample,
        sampled,
    )


def _by_section(
    matched: tuple[MatchedSection, ...], request: TrainRequest
) -> FeatureScaling | None:
    """Scale of each section by all its nuclei, as a new slide's is at prediction."""
    if request.standardise == "all":
        return None
    scalings = [
        FeatureScaling.fit(chosen_features(each.section.features, request.use)) for each in matched
    ]
    return FeatureScaling(
        np.stack([scaling.mean for scaling in scalings]),
        np.stack([scaling.std for scaling in scalings]),
    )


def _rates(
    matched: tuple[MatchedSection, ...], labels: list[NDArray[np.str_]]
) -> NDArray[np.float32] | None:
    found = []
    for each, label in zip(matched, labels, strict=True):
        test = label == TEST
        if test.any() and each.cells.rates is None:
            return None
        if test.any() and each.cells.rates is not None:
            found.append(each.cells.rates[test])
    return np.concatenate(found) if found else None


def _check(total: Counter[str], request: TrainRequest) -> None:
    wanted = [TRAIN, VALIDATION]
    if request.test_sections:
        wanted.append(TEST)
    few = [part for part in wanted if total[part] < FEWEST_CELLS]
    if few:
        found = ", ".join(f"{total[part]} for {part}" for part in wanted)
        raise ExpressionError(
            f"Too few measured cells ({found}; {FEWEST_CELLS} are needed for each): use larger "
            "sections, or name other ones for validation and test."
        )
