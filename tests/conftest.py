"""Fixtures for all rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides, nuclei and counts beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the test data are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's cache."""
    monkeypatch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def demo_slide_path() -> Path:
    """The real slide that ships with the package (CC0, Aperio SVS, 0.499 um/px)."""
    import napari_prts

    return Path(napari_prts.__file__).parent / "data" / "CMU-1-Small-Region.svs"
