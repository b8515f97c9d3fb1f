"""The card of a tuned model: what it was made of, and how it fares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from napari_prts.errors import SlideError
from napari_prts.nuclei import Source
from napari_prts.segmentation.fine_tuning_choice import Choice
from napari_prts.segmentation.fine_tuning_deal import Deal
from napari_prts.segmentation.fine_tuning_regions import CONTEXT, Corrected, Patch
from napari_prts.segmentation.fine_tuning_request import FineTuneRequest
from napari_prts.segmentation.model import StarDistModel
from napari_prts.slide import Slide
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import CARD_KEY, QualityReference


def tuned_card(
    slide: Slide,
    request: FineTuneRequest,
    base: StarDistModel,
    corrected: Corrected,
    dealt: Deal,
    choice: Choice,
    patches: Sequence[Patch],
) -> dict[str, Any]:
    """Describe a tuned model with JSON values.

    ``training`` says from which model, slide, regions and nuclei it was made and how;
    ``metrics`` how the base model and this one find the nuclei that were held out;
    ``licence`` is the base model's.
    """
    inside = corrected.nuclei.take(corrected.whole(corrected.shape))
    by_hand = np.isin(inside.sources, (Source.MANUAL, Source.EDITED))
    settings = asdict(replace(request, base=""))
    for said_elsewhere in ("name", "regions", "base"):
        settings.pop(said_elsewhere)
    card: dict[str, Any] = {
        "licence": base.card.get("licence", "not stated"),
        "training": {
            "step": "fine-tune",
            "base": base.name,
            "base_hash": base.hash,
            "slide": {
                "name": slide.name,
                "fingerprint": slide.fingerprint,
                "mpp": slide.require_mpp(),
            },
            "regions": [np.asarray(region, float).tolist() for region in request.regions],
            "nuclei": len(inside),
            "corrected_by_hand": int(by_hand.sum()),
            "settings": settings,
            "kept_step": choice.step,
            "held_out": {
                "in_turn": dealt.in_turn,
                "nuclei": choice.before.outlined,
                "f1_before": round(choice.before.f1[0.5], 4),
                "f1_after": round(choice.after.f1[0.5], 4),
                "better": choice.better,
            },
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "metrics": {
            "held out": {"before": choice.before.as_dict(), "after": choice.after.as_dict()}
        },
        "versions": {what: version(what) for what in ("napari-prts", "torch", "stardist")},
    }
    reference = _reference(base, patches)
    return card if reference is None else {**card, CARD_KEY: reference.as_dict()}


def _reference(base: StarDistModel, patches: Sequence[Patch]) -> QualityReference | None:
    """What the base model knew, widened by these regions: they need no warning any more."""
    known = QualityReference.from_card(base.card)
    if known is None:
        return None
    inner = slice(CONTEXT, -CONTEXT)
    try:
        new = QualityReference.of(
            slide_quality(Slide.from_array(patch.image[inner, inner], mpp=base.mpp))
            for patch in patches
        )
    except SlideError:
        return known
    focus = None
    if known.focus is not None:
        focus = known.focus if new.focus is None else min(known.focus, new.focus)
    return replace(
        known,
        haematoxylin=_joined(known.haematoxylin, new.haematoxylin),
        eosin=_joined(known.eosin, new.eosin),
        focus=focus,
    )


def _joined(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return min(first[0], second[0]), max(first[1], second[1])
