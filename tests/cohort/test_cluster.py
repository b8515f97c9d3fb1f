"""Many slides on a dask.distributed cluster, of which a worker dies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from napari_prts.cohort import BatchRequest, ClusterPlace, SlideEntry, SlideOutcome, run_batch
from napari_prts.cohort.outcome import StepProgress
from napari_prts.errors import PrtsError
from napari_prts.jobs import Progress, run
from tests.cohort.conftest import Cohort
from tests.cohort.running import slide_processes, started, wait_until

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three workers, each a process of its own that is started again if it dies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_PRTS_CACHE", str(tmp_path_factory.mktemp("workers")))
        with workers(3) as cluster:
            yield cluster


def workers(count: int) -> Any:
    return distributed.LocalCluster(
        n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0"
    )


def do(
    request: BatchRequest, address: str, report: Callable[[Progress], None] | None = None
) -> dict[str, SlideOutcome]:
    place = lambda: ClusterPlace(address, Path(request.settings.model), request.output)  # noqa: E731
    return {outcome.name: outcome for outcome in run(run_batch(request, place), report)}


def test_a_worker_that_is_killed_midway_stops_no_slide(
    cohort: Cohort, tmp_path: Path, cluster: Any
) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_text("not a slide")
    killed: list[int] = []

    def begun() -> int:
        logs = [tmp_path / "out" / name / "log.txt" for name in ("a", "b", "broken")]
        return sum(log.read_text().count(" begins ") for log in logs if log.is_file())

    def kill_one(progress: Progress) -> None:
        if isinstance(progress.partial, StepProgress) and not killed and begun() == 3:
            # A worker that has begun a slide, and with it the process that does it.
            worker = slide_processes()[0].parent()
            assert worker is not None
            killed.append(worker.pid)
            worker.send_signal(signal.SIGKILL)

    entries = [cohort.entry(name) for name in "ab"]
    entries.append(SlideEntry(str(broken), "broken"))
    request = cohort.request(tmp_path / "out", *entries)
    outcomes = do(request, cluster.scheduler_address, kill_one)
    assert killed
    assert not psutil.pid_exists(killed[0])
    assert {name: outcome.status for name, outcome in outcomes.items()} == {
        **dict.fromkeys("ab", "done"),
        "broken": "failed",
    }
    for folder in (tmp_path / "out" / name for name in "ab"):
        assert (folder / "done.json").is_file()
        assert not list(folder.glob(".*"))
    # The slide of the worker that died, and only that, was begun again by another.
    assert begun() == 4


def test_a_slide_that_workers_die_of_has_failed(cohort: Cohort, tmp_path: Path) -> None:
    def kill_all(progress: Progress) -> None:
        for process in slide_processes():
            worker = process.parent()
            assert worker is not None
            worker.send_signal(signal.SIGKILL)

    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), workers(1) as cluster:
        outcome = do(cohort.request(tmp_path, "a"), cluster.scheduler_address, kill_all)["a"]
    assert outcome.status == "failed"
    assert "workers that were doing this slide have died" in outcome.error


def test_closing_ends_what_the_workers_are_doing(
    cohort: Cohort, tmp_path: Path, cluster: Any
) -> None:
    request = cohort.request(tmp_path, "a")
    address = cluster.scheduler_address
    job = run_batch(request, lambda: ClusterPlace(address, request.output))
    with closing(job):
        while not isinstance(next(job).partial, StepProgress):
            pass
        assert slide_processes()
    _, alive = psutil.wait_procs(slide_processes(), timeout=60)
    assert not alive
    assert not (tmp_path / "a" / "done.json").exists()


def test_workers_stop_when_the_batch_is_killed(
    cohort: Cohort, tmp_path: Path, cluster: Any
) -> None:
    out, table = tmp_path / "out", tmp_path / "cohort.csv"
    table.write_text(f"slide,nuclei\n{cohort.slide('a')},{cohort.nuclei}\n")
    where = ("-o", out, "--scheduler", cluster.scheduler_address)
    with started("batch", table, "--model", cohort.settings.model, *where) as batch:
        wait_until((out / "a" / "steps.json").exists)
        batch.kill()
    _, alive = psutil.wait_procs(slide_processes(), timeout=60)
    assert not alive
    assert not (out / "a" / "done.json").exists()


def test_workers_must_see_the_same_files(tmp_path: Path, cluster: Any) -> None:
    with pytest.raises(PrtsError, match=r"Worker tcp://.* does not see .*elsewhere"):
        ClusterPlace(cluster.scheduler_address, tmp_path / "elsewhere")


def test_a_cluster_without_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_prts.cohort.cluster_place._ANSWER_WITHIN_S", 1.0)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(PrtsError, match="has no workers"),
    ):
        ClusterPlace(empty.scheduler_address)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_prts.cohort.cluster_place._ANSWER_WITHIN_S", 1.0)
    with pytest.raises(PrtsError, match=r"No dask scheduler answers at tcp://127\.0\.0\.1:9"):
        ClusterPlace("tcp://127.0.0.1:9")


def test_without_distributed_the_user_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PrtsError, match=r'pip install "napari-prts\[cluster\]"'):
        ClusterPlace("tcp://127.0.0.1:9")
