"""Nothing lost: hand corrections are kept beside the cache as they happen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import NucleiError
from napari_prts.files import cache_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_prts.nuclei import Nuclei
    from napari_prts.slide import Slide


@dataclass(frozen=True)
class Autosave:
    """The automatically saved nuclei of one slide.

    Parameters
    ----------
    path : Path
        GeoJSON file in the user's cache, named by the slide's fingerprint.
    """

    path: Path

    @classmethod
    def of(cls, slide: Slide) -> Autosave:
        """Name the place for a slide's nuclei."""
        return cls(cache_folder() / "nuclei" / f"{slide.fingerprint}.geojson")

    @property
    def saved_at(self) -> datetime | None:
        """When nuclei were last saved (UTC), or None if there are none."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def write(self, nuclei: Nuclei, provenance: Mapping[str, Any]) -> None:
        """Save nuclei; none at all removes the file. Safe to call from a thread."""
        from napari_prts.nuclei import write_geojson

        if not len(nuclei):
            self.path.unlink(missing_ok=True)
            return
        write_geojson(nuclei, self.path, dict(provenance))

    def read(self, slide: Slide) -> tuple[Nuclei, dict[str, Any]]:
        """Read the saved nuclei and their provenance.

        Raises
        ------
        NucleiError
            If nothing is saved or the file is damaged.
        """
        from napari_prts.nuclei import read_geojson
        from napari_prts.nuclei.geojson import read_provenance

        try:
            return read_geojson(self.path, slide.shape), read_provenance(self.path)
        except (OSError, json.JSONDecodeError) as error:
            raise NucleiError(f"No saved nuclei can be read from {self.path}: {error}") from error
