"""Weights at known addresses, checked against a hash where one is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_prts.errors import ModelError
from napari_prts.features.licences import Consent, LicenceNotice, require_consent
from napari_prts.files import cache_folder


@dataclass(frozen=True)
class WeightsSource:
    """A file of weights that can be downloaded.

    Parameters
    ----------
    name : str
        Name of the encoder.
    urls : tuple of str
        Addresses of the same file, tried in this order.
    filename : str
        Its name in the cache.
    sha256 : str or None
        SHA-256 of the file, if known.
    size : int
        Bytes of the file; 0 if unknown.
    licence : str
        Licence of the weights.
    page : str
        Page where a person can read about them.
    """

    name: str
    urls: tuple[str, ...]
    filename: str
    sha256: str | None
    size: int
    licence: str
    page: str

    @property
    def notice(self) -> LicenceNotice:
        """What to show before the download."""
        return LicenceNotice(self.name, self.licence, self.page, self.size)


# SHA-256 and size are those of the Git LFS pointer in the repository. Its LICENSE file and the
# last line of its README disagree, so both are named. The second address is a public copy; the
# hash decides whether it is the same file.
HIPT_VIT256 = WeightsSource(
    name="hipt-vit256",
    urls=(
        "https://media.githubusercontent.com/media/mahmoodlab/HIPT/master/HIPT_4K/Checkpoints/"
        "vit256_small_dino.pth",
        "https://huggingface.co/lanyu1/dcpbst-image-pth/resolve/main/vit256_small_dino.pth",
    ),
    filename="vit256_small_dino.pth",
    sha256="6960cd5a8657dc8bb214671aa0c6dbd3f5b698e84386884955836487ddc89e24",
    size=704_238_867,
    licence="Apache-2.0 with Commons Clause (LICENSE of HIPT; its README says GPL-3.0 and "
    "non-commercial academic use)",
    page="https://github.com/mahmoodlab/HIPT",
)


def models_folder() -> Path:
    """Folder where weights are looked for and downloaded to."""
    return cache_folder() / "models"


def find_weights(source: WeightsSource) -> Path | None:
    """Find the file of a source, or the same weights as safetensors, in the cache."""
    path = models_folder() / source.filename
    for candidate in (path, path.with_suffix(".safetensors")):
        if candidate.is_file():
            return candidate
    return None


def fetch(source: WeightsSource, consent: Consent = False) -> Path:
    """Give the local file of a source, downloading it when it is not in the cache.

    Parameters
    ----------
    source : WeightsSource
        What is wanted.
    consent : bool or callable
        Whether the licence is accepted; asked only before a download.

    Returns
    -------
    Path
        File in the cache. A file that the user put there is taken as it is; a
        download has the right hash, or is not kept.

    Raises
    ------
    ModelError
        If there is no consent, no connection, or every address gave something else.
    """
    if (found := find_weights(source)) is not None:
        return found
    by_hand = f"download {source.filename} yourself and put it into {models_folder()}."
    require_consent(source.notice, consent, by_hand)
    failures = []
    for url in source.urls:
        try:
            return _download(url, source)
        except ValueError:
            failures.append(f"{url}: not the expected file, its SHA-256 differs")
        except OSError as error:  # requests' errors and pooch's time-outs are OSErrors
            failures.append(f"{url}: {brief(error)}")
    raise ModelError(
        f"{source.name} could not be downloaded ({'; '.join(failures)}). Check the connection, "
        f"or {by_hand}"
    )


def brief(error: Exception) -> str:
    """One short line, as messages of connections go on for long."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:120]}" if lines else type(error).__name__


def _download(url: str, source: WeightsSource) -> Path:
    import pooch

    # It tells each step on stderr, where commands write nothing but one line that helps.
    pooch.get_logger().setLevel("WARNING")
    return Path(
        pooch.retrieve(
            url,
            known_hash=f"sha256:{source.sha256}" if source.sha256 else None,
            fname=source.filename,
            path=models_folder(),
            downloader=pooch.HTTPDownloader(timeout=30),
        )
    )
