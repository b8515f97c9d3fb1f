"""What is installed, and what importing it costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_prts"
HEAVY = ("torch", "timm", "scanpy", "anndata", "stardist", "napari", "qtpy", "PyQt6")


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh Python has loaded after a statement."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_prts",
        "import napari_prts.cli",
        "import napari_prts.slide, napari_prts.nuclei, napari_prts.segmentation",
        "import napari_prts.features, napari_prts.expression, napari_prts.visium_hd",
        "import napari_prts.analysis",
    ],
)
def test_importing_is_cheap(statement: str) -> None:
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    statement = (
        "import contextlib, napari_prts.cli\n"
        "with contextlib.suppress(SystemExit):\n"
        "    napari_prts.cli.app(['segment', '--help'])"
    )
    assert loaded_by(statement).isdisjoint(HEAVY)


def test_manifest_is_valid_and_its_commands_exist() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    assert manifest.name == "napari-prts"
    manifest.validate_imports()


def test_manifest_at_the_top_is_the_packages_own() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert os.readlink(link) == "src/napari_prts/napari.yaml"


def test_napari_finds_the_plugin() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="napari.manifest", name="napari-prts")
    assert found.value == "napari_prts:napari.yaml"


def test_base_dependencies_leave_the_choice_of_qt_to_the_user(project: dict) -> None:
    base = [requirement.lower() for requirement in project["project"]["dependencies"]]
    names = {re.split(r"[\[<>=!~ ;]", requirement)[0] for requirement in base}
    assert names.isdisjoint({"pyqt5", "pyqt6", "pyside2", "pyside6"})
    assert not [requirement for requirement in base if requirement.startswith("napari[")]


def test_extras_cover_qt_gpu_docs_and_tests(project: dict) -> None:
    assert {"qt", "gpu", "all", "docs", "test"} <= set(project["project"]["optional-dependencies"])


def test_versions_agree(project: dict) -> None:
    import napari_prts

    assert project["project"]["version"] == napari_prts.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel and sdist, built with the build backend that is installed, without a network."""
    pytest.importorskip("hatchling", reason="the build backend is not installed (extra: test)")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def data_files() -> set[str]:
    """What the package needs beside its Python files, relative to the package."""
    data = (path for path in (PACKAGE / "data").rglob("*") if path.is_file())
    return {"napari.yaml", "py.typed", *(str(path.relative_to(PACKAGE)) for path in data)}


def test_wheel_holds_the_data_and_only_the_package(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    assert {f"napari_prts/{name}" for name in data_files()} <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"napari_prts", next(top for top in tops if top.endswith(".dist-info"))}


def test_wheel_ships_a_slide_and_a_nucleus_model(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    assert "napari_prts/data/CMU-1-Small-Region.svs" in names
    assert any(re.fullmatch(r"napari_prts/data/models/he-open/.*\.safetensors", n) for n in names)


def test_wheel_works_where_it_is_installed(built: dict[str, Path], tmp_path: Path) -> None:
    zipfile.ZipFile(built["wheel"]).extractall(tmp_path)
    command = [sys.executable, "-m", "napari_prts", "info"]
    slide = tmp_path / "napari_prts" / "data" / "CMU-1-Small-Region.svs"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*command, str(slide)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["mpp"] == pytest.approx(0.499)


def test_sdist_can_make_the_wheel_and_run_the_tests(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/napari_prts/{name}" for name in data_files()} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "Makefile", "tests/conftest.py"} <= names
