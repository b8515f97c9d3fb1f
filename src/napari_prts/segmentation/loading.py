"""One door to all models: embedded ones, known downloads, the user's own, and local files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_prts.errors import ModelError
from napari_prts.segmentation.keras_model import read_keras_model
from napari_prts.segmentation.model import StarDistModel
from napari_prts.segmentation.model_folder import CARD_FILE, read_model_folder
from napari_prts.segmentation.sources import VERSATILE_HE, ModelSource, download
from napari_prts.segmentation.user_models import embedded_models, list_models, user_model_folder

DEFAULT_MODEL = "he-open"


def embedded_folder(name: str = DEFAULT_MODEL) -> Path:
    """Folder of a model that ships with the package."""
    return embedded_models() / name


def load_model(
    model: str | Path = DEFAULT_MODEL, *, source: ModelSource = VERSATILE_HE
) -> StarDistModel:
    """Load a StarDist model.

    Parameters
    ----------
    model : str or path
        ``"he-open"``, embedded in the package; ``"2D_versatile_he"``, downloaded
        once into the user's cache; the name of a model that the user made (see
        :func:`~napari_prts.segmentation.user_models.list_models`), which goes before a
        file of that name; or the path of a model folder of this package, of a Keras
        StarDist 2D folder, of a zip of one, or of an ``.h5`` file.
    source : ModelSource
        The known download, by its name.

    Returns
    -------
    StarDistModel
        On the CPU, in float32.

    Raises
    ------
    ModelError
        If there is no such model, or it is damaged or of another kind.
    """
    if model == DEFAULT_MODEL:
        return read_model_folder(embedded_folder())
    if model == source.name:
        found = read_keras_model(download(source), name=source.name, mpp=source.mpp)
        return replace(found, card={**found.card, "url": source.url, "licence": source.licence})
    if isinstance(model, str) and (made := user_model_folder(model)) is not None:
        return read_model_folder(made)
    path = Path(model).expanduser()
    if not path.exists():
        names = ", ".join(repr(entry.name) for entry in list_models())
        raise ModelError(
            f"There is no StarDist model {str(model)!r}. Give {names}, "
            "or the path of a model folder, .zip or .h5."
        )
    if (path / CARD_FILE).is_file():
        return read_model_folder(path)
    return read_keras_model(path)
