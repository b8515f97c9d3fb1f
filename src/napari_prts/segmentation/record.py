"""What a segmentation was made with, for files and tables that hold its nuclei."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from napari_prts.segmentation.ground import measure_limits
from napari_prts.segmentation.runner import choose_device, device_name
from napari_prts.segmentation.whole_slide import SegmentRequest, requested_model
from napari_prts.slide import Slide


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
        stain, region, device and versions.
    """
    request = request or SegmentRequest()
    model = requested_model(request)
    limits = measure_limits(slide, model.mpp, model.percentiles)
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
        "device": device_name(choose_device(request.device)),
        "versions": {what: version(what) for what in ("napari-prts", "torch", "stardist")},
    }
