"""What a batch is asked to do; cheap to import, and plain enough to be sent to other machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_prts.errors import PrtsError

NUCLEI_ENDINGS = (".geojson", ".parquet")


@dataclass(frozen=True)
class SlideEntry:
    """One slide of a cohort.

    Parameters
    ----------
    path : str
        The slide, absolute.
    name : str
        Of its folder among the results.
    mpp : float or None
        um per level-0 pixel, where the file does not say or is wrong.
    nuclei : str or None
        File with nuclei to use instead of looking for them.
    measured : str or None
        Cells that ``measure`` wrote (.h5ad), or a Space Ranger folder to measure.
    """

    path: str
    name: str
    mpp: float | None = None
    nuclei: str | None = None
    measured: str | None = None


@dataclass(frozen=True)
class BatchSettings:
    """How each slide is done.

    Parameters
    ----------
    model : str
        Model folder, absolute.
    model_hash : str
        Its hash when the batch began, see :func:`resolved`.
    segmenter : str
        StarDist model by name or absolute path.
    segmenter_hash : str
        Its hash, thresholds included.
    clusters : bool
        Whether to group the cells of each slide.
    resolution : float
        Of the Leiden clusters.
    umap : bool
        Whether to lay the cells out in two dimensions too, the slowest part of clustering.
    nuclei_ending : str
        ``".geojson"`` or ``".parquet"``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    tiles : str, optional
        ``"exact"`` or ``"grid"``, see :class:`~napari_prts.features.ExtractRequest`; by
        default as the model was trained.
    accept_licence : bool
        Whether the encoder's weights may be downloaded where they are not.

    Raises
    ------
    PrtsError
        If the ending or the resolution is impossible.
    """

    model: str
    model_hash: str = ""
    segmenter: str = "he-open"
    segmenter_hash: str = ""
    clusters: bool = True
    resolution: float = 0.6
    umap: bool = True
    nuclei_ending: str = ".geojson"
    device: str = "auto"
    tiles: str | None = None
    accept_licence: bool = False

    def __post_init__(self) -> None:
        if self.nuclei_ending not in NUCLEI_ENDINGS:
            raise PrtsError(
                f"Nuclei of a batch are written as {' or '.join(NUCLEI_ENDINGS)}, not as "
                f"{self.nuclei_ending!r}: choose one of these."
            )
        if not self.resolution > 0:
            raise PrtsError(f"The resolution is {self.resolution:g}; it must be above 0.")


@dataclass(frozen=True)
class BatchRequest:
    """A cohort.

    Parameters
    ----------
    slides : tuple of SlideEntry
        In the order of work; their names differ.
    settings : BatchSettings
        How.
    output : Path
        Folder of the results, absolute.
    """

    slides: tuple[SlideEntry, ...]
    settings: BatchSettings
    output: Path


@dataclass(frozen=True)
class SlideTask:
    """One slide's work, as it is sent to the process that does it.

    Parameters
    ----------
    entry : SlideEntry
        The slide.
    settings : BatchSettings
        How.
    folder : str
        Where its results go.
    """

    entry: SlideEntry
    settings: BatchSettings
    folder: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SlideTask:
        """Read what :meth:`as_dict` gives."""
        entry, settings = SlideEntry(**values["entry"]), BatchSettings(**values["settings"])
        return cls(entry, settings, values["folder"])


def resolved(settings: BatchSettings) -> BatchSettings:
    """Load both models once, so that a wrong one is told before the night and not after it.

    Parameters
    ----------
    settings : BatchSettings
        As the user gave them.

    Returns
    -------
    BatchSettings
        With absolute paths and with the hashes of the models.

    Raises
    ------
    ModelError
        If a model cannot be loaded.
    """
    from napari_prts.cohort.contents import key_of
    from napari_prts.expression import load_bundle
    from napari_prts.segmentation import load_model

    model = Path(settings.model).absolute()
    finder = load_model(settings.segmenter)
    here = Path(settings.segmenter).expanduser()
    return replace(
        settings,
        model=str(model),
        model_hash=load_bundle(model).hash,
        segmenter=str(here.absolute()) if here.exists() else settings.segmenter,
        segmenter_hash=key_of(finder.hash, finder.mpp, finder.prob_threshold, finder.nms_threshold),
    )
