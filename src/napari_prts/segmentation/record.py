"""What a segmentation was made with, for files and tables that hold its nuclei."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.runner import Runner
from napari_prts.segmentation.whole_slide import SegmentRequest, requested_model
from napari_prts.slide import Slide
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import QualityReference


def provenance(slide: Slide, request: SegmentRequest | None = None) -> dict[str, Any]:
    """Describe how :func:`~napari_prts.segmentation.segment` finds a slide's nuclei.

    Parameters
    ----------
    slide : Slide
        The slide.
    request : SegmentRequest, optional
        The request.

    Returns
    -------
    dict
        JSON values: slide, model and its hash, thresholds, scale, limits of the
        stain, region, number of broken tiles, device and versions; ``quality``, with
        its list of ``warnings``, if the model knows what it was trained on.
    """
    request = request or SegmentRequest()
    model = requested_model(request)
    limits = measure_limits(slide, model.mpp, model.percentiles)
    reference = QualityReference.from_card(model.card)
    quality = {} if reference is None else {"quality": reference.record(slide_quality(slide))}
    return {
        "step": "segment",
        "slide": slide.fingerprint,
        "slide_mpp": slide.require_mpp(),
        "model": model.name,
        "model_hash": model.hash,
        "mpp": model.mpp,
        "prob_threshold": model.prob_threshold,
        "nms_threshold": model.nms_threshold,
        "normalisation": {
            "percentiles": list(model.percentiles),
            "low": list(limits.low),
            "high": list(limits.high),
        },
        "region": None if request.region is None else list(request.region),
        "tissue_only": request.tissue_only,
        # Nothing is found in tiles that cannot be read.
        "broken_tiles": len(slide.broken),
        "device": Runner(model, request.device).name,
        "versions": {what: version(what) for what in ("napari-prts", "torch", "stardist")},
        **quality,
    }
