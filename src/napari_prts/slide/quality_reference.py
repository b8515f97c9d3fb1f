"""What pictures a model was trained on, and whether a slide is like them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_prts.errors import ModelError, SlideError
from napari_prts.slide.quality import MEASURED_MPP, SlideQuality

# The palest and the darkest fiftieth of the windows is left out: folds, smears, lone cells.
_PERCENTILES = (2.0, 98.0)
# Serial sections of one block differ by as much: it is no reason to warn.
_TOLERANCE = 0.1
# Key in the card of a model.
CARD_KEY = "quality_reference"
# A range for each stain; focus has a lower limit only.
_STAINS = ("haematoxylin", "eosin")


@dataclass(frozen=True)
class QualityReference:
    """Range of stain strength and focus of the pictures that a model was trained on.

    Parameters
    ----------
    haematoxylin, eosin : tuple of float
        Lowest and highest mean optical density over tissue.
    focus : float or None
        Lowest focus, None if it could not be judged.
    mpp : float
        um per pixel at which they were measured.
    """

    haematoxylin: tuple[float, float]
    eosin: tuple[float, float]
    focus: float | None
    mpp: float = MEASURED_MPP

    @classmethod
    def of(cls, qualities: Iterable[SlideQuality]) -> QualityReference:
        """Take the range over all windows of some slides or tiles.

        The palest and darkest 2 % of the windows are left out.

        Raises
        ------
        SlideError
            If there is no stained tissue in any of them.
        """
        qualities = list(qualities)
        regions = [region for quality in qualities for region in quality.regions]
        stained = [r for r in regions if r.haematoxylin is not None and r.eosin is not None]
        if not stained:
            raise SlideError(
                "There is no stained tissue to take a reference from: check the training slides."
            )
        ranges = {name: _range([getattr(region, name) for region in stained]) for name in _STAINS}
        focus = [region.focus for region in regions if region.focus is not None]
        lowest = round(float(np.percentile(focus, _PERCENTILES[0])), 4) if focus else None
        return cls(focus=lowest, mpp=qualities[0].mpp, **ranges)

    def widened(self, amount: float) -> QualityReference:
        """Return wider ranges of stain, as training on varied stain makes them.

        Parameters
        ----------
        amount : float
            Relative change: 0.3 for stains made up to 30 % weaker or stronger.
        """

        def wider(limits: tuple[float, float]) -> tuple[float, float]:
            return round(limits[0] * (1 - amount), 4), round(limits[1] * (1 + amount), 4)

        return replace(self, haematoxylin=wider(self.haematoxylin), eosin=wider(self.eosin))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self)
        return {**values, **{name: list(values[name]) for name in _STAINS}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QualityReference:
        """Read what :meth:`as_dict` gives.

        Raises
        ------
        ModelError
            If something is missing or no number.
        """
        try:
            ranges = {name: (float(values[name][0]), float(values[name][1])) for name in _STAINS}
            focus = None if values["focus"] is None else float(values["focus"])
            return cls(focus=focus, mpp=float(values["mpp"]), **ranges)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError(
                f"The model's quality reference cannot be read ({error!r}): the model is damaged. "
                "Copy or train it again."
            ) from error

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> QualityReference | None:
        """Read the reference in a model's card, None if the model has none.

        Raises
        ------
        ModelError
            If it is damaged.
        """
        values = card.get(CARD_KEY)
        if values is None:
            return None
        if not isinstance(values, Mapping):
            raise ModelError("The model's quality reference is no table: the model is damaged.")
        return cls.from_dict(values)

    def record(self, quality: SlideQuality) -> dict[str, Any]:
        """Describe a slide's quality for a file of results made with the model.

        Returns
        -------
        dict
            ``warnings`` (list of str, as :meth:`compare` says them), ``focus_word``, and
            ``focus``, ``haematoxylin``, ``eosin`` where they could be measured.
        """
        measured = {name: getattr(quality, name) for name in ("focus", *_STAINS)}
        return {
            "warnings": list(self.compare(quality)),
            "focus_word": quality.focus_word,
            **{name: round(value, 4) for name, value in measured.items() if value is not None},
        }

    def compare(self, quality: SlideQuality) -> tuple[str, ...]:
        """Say in sentences how a slide differs from what the model knows; empty when fine."""
        said = [self._stain(name, getattr(quality, name)) for name in _STAINS]
        return tuple(sentence for sentence in (*said, self._focus(quality)) if sentence)

    def _stain(self, name: str, strength: float | None) -> str:
        low, high = self.haematoxylin if name == "haematoxylin" else self.eosin
        if strength is None or low * (1 - _TOLERANCE) <= strength <= high * (1 + _TOLERANCE):
            return ""
        paler = "paler" if strength < low else "darker"
        return (
            f"The {name} of this slide ({strength:.2f}) is {paler} than anything the model was "
            f"trained on ({low:.2f} to {high:.2f}): predictions may be unreliable here."
        )

    def _focus(self, quality: SlideQuality) -> str:
        if self.focus is None or quality.focus is None:
            return ""
        if quality.focus >= self.focus * (1 - _TOLERANCE):
            return ""
        return (
            f"The focus of this slide ({quality.focus:.2f}, {quality.focus_word}) is below that of "
            f"anything the model was trained on ({self.focus:.2f} or more): predictions may be "
            "unreliable here."
        )


def _range(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES)
    return round(float(low), 4), round(float(high), 4)
