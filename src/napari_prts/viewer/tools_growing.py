"""What grows nuclei at clicks, kept from one click to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_prts.segmentation.at_point import Grown, PointGrower
    from napari_prts.slide import Slide
    from napari_prts.study.state import StudyState


class Growers:
    """Keeps the last used grower: making one loads a network and measures the stain.

    It is used from one thread at a time.
    """

    def __init__(self) -> None:
        self._key: tuple[str, float | None, str] | None = None
        self._grower: PointGrower | None = None

    def get(self, slide: Slide, model: str) -> PointGrower:
        """Return the grower of a slide, its pixel size and a model.

        Parameters
        ----------
        slide : Slide
            The slide; its microns per pixel must be known.
        model : str
            Name or path, as for :func:`~napari_prts.segmentation.load_model`.

        Raises
        ------
        MissingPixelSizeError
            If the slide's microns per pixel are unknown.
        ModelError
            If there is no such model.
        """
        key = (slide.fingerprint, slide.mpp, model)
        if self._grower is None or key != self._key:
            from napari_prts.segmentation import load_model
            from napari_prts.segmentation.at_point import PointGrower

            self._grower = PointGrower(slide, load_model(model))
            self._key = key
        return self._grower

    def grow(self, study: StudyState, model: str, row: float, column: float) -> Grown | None:
        """Grow a nucleus at a place, (row, column) in level-0 pixels; see :meth:`get`."""
        return self.get(study.slide, model).grow(row, column, study.nuclei)


def grown_words(grown: Grown | None, replaced: int) -> tuple[str, bool]:
    """Say what came of a click, and whether it is a warning.

    Parameters
    ----------
    grown : Grown or None
        What was grown.
    replaced : int
        How many nuclei it took the place of.

    Returns
    -------
    sentence : str
        Empty if there is nothing that needs to be said.
    warning : bool
        Whether the user should look twice.
    """
    if grown is None:
        return "No nucleus can be grown here: click inside one, or draw it (D).", True
    if grown.faint:
        return (
            "The network sees hardly anything here, so this outline is a guess: check it, and "
            "undo (Z) or reshape it (E) if it is wrong.",
            True,
        )
    if replaced:
        return f"Replaced {replaced} {'nucleus' if replaced == 1 else 'nuclei'} there.", False
    return "", False
