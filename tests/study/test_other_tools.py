"""What we write, other tools read: scanpy, squidpy, SpatialData; each is really asked.

squidpy and spatialdata want other versions of dask than the newest, so that they are no part of
the test extra: install ``napari-prts[interop]`` into an environment of its own and run this file
there. Without them their tests are skipped, those of scanpy are not.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from napari_prts.errors import MissingPixelSizeError, NucleiError, PrtsError
from napari_prts.h5ad import plain, write_h5ad
from napari_prts.jobs import run
from napari_prts.nuclei import Nuclei
from napari_prts.slide import Slide
from napari_prts.study import Study
from napari_prts.study.dask_progress import computing
from napari_prts.study.other_tools import for_other_tools, kind_of, library_of
from napari_prts.study.session_parts import SessionParts
from napari_prts.study.spatialdata_export import write_spatialdata
from tests.study.saved_studies import GENES, full_study

pytestmark = pytest.mark.filterwarnings("ignore")
needs_spatialdata = pytest.mark.skipif(
    find_spec("spatialdata") is None, reason="spatialdata is not installed (napari-prts[interop])"
)


@pytest.fixture
def study(tissue_slide: Slide, tissue_nuclei: Nuclei) -> Study:
    return full_study(tissue_slide, tissue_nuclei, simulated=True)


@pytest.fixture
def written(study: Study, tmp_path: Path) -> dict[str, Path]:
    """The .h5ad of each side."""
    return {
        side: write_h5ad(
            for_other_tools(study.expression(side), study.slide, study.clusters.get(side)),
            tmp_path / f"{side}.h5ad",
        )
        for side in ("predicted", "measured")
    }


@pytest.fixture
def pyplot() -> Any:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


# .h5ad


def test_tables_hold_what_other_tools_look_for(study: Study, written: dict[str, Path]) -> None:
    table = anndata.read_h5ad(written["predicted"])
    assert table.var_names.is_unique
    assert table.obs_names.is_unique
    np.testing.assert_allclose(table.obsm["spatial"], study.nuclei.centroids[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(table.obsm["X_spatial"][:, 1], -table.obsm["spatial"][:, 1] * 0.499)
    assert table.obs["leiden"].dtype == "category"
    assert list(table.uns["leiden_colors"]) == ["#1f77b4", "#ff7f0e", "#279e68"]
    assert table.obsm["X_umap"].shape == (table.n_obs, 2)
    assert "predicted" in table.uns["title"]
    library = table.uns["spatial"]["skin"]
    factor = library["scalefactors"]["tissue_hires_scalef"]
    picture = library["images"]["hires"]
    assert picture.shape == (700, 900, 3)
    assert factor == pytest.approx(picture.shape[0] / study.slide.shape[0])
    small = library["images"]["lowres"]
    assert max(small.shape) == 600
    assert library["scalefactors"]["tissue_lowres_scalef"] == pytest.approx(600 / 900, rel=1e-6)


def test_counts_are_kept_where_there_are_counts(written: dict[str, Path]) -> None:
    measured = anndata.read_h5ad(written["measured"])
    assert (measured.layers["counts"] != measured.X).nnz == 0
    assert "simulated" in measured.uns["title"]
    assert "counts" not in anndata.read_h5ad(written["predicted"]).layers


def test_the_studys_own_tables_are_left_alone(study: Study, written: dict[str, Path]) -> None:
    for side in ("predicted", "measured"):
        assert "spatial" not in study.expression(side).uns
        assert "leiden" not in study.expression(side).obs


def test_what_not_every_reader_reads_is_made_plain(study: Study, tmp_path: Path) -> None:
    table = study.clusters["predicted"]
    table.uns["odd"] = {"none": None, "pair": (1, 2), 3: {"words": ("a", None, "b")}}
    write_h5ad(table, tmp_path / "odd.h5ad")
    again = anndata.read_h5ad(tmp_path / "odd.h5ad").uns
    assert list(again["odd"]["pair"]) == [1, 2]
    assert list(again["odd"]["3"]["words"]) == ["a", "b"]
    assert "none" not in again["odd"]
    assert "seed" not in again["leiden"]["params"]
    assert table.uns["odd"]["none"] is None
    assert plain((1, (2, None))) == [1, [2]]


def test_a_slide_without_a_pixel_size_is_no_obstacle(study: Study) -> None:
    slide = Slide.from_array(np.asarray(study.slide.levels[0]), name="no size, 40x?.tif")
    made = for_other_tools(study.expression("predicted"), slide)
    assert library_of(slide) == "no_size_40x_.tif"
    factors = made.uns["spatial"][library_of(slide)]["scalefactors"]
    assert "microns_per_pixel" not in factors
    assert made.uns["spatial"][library_of(slide)]["images"]["lowres"].shape == (466, 600, 3)


def test_scanpy_draws_cells_on_the_slide_and_on_the_umap(
    written: dict[str, Path], pyplot: Any
) -> None:
    import scanpy as sc

    table = sc.read_h5ad(written["predicted"])
    axes = sc.pl.spatial(table, color="KRT5", show=False)
    assert axes[0].get_title() == "KRT5"
    assert len(axes[0].images) == 1
    axes = sc.pl.umap(table, color="leiden", show=False)
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"0", "1", "tumour"}


def test_squidpy_draws_cells_and_counts_neighbours(written: dict[str, Path], pyplot: Any) -> None:
    squidpy = pytest.importorskip("squidpy", reason="squidpy is not installed")
    import scanpy as sc

    for side in ("predicted", "measured"):
        table = sc.read_h5ad(written[side])
        axes = squidpy.pl.spatial_scatter(table, color="EPCAM", return_ax=True)
        assert len(axes.images) == 1
        # The circles lie on their cells: in pixels of the picture.
        drawn = axes.collections[0].get_paths() if axes.collections else []
        assert len(drawn) == table.n_obs
    table = sc.read_h5ad(written["predicted"])
    squidpy.gr.spatial_neighbors(table, coord_type="generic")
    squidpy.gr.nhood_enrichment(table, cluster_key="leiden", show_progress_bar=False)
    assert table.uns["leiden_nhood_enrichment"]["zscore"].shape == (3, 3)


# SpatialData


def test_without_the_package_the_extra_is_named(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_prts.study.spatialdata_export.spatialdata_there", lambda: False)
    with pytest.raises(PrtsError, match=r"napari-prts\[spatialdata\]"):
        run(write_spatialdata(SessionParts.of(study), tmp_path / "a.zarr"))


@needs_spatialdata
def test_spatialdata_holds_slide_nuclei_and_tables(
    demo_slide: Slide, tissue_nuclei: Nuclei, tmp_path: Path
) -> None:
    import spatialdata

    study = full_study(demo_slide, tissue_nuclei, simulated=True)
    study.edit(removed=study.nuclei.ids[:2].tolist())
    path = run(write_spatialdata(SessionParts.of(study), tmp_path / "a.zarr"))
    data = spatialdata.read_zarr(path)
    assert data.coordinate_systems == ["um"]
    assert set(data.tables) == {"predicted", "simulated"}
    level = data["he"]["scale0"]["image"]
    np.testing.assert_array_equal(
        level.data.compute(), np.moveaxis(np.asarray(study.slide.levels[0]), 2, 0)
    )
    extent = spatialdata.get_extent(data["he"], coordinate_system="um")
    np.testing.assert_allclose(extent["x"], (0, 2220 * 0.499))
    assert len(data["he"].children) == len(study.slide.levels) == 3
    shapes = data["nuclei"]
    assert list(shapes.index) == study.nuclei.ids.tolist()
    # The pixel's middle is (0, 0) with us, its corner there.
    np.testing.assert_allclose(
        np.asarray(shapes.geometry.iloc[0].exterior.coords)[:-1, ::-1] - 0.5,
        study.nuclei.polygon(0),
        atol=1e-3,
    )
    for name in data.tables:
        table = data[name]
        assert set(table.obs["id"]) <= set(shapes.index)
        assert list(table.var_names) == list(GENES)
        joined, _ = spatialdata.join_spatialelement_table(
            data, "nuclei", table_name=name, how="inner"
        )
        assert len(joined["nuclei"]) == table.n_obs
    assert list(data["predicted"].uns["leiden_colors"]) == ["#1f77b4", "#ff7f0e", "#279e68"]
    assert data.attrs["napari-prts"]["slide_fingerprint"] == study.slide.fingerprint


@needs_spatialdata
def test_spatialdata_is_whole_or_not_there(study: Study, tmp_path: Path) -> None:
    job = write_spatialdata(SessionParts.of(study), tmp_path / "a.zarr")
    next(job)
    next(job)
    job.close()
    assert not list(tmp_path.iterdir())


@needs_spatialdata
def test_spatialdata_is_refused_where_it_cannot_be(study: Study, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    parts = SessionParts.of(study)
    with pytest.raises(PrtsError, match="holds other things"):
        run(write_spatialdata(parts, tmp_path))
    with pytest.raises(PrtsError, match="is a file"):
        run(write_spatialdata(parts, tmp_path / "letter.txt"))
    with pytest.raises(NucleiError, match="find nuclei first"):
        run(write_spatialdata(SessionParts(study.slide), tmp_path / "a.zarr"))
    bare = Slide.from_array(np.asarray(study.slide.levels[0]))
    with pytest.raises(MissingPixelSizeError):
        run(write_spatialdata(SessionParts(bare, study.nuclei), tmp_path / "a.zarr"))


# In a process of its own, which ends at once: its window does not live to be closed.
SHOW = """
import os, sys, time
import napari_spatialdata, spatialdata
shown = napari_spatialdata.Interactive(spatialdata.read_zarr(sys.argv[1]), headless=True)
from qtpy.QtWidgets import QApplication
for name in ("he", "nuclei"):
    shown.add_element(name, "um")
    while name not in [layer.name for layer in shown._viewer.layers]:
        QApplication.processEvents()
        time.sleep(0.005)
