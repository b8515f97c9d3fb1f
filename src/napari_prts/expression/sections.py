"""Sections that train one model: what belongs together, and which of them plays which part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_prts.errors import ExpressionError
from napari_prts.expression.matching import MeasuredCells, match_measured, selected_genes
from napari_prts.expression.requests import TrainRequest
from napari_prts.expression.splitting import (
    TEST,
    TRAIN,
    VALIDATION,
    Plan,
    WholePlan,
    plan_split,
)

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.features import Features
    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide

# Below this share of the smaller section's genes, the sections are of different species,
# panels or ways of naming genes, and a model of the rest would not be what was meant.
LEAST_SHARED = 0.5


@dataclass(frozen=True, eq=False)
class Section:
    """A slide with its nuclei, their features and their measured counts.

    Parameters
    ----------
    features : Features
        Of the slide's nuclei.
    measured : AnnData
        Raw counts with ``obs["id"]``, as :func:`napari_prts.visium_hd.measure` gives.
    nuclei : Nuclei
        The nuclei that were measured.
    slide : Slide
        The slide; its mpp must be known.
    """

    features: Features
    measured: AnnData
    nuclei: Nuclei
    slide: Slide

    @property
    def name(self) -> str:
        """Name of the slide's file, by which requests name the section."""
        return str(self.slide.path.name if self.slide.path else self.slide.name)


@dataclass(frozen=True, eq=False)
class MatchedSection:
    """A section's measured cells, and which part each plays.

    Parameters
    ----------
    section : Section
        Where they come from.
    cells : MeasuredCells
        Those whose nuclei and features are known; genes in the model's order.
    plan : SplitPlan or WholePlan
        Where the parts lie.
    """

    section: Section
    cells: MeasuredCells
    plan: Plan


def match_sections(
    sections: Sequence[Section], request: TrainRequest
) -> tuple[MatchedSection, ...]:
    """Match each section's cells with its features and plan the split.

    Parameters
    ----------
    sections : sequence of Section
        One or more, by the same encoder.
    request : TrainRequest
        Which genes and features, and which sections play which part.

    Raises
    ------
    ExpressionError
        If a section is given twice, they differ in encoder or have too few genes in
        common, a section named in the request is not there, or a part has too few cells.
    ModelError
        If the features are not usable.
    """
    check_sections(sections)
    roles = _roles(sections, request)
    genes = shared_genes(
        [s for s, role in zip(sections, roles, strict=True) if role == TRAIN],
        sections,
        request.genes,
    )
    matched = []
    for section, role in zip(sections, roles, strict=True):
        cells = match_measured(
            section.features,
            section.measured,
            section.nuclei,
            section.slide,
            request.use,
            request.genes,
            genes,
        )
        matched.append(MatchedSection(section, cells, _plan(cells, role, request)))
    return tuple(matched)


def check_sections(sections: Sequence[Section]) -> None:
    """Refuse sections that do not belong together.

    Raises
    ------
    ExpressionError
        If there are none, one is given twice, or they differ in encoder.
    """
    if not sections:
        raise ExpressionError("There is no section to train on: give one or more.")
    first, seen = sections[0], dict[str, str]()
    for section in sections:
        fingerprint = section.slide.fingerprint
        if fingerprint in seen:
            other = seen[fingerprint]
            twice = section.name if section.name == other else f"{other} and {section.name}"
            raise ExpressionError(
                f"The same section is given twice ({twice}): its cells would be in training and "
                "test at once. Leave one out."
            )
        seen[fingerprint] = section.name
        if section.features.encoder_key != first.features.encoder_key:
            raise ExpressionError(
                f"The features of {first.name} are by encoder {first.features.encoder} "
                f"({first.features.encoder_key}), those of {section.name} by "
                f"{section.features.encoder} ({section.features.encoder_key}): extract all of "
                "them with one encoder and the same weights."
            )


def shared_genes(
    training: Sequence[Section], sections: Sequence[Section], choice: str
) -> tuple[str, ...] | None:
    """Names of the genes that all sections have and that are to be learned.

    Which are learned is said by the training sections alone; test sections have no say.

    Parameters
    ----------
    training : sequence of Section
        Those with training cells.
    sections : sequence of Section
        All.
    choice : str
        ``"selected"`` or ``"all"``.

    Returns
    -------
    tuple of str or None
        In the order of the first section; None for a single section, whose own are taken.

    Raises
    ------
    ExpressionError
        If a section names a gene twice, or they have too few in common.
    """
    if len(sections) == 1:
        return None
    names = [section.measured.var_names for section in sections]
    for section, index in zip(sections, names, strict=True):
        if not index.is_unique:
            raise ExpressionError(
                f"The measured cells of {section.name} name a gene more than once, so it cannot "
                "be told which belongs to which of another section: make var_names unique."
            )
    shared = set(names[0]).intersection(*names[1:])
    fewest = min(map(len, names))
    if len(shared) < LEAST_SHARED * fewest or not shared:
        raise ExpressionError(
            f"Only {len(shared):,} genes are in all {len(sections)} sections, where the smallest "
            f"has {fewest:,}: they are of different species or panels, or name genes differently "
            "(symbols, Ensembl ids). Train on sections measured alike."
        )
    wanted: set[str] = set()
    for section in training:
        wanted |= set(section.measured.var_names[selected_genes(section.measured, choice)])
    if not wanted & shared:
        raise ExpressionError(
            "None of the genes selected in the training sections is in all sections: measure "
            "them alike, or train on all genes (genes='all')."
        )
    return tuple(str(gene) for gene in names[0] if gene in wanted and gene in shared)


def _roles(sections: Sequence[Section], request: TrainRequest) -> list[str]:
    """``"test"``, ``"validation"`` or ``"train"`` for each section."""
    there = Counter(section.name for section in sections)
    for name in (*request.validation_sections, *request.test_sections):
        if there[name] != 1:
            found = "is not there" if not there[name] else f"stands for {there[name]} sections"
            raise ExpressionError(
                f"The section {name!r} {found}; there are {', '.join(sorted(there))}. Name the "
                "slide's file."
            )
    named = dict.fromkeys(request.validation_sections, VALIDATION)
    named |= dict.fromkeys(request.test_sections, TEST)
    roles = [named.get(section.name, TRAIN) for section in sections]
    if TRAIN not in roles:
        raise ExpressionError(
            "All sections are validation or test sections: leave at least one to train on."
        )
    return roles


def _plan(cells: MeasuredCells, role: str, request: TrainRequest) -> Plan:
    test, validation = not request.test_sections, not request.validation_sections
    if role != TRAIN or not (test or validation):
        return WholePlan(role)
    return plan_split(
        np.asarray(cells.centroids_um), request.split, test=test, validation=validation
    )
