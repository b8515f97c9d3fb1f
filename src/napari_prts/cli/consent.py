"""Other people's weights are downloaded only once the user has agreed to their licence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from napari_prts.errors import ModelError

if TYPE_CHECKING:
    from napari_prts.features import LicenceNotice

AcceptLicenceOption = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        help="Agree to the licence of the encoder's weights, so that they may be downloaded.",
    ),
]


def fetch_encoder(encoder: str, accepted: bool) -> None:
    """Make sure that an encoder and its weights are here before any other work.

    On a terminal the user is asked; elsewhere ``--accept-licence`` must be given.

    Parameters
    ----------
    encoder : str
        Name or path of the encoder.
    accepted : bool
        Whether the user has agreed already.

    Raises
    ------
    ModelError
        If there is no such encoder, or its licence is not agreed to.
    """
    from napari_prts.features import load_encoder

    def ask(notice: LicenceNotice) -> bool:
        if accepted:
            return True
        if sys.stdin.isatty() and sys.stderr.isatty():
            return typer.confirm(f"Download {notice}? Do you agree to its licence", err=True)
        raise ModelError(
            f"The weights of {notice} are not on this computer: read their licence and give "
            "--accept-licence to download them."
        )

    load_encoder(encoder, accept_licence=ask)