for layer in shown._viewer.layers:
    print(layer.name, layer.extent.world[1].tolist(), flush=True)
os._exit(0)
"""


@needs_spatialdata
def test_napari_spatialdata_opens_it(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("napari_spatialdata", reason="napari-spatialdata is not installed")
    path = run(write_spatialdata(SessionParts.of(study), tmp_path / "a.zarr"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHOW, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert sorted(line.split()[0] for line in lines if line[:2] in ("he", "nu")) == ["he", "nuclei"]


# Progress


def test_a_computation_of_dask_tells_how_far_it_is_and_can_be_stopped() -> None:
    import threading

    import dask
    import dask.array as da

    go_on = threading.Event()
    done: list[int] = []

    @dask.delayed
    def step(number: int) -> int:
        # The first one is through at once.
        if done:
            go_on.wait(10)
        done.append(number)
        return number

    job = computing(lambda: dask.compute(*[step(n) for n in range(40)], num_workers=1), "steps")
    while next(job).done < 1:
        pass
    assert next(job).total == 40
    # Closing waits for the step that runs: it is let go a moment later.
    threading.Timer(0.3, go_on.set).start()
    job.close()
    assert len(done) < 40
    results: list[Any] = []
    run(computing(lambda: results.append(da.arange(10, chunks=2).sum().compute()), "steps"))
    assert results == [45]
    with pytest.raises(ZeroDivisionError):
        run(computing(lambda: 1 // 0, "steps"))


def test_kinds_are_told_apart(study: Study) -> None:
    assert kind_of(study.expression("predicted")) == "predicted"
    assert kind_of(study.expression("measured")) == "simulated"
