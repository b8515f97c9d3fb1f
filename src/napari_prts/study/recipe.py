"""The steps that bring a study to where it is, as Python; what no script can repeat is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.study.as_python import call, comment, given
from napari_prts.study.trained import train_arguments

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.segmentation import SegmentRequest
    from napari_prts.study.jobs import StudyTrainRequest
    from napari_prts.study.study import Study

_OPEN = "study = napari_prts.open"
_ASKED = "asked"
# Seconds: a person who clicked waits no longer for a slow disk.
_WRITTEN_S = 1.0


def script(*lines: str) -> str:
    """Write lines, the first of which opens the study, into a script that can be run.

    Parameters
    ----------
    *lines : str
        Calls and comments, see the other functions here; empty ones are left out.
    """
    return "\n".join(["import napari_prts", "", *filter(None, lines)]) + "\n"


def opening(study: Study | None) -> str:
    """Write how the slide is opened, with the pixel size if the user stated it."""
    if study is None:
        return call(_OPEN, "slide.svs")
    slide = study.slide
    if slide.path is None:
        said = comment(f"{slide.name} is a picture in memory: put the path of its file here.")
        return f"{said}\n{call(_OPEN, slide.name, **_stated(study))}"
    return call(_OPEN, slide.path.absolute(), **_stated(study))


def with_nuclei(study: Study | None) -> list[str]:
    """Write how the study is opened and its nuclei came to be what they are.

    Where the study is kept on disk as it is, that is opened; so it is with the others here.
    """
    return _kept(study, "nuclei") or [opening(study), *_nuclei_steps(study)]


def with_measured(study: Study | None) -> list[str]:
    """Write how nuclei and measured counts came to be what they are."""
    kept = _kept(study, "nuclei", "measured")
    return kept or [*with_nuclei(study), *measured_steps(study)]


def with_cells(study: Study | None) -> list[str]:
    """Write how nuclei, measured and predicted cells came to be, as far as there are any."""
    if study is None:
        return [opening(None)]
    if kept := _kept(study, "nuclei", "measured", "predicted"):
        return kept
    if study.predicted is None:
        return with_measured(study)
    if not _by_current_model(study, study.predicted):
        said = (
            "The cells on screen were predicted by another model than is open now: save a "
            "study folder (Save menu), and copy again."
        )
        return [*with_measured(study), comment(said)]
    predicted = _predicted_steps(study, **_tiles(study.predicted))
    measured = [line for line in measured_steps(study) if line not in predicted]
    return [*with_nuclei(study), *measured, *predicted]


def with_prediction(study: Study | None, **choices: Any) -> list[str]:
    """Write a prediction with the study's model, from opening the slide on.

    Parameters
    ----------
    study : Study or None
        The study.
    **choices
        Fields of :class:`~napari_prts.study.PredictionRequest`, only those that differ from
        their defaults.
    """
    if study is not None and study.model is not None and (kept := _kept(study, "nuclei", "model")):
        return [*kept, call("study.predict", **choices)]
    return [*with_nuclei(study), *_predicted_steps(study, **choices)]


def segment_line(request: SegmentRequest) -> str:
    """Write a segmentation; the order of its tiles, which changes nothing, is left out."""
    return call("study.segment", **_as_arguments(asked_of(request)[_ASKED]))


def train_line(request: StudyTrainRequest, others: Sequence[Path | str] = ()) -> str:
    """Write a training; see :func:`~napari_prts.study.trained.train_arguments`."""
    return call("study.train", **train_arguments(request, others))


def measured_steps(study: Study | None) -> list[str]:
    """Write how the measured counts were read; nothing if there are none."""
    if study is None or study.measured is None:
        return []
    about = study.measured.uns.get("visium_hd", {})
    if "path" not in about:
        said = "Where the measured counts came from is not known: put the Visium HD folder here."
        return [comment(said), 'study.measure("outs")']
    return [call("study.measure", str(about["path"]), **_thresholds(about))]


def asked_of(request: SegmentRequest) -> dict[str, Any]:
    """Note what was asked of a segmentation, for the nuclei's provenance.

    Parameters
    ----------
    request : SegmentRequest
        The request.

    Returns
    -------
    dict
        JSON values under one key: fields that are not at their defaults.
    """
    asked = given(request, but=("order_from",))
    if "model" in asked:
        asked["model"] = _model_name(asked["model"])
    if "region" in asked:
        asked["region"] = [float(value) for value in asked["region"]]
    return {_ASKED: asked}


def _nuclei_steps(study: Study | None) -> list[str]:
    """Write how the nuclei came to be what they are."""
    if study is None or not len(study.nuclei):
        return ["study.segment()"]
    about = study.nuclei_provenance
    if study.nuclei_as_set and not any(about["corrections"].values()):
        if "imported_from" in about:
            return [call("study.import_nuclei", about["imported_from"])]
        if about.get("step") == "segment":
            return [call("study.segment", **_segmented(about))]
    # What was corrected a moment ago is being written.
    study.autosave.wait(_WRITTEN_S)
    if (session := study.autosave.session) is not None:
        said = "The nuclei as they were corrected by hand, from this computer's own copy."
        return [comment(said), call("study.restore", session.name)]
    said = (
        "These nuclei cannot be made again by a script: save a session or a study folder "
        "(Save menu), and copy again."
    )
    return [comment(said)]


def _model_steps(study: Study | None) -> tuple[list[str], Path | None]:
    """Write what goes before a prediction; the path is None if the model is the study's then."""
    model = None if study is None else study.model
    if study is None or model is None:
        return [comment("No model is chosen yet: put its folder here.")], Path("model")
    if study.model_folder is not None:
        return [], study.model_folder
    trained = study.trained
    if trained is not None and trained.holds(study):
        return [*measured_steps(study), call("study.train", **trained.asked)], None
    said = (
        "The model is in memory alone: save a session or a study folder (Save menu) and copy again."
    )
    return [comment(said)], Path("model")


