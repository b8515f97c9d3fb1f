"""A study on disk: one folder that other tools can read piece by piece."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import PrtsError
from napari_prts.files import written_aside
from napari_prts.study.kept import Kept
from napari_prts.study.study import Study

if TYPE_CHECKING:
    from napari_prts.features import FeatureStore
    from napari_prts.slide import Slide

FORMAT = "napari-prts-study"
FORMAT_VERSION = 1
CARD = "study.json"


def save_study(study: Study, folder: Path) -> Path:
    """Write ``study.json`` and, where they exist, the nuclei, tables and model.

    Each file is written aside and moved into place; files already in the
    folder that the study does not name stay as they are.

    Parameters
    ----------
    study : Study
        What to save.
    folder : path
        Made if need be.

    Returns
    -------
    Path
        The folder: ``study.json``, ``nuclei.geojson``, ``measured.h5ad``,
        ``model/``, ``predicted.h5ad``.
    """
    from napari_prts.h5ad import write_h5ad
    from napari_prts.nuclei import write_geojson

    folder.mkdir(parents=True, exist_ok=True)
    # Before anything is written: what the user changes meanwhile is not in the files.
    kept = Kept.of(study, folder)
    parts: dict[str, str] = {}
    if len(study.nuclei):
        write_geojson(study.nuclei, folder / "nuclei.geojson", study.nuclei_provenance)
        parts["nuclei"] = "nuclei.geojson"
    for name in ("measured", "predicted"):
        table = getattr(study, name)
        if table is not None:
            write_h5ad(table, folder / f"{name}.h5ad")
            parts[name] = f"{name}.h5ad"
    if study.model is not None:
        study.model.save(folder / "model")
        parts["model"] = "model"
    write_card(folder, study.slide, parts)
    study.kept = kept
    return folder


def write_card(folder: Path, slide: Slide, parts: Mapping[str, str]) -> None:
    """Make a folder of tables a study that :func:`open_study` opens.

    Parameters
    ----------
    folder : path
        The folder; it gets ``study.json``.
    slide : Slide
        What the tables were made of.
    parts : mapping of str to str
        By name (``"nuclei"``, ``"measured"``, ``"predicted"``, ``"model"``) the file, relative
        to the folder or absolute.
    """
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "slide": {
            "path": str(slide.path) if slide.path else None,
            "fingerprint": slide.fingerprint,
            "mpp": slide.mpp,
            "mpp_source": slide.mpp_source,
        },
        "parts": dict(parts),
    }
    with written_aside(folder / CARD) as aside:
        aside.write_text(json.dumps(card, indent=1))


def open_study(
    folder: Path | str, slide_path: Path | str | None = None, store: FeatureStore | None = None
) -> Study:
    """Open a saved study.

    Parameters
    ----------
    folder : path
        Folder that :func:`save_study` or a batch wrote.
    slide_path : path, optional
        Where the slide is now, if it was moved.
    store : FeatureStore, optional
        Where features are kept.

    Raises
    ------
    PrtsError
        If the folder holds no study, or the slide is not the one it was made on.
    SlideError
        If the slide cannot be opened.
    """
    from napari_prts.h5ad import read_h5ad
    from napari_prts.nuclei import read_nuclei
    from napari_prts.nuclei.formats.reading import read_provenance
    from napari_prts.slide import open_slide

    folder = Path(folder)
    card = _read_card(folder)
    known = card["slide"]
    path = slide_path or known["path"]
    if path is None:
        raise PrtsError(f"{folder} does not say where its slide is: give the slide's path.")
    slide = open_slide(path, known["mpp"] if known["mpp_source"].startswith("user") else None)
    if slide.fingerprint != known["fingerprint"]:
        raise PrtsError(f"{path} is not the slide that {folder} was made on: give the right slide.")
    study, parts = Study(slide, store), card["parts"]
    if "nuclei" in parts:
        nuclei_path = folder / parts["nuclei"]
        study.load_nuclei(read_nuclei(nuclei_path, slide.shape), read_provenance(nuclei_path))
    if "measured" in parts:
        study.set_measured(read_h5ad(folder / parts["measured"]))
    if "model" in parts:
        study.set_model(folder / parts["model"])
    if "predicted" in parts:
        study.set_predicted(read_h5ad(folder / parts["predicted"]))
    study.kept = Kept.of(study, folder)
    return study


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    try:
        card = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PrtsError(f"{folder} holds no saved study: {path.name} cannot be read.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise PrtsError(f"{path} is not a napari-prts study: choose a folder that Save made.")
    if card.get("format_version", 0) > FORMAT_VERSION:
        raise PrtsError(f"{path} was written by a newer napari-prts: update napari-prts.")
    found: dict[str, Any] = card
    return found
