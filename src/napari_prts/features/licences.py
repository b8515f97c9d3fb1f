"""Nobody else's weights are downloaded before their licence was shown and agreed to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_prts.errors import ModelError


@dataclass(frozen=True)
class LicenceNotice:
    """What a user must know before weights are downloaded.

    Parameters
    ----------
    name : str
        Name of the encoder.
    licence : str
        Licence of its weights.
    address : str
        Page where the weights and their licence can be read.
    size : int
        Bytes to download; 0 if unknown.
    """

    name: str
    licence: str
    address: str
    size: int = 0

    def __str__(self) -> str:
        size = f", {self.size / 1e6:,.0f} MB" if self.size else ""
        return f"{self.name} ({self.licence}{size}, {self.address})"


Consent = bool | Callable[[LicenceNotice], bool]


def require_consent(notice: LicenceNotice, consent: Consent, by_hand: str) -> None:
    """Go on only if the licence is accepted.

    Parameters
    ----------
    notice : LicenceNotice
        What is shown.
    consent : bool or callable
        True, or a function that asks the user.
    by_hand : str
        What to do instead of a download, one sentence.

    Raises
    ------
    ModelError
        If it is not accepted; nothing was downloaded then.
    """
    accepted = consent(notice) if callable(consent) else consent
    if not accepted:
        raise ModelError(
            f"The weights of {notice.name} are not on this computer, and are downloaded only "
            f"once their licence is accepted: {notice.licence}, see {notice.address}. Accept it "
            f"(accept_licence=True), or {by_hand}"
        )
