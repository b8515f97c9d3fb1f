"""Where known weights are downloaded from, checked against their SHA-256."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_prts.errors import ModelError
from napari_prts.files import cache_folder


@dataclass(frozen=True)
class ModelSource:
    """A model that can be downloaded.

    Parameters
    ----------
    name : str
        Name by which the user asks for it.
    url : str
        Address of a zip of a Keras StarDist 2D model.
    sha256 : str
        SHA-256 of that zip.
    mpp : float
        Microns per pixel at which to run it.
    licence : str
        Licence of the weights.
    """

    name: str
    url: str
    sha256: str
    mpp: float
    licence: str

    @property
    def path(self) -> Path:
        """Where the download is kept in the user's cache."""
        return cache_folder() / "models" / f"{self.name}.zip"


# Address and SHA-256 as registered in stardist 0.9.2 (stardist/models/__init__.py); scale as
# in QuPath's StarDist scripts, pixelSize(0.5).
VERSATILE_HE = ModelSource(
    name="2D_versatile_he",
    url="https://github.com/stardist/stardist-models/releases/download/v0.1/python_2D_versatile_he.zip",
    sha256="f1696ef0631bd7e1c0e5c0d3017e2b4c6a95e284c6aab9c22fc2f08317817b28",
    mpp=0.5,
    licence="BSD-3-Clause",
)


def download(source: ModelSource) -> Path:
    """Give the local file of a source, downloading it when it is not in the cache.

    Parameters
    ----------
    source : ModelSource
        What to download.

    Returns
    -------
    Path
        File in the user's cache whose SHA-256 is right.

    Raises
    ------
    ModelError
        If there is no connection, the address answers with an error, or the
        checksum is wrong; nothing is kept then.
    """
    import pooch
    import requests

    target = source.path
    try:
        pooch.retrieve(
            source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    except ValueError as error:
        raise ModelError(
            f"What {source.url} gave is not {source.name}: its SHA-256 is wrong. Try again, or "
            "download the model by other means and give its .zip or .h5 as the model's path."
        ) from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise ModelError(
            f"{source.name} could not be downloaded from {source.url} "
            f"({_reason(error)}). Without a connection, give a local file as the model: the path "
            "of the .zip, of its unpacked folder, or of its weights_best.h5."
        ) from error
    return target


def _reason(error: Exception) -> str:
    """One short line, as messages of connections go on for long."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