def _predicted_steps(study: Study | None, **choices: Any) -> list[str]:
    before, folder = _model_steps(study)
    model = () if folder is None else (folder,)
    return [*before, call("study.predict", *model, **choices)]


def _kept(study: Study | None, *names: str) -> list[str]:
    """Open the folder in which these parts are kept as they are; nothing if they are not."""
    if study is None or study.kept is None or not study.kept.holds(study, *names):
        return []
    return [call(_OPEN, study.kept.place)]


def _model_name(model: object) -> str:
    """A name is kept, a file is written so that it is found from everywhere."""
    if isinstance(model, str | Path):
        from napari_prts.segmentation.user_models import list_models

        path = Path(model).expanduser()
        known = {entry.name for entry in list_models()}
        return str(path.absolute()) if str(model) not in known and path.exists() else str(model)
    return str(getattr(model, "name", model))


def _stated(study: Study) -> dict[str, Any]:
    slide = study.slide
    stated = slide.mpp is not None and slide.mpp_source.startswith("user")
    return {"mpp": slide.mpp} if stated or slide.path is None else {}


def _segmented(about: Mapping[str, Any]) -> dict[str, Any]:
    from napari_prts.segmentation import SegmentRequest

    if _ASKED in about:
        asked = dict(about[_ASKED])
    else:
        # Found by the command line or an older version: what was used is known, if not asked.
        names = ("model", "region", "prob_threshold", "nms_threshold", "tissue_only")
        asked = given(SegmentRequest(**{name: about[name] for name in names if name in about}))
    return _as_arguments(asked)


def _as_arguments(asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("region") is not None:
        asked["region"] = tuple(asked["region"])
    return asked


def _thresholds(about: Mapping[str, Any]) -> dict[str, Any]:
    from dataclasses import fields

    from napari_prts.visium_hd import MeasureRequest

    used = {name: _plain(value) for name, value in about.get("thresholds", {}).items()}
    known = {field.name for field in fields(MeasureRequest)}
    forced = tuple(str(name) for name in about.get("selection", {}).get("forced", ()))
    request = MeasureRequest(**{n: v for n, v in used.items() if n in known}, force_genes=forced)
    return given(request)


def _plain(value: Any) -> Any:
    # Numbers that were read from a .h5ad are numpy's.
    return value.item() if hasattr(value, "item") else value


def _by_current_model(study: Study, predicted: AnnData) -> bool:
    used = predicted.uns.get("prts", {}).get("model_hash")
    return used is None or (study.model is not None and str(used) == study.model.hash)


def _tiles(predicted: AnnData) -> dict[str, Any]:
    about = predicted.uns.get("prts", {})
    used = about.get("tiles")
    return {} if used == about.get("trained_tiles") else {"tiles": str(used)}
