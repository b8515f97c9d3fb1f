"""Jobs beside the window: one after the other, paused, resumed, cancelled, and how it is shown."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from napari.utils import progress
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QLabel

from napari_prts.errors import ModelError
from napari_prts.jobs import Job, Progress
from napari_prts.widgets import Workspace, open_workspace
from napari_prts.widgets._job_line import JobLine, duration
from napari_prts.widgets._jobs import JobRunner, Task
from napari_prts.widgets._pace import Pace
from napari_prts.widgets._triton import _mesa_has_llvm as mesa_has_llvm
from napari_prts.widgets._triton import without_triton


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told in notifications."""
    said: list[str] = []
    monkeypatch.setattr("napari_prts.widgets._jobs.show_error", said.append)
    return said


@pytest.fixture
def runner(qapp: object, told: list[str]) -> Iterator[JobRunner]:
    runner = JobRunner()
    yield runner
    runner.shut_down()


@pytest.fixture
def line(runner: JobRunner, qtbot: QtBot) -> JobLine:
    line = JobLine(runner, "count")
    qtbot.addWidget(line)
    return line


class Counting:
    """A job that counts, and that the test can look at while it runs."""

    def __init__(self, title: str = "Counting", tag: str = "count", steps: int = 1000) -> None:
        self.steps = steps
        self.made = 0
        self.closed = threading.Event()
        self.results: list[int] = []
        self.outcomes: list[str] = []
        self.task = Task(tag, title, self.job, self.results.append, over=self.outcomes.append)

    def job(self) -> Job[int]:
        try:
            while self.made < self.steps:
                self.made += 1
                yield Progress(self.made, self.steps, "cells", "as a test")
                threading.Event().wait(0.002)
            return self.made
        finally:
            self.closed.set()


def settle(qtbot: QtBot, get: Callable[[], int]) -> int:
    """Wait until a count stands still."""
    before = -1
    while before != get():
        before = get()
        qtbot.wait(60)
    return before


def idle(qtbot: QtBot, runner: JobRunner) -> None:
    qtbot.waitUntil(lambda: runner.running is None, timeout=20_000)


def test_a_paused_job_takes_no_step_until_it_is_resumed(
    runner: JobRunner, line: JobLine, qtbot: QtBot
) -> None:
    job = Counting(steps=150)
    line.show()
    runner.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 10 and line.pause.isVisible())
    qtbot.mouseClick(line.pause, Qt.MouseButton.LeftButton)
    at = settle(qtbot, lambda: job.made)
    assert at < 150
    assert runner.held("count")
    assert runner.busy("count")
    assert line.pause.text() == "Resume"
    words = f"Counting: paused at {at} of 150 cells. as a test"
    qtbot.waitUntil(lambda: line.label.text() == words)

    qtbot.mouseClick(line.pause, Qt.MouseButton.LeftButton)
    assert line.pause.text() == "Pause"
    idle(qtbot, runner)
    assert job.results == [150]
    assert job.outcomes == ["done"]
    assert line.isHidden()


def test_a_paused_job_is_cancelled_at_once(runner: JobRunner, line: JobLine, qtbot: QtBot) -> None:
    job = Counting()
    line.show()
    runner.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 10)
    runner.pause("count")
    at = settle(qtbot, lambda: job.made)
    qtbot.mouseClick(line.cancel, Qt.MouseButton.LeftButton)
    idle(qtbot, runner)
    assert (job.made, job.results, job.outcomes) == (at, [], ["cancelled"])
    assert job.closed.is_set()


def test_minds_changed_quicker_than_the_thread_hears(runner: JobRunner, qtbot: QtBot) -> None:
    job = Counting(steps=300)
    runner.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 10)
    for _ in range(5):
        runner.pause("count")
        runner.resume("count")
    idle(qtbot, runner)
    assert job.results == [300]

    job = Counting()
    runner.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 10)
    for _ in range(5):
        runner.pause("count")
        qtbot.wait(15)
        runner.resume("count")
        runner.pause("count")
    at = settle(qtbot, lambda: job.made)
    qtbot.wait(100)
    assert job.made == at < 1000


def test_pause_and_cancel_by_the_keyboard(runner: JobRunner, line: JobLine, qtbot: QtBot) -> None:
    job = Counting()
    line.show()
    runner.submit(job.task)
    qtbot.waitUntil(line.pause.isVisible)
    line.pause.setFocus()
    assert line.nextInFocusChain() is not None
    qtbot.keyClick(line.pause, Qt.Key.Key_Space)
    assert runner.held("count")
    qtbot.keyClick(line.cancel, Qt.Key.Key_Space)
    idle(qtbot, runner)
    assert job.outcomes == ["cancelled"]
    for button in (line.pause, line.cancel):
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert button.toolTip()


def test_others_overtake_a_paused_job(runner: JobRunner, line: JobLine, qtbot: QtBot) -> None:
    long, short = Counting(), Counting("Other work", "other", steps=100)
    line.show()
    runner.submit(long.task)
    qtbot.waitUntil(lambda: long.made > 10)
    runner.submit(short.task)
    assert runner.running is long.task, "jobs never fight"
    runner.pause("count")
    assert runner.running is short.task
    # Resumed before the other is done, it must wait for it.
    runner.resume("count")
    assert line.label.text() == "Counting: waits for “Other work”"
    at = settle(qtbot, lambda: long.made)
    qtbot.waitUntil(lambda: short.results == [100])
    qtbot.waitUntil(lambda: long.made > at)
    runner.cancel("count")
    idle(qtbot, runner)


def test_overtaken_it_is_still_paused_afterwards(
    runner: JobRunner, line: JobLine, qtbot: QtBot
) -> None:
    # As many as Qt has threads: a sleeping one must leave its own to others.
    paused = [
        Counting("Counting", "count" if n == 0 else f"count {n}")
        for n in range(QThreadPool.globalInstance().maxThreadCount())
    ]
    line.show()
    for job in paused:
        runner.submit(job.task)
        qtbot.waitUntil(lambda job=job: job.made > 5)
        runner.pause(job.task.tag)
    short = Counting("Other work", "other", steps=20)
    runner.submit(short.task)
    qtbot.waitUntil(lambda: short.results == [20])
    assert all(runner.held(job.task.tag) for job in paused)
    assert line.pause.text() == "Resume"
    for job in paused:
        runner.cancel(job.task.tag)
    idle(qtbot, runner)
    assert all(job.outcomes == ["cancelled"] for job in paused)


def test_a_job_that_waits_says_so_and_can_be_withdrawn(
    runner: JobRunner, line: JobLine, qtbot: QtBot
) -> None:
    first, second = Counting("Other work", "other"), Counting()
    line.show()
    runner.submit(first.task)
    runner.submit(second.task)
    assert line.label.text() == "Counting: waits for “Other work”"
    qtbot.mouseClick(line.cancel, Qt.MouseButton.LeftButton)
    assert line.isHidden()
    assert second.outcomes == ["cancelled"]
    runner.cancel("other")
    idle(qtbot, runner)
    assert second.made == 0


def test_one_task_takes_the_place_of_another(runner: JobRunner, qtbot: QtBot) -> None:
    first, waits, second = Counting(), Counting("Other", "other", steps=5), Counting(steps=5)
    runner.submit(first.task)
    qtbot.waitUntil(lambda: first.made > 5)
    runner.submit(waits.task)
    ended: list[str] = []
    runner.ended.connect(lambda tag, outcome: ended.append(f"{tag} {outcome}"))
    runner.withdraw(first.task)
    runner.submit(second.task, first=True)
    idle(qtbot, runner)
    assert ended == ["count cancelled", "count done", "other done"]


def test_closing_while_paused_ends_the_thread(runner: JobRunner, qtbot: QtBot) -> None:
    job = Counting()
    runner.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 5)
    runner.pause("count")
    settle(qtbot, lambda: job.made)
    runner.shut_down()
    assert job.closed.is_set()


def test_closing_the_window_ends_a_paused_job(
    make_napari_viewer: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    workspace = open_workspace(viewer)
    job = Counting(tag="predict")
    workspace.session.jobs.submit(job.task)
    qtbot.waitUntil(lambda: job.made > 5)
    workspace.session.jobs.pause("predict")
    settle(qtbot, lambda: job.made)
    viewer.close()
    qtbot.waitUntil(job.closed.is_set)


def test_a_job_that_fails_is_told_and_over(
    runner: JobRunner, told: list[str], qtbot: QtBot
) -> None:
    def failing(error: Exception) -> Callable[[], Job[None]]:
        def job() -> Job[None]:
            yield Progress(0, 2, "cells")
            raise error

        return job

    outcomes: list[str] = []
    # torch's own errors are RuntimeErrors, out of memory among them.
    for error in (ModelError("No weights."), RuntimeError("out of memory"), KeyError("x")):
        runner.submit(Task("count", "Failing", failing(error), print, over=outcomes.append))
        idle(qtbot, runner)
    assert outcomes == ["failed"] * 3
    assert told[0] == "No weights."
    assert "RuntimeError: out of memory" in told[1]

    quiet: list[str] = []
    error = ModelError("Not told.")
    runner.submit(Task("count", "Failing", failing(error), print, failed=quiet.append))
    idle(qtbot, runner)
    assert quiet == ["Not told."]
    assert len(told) == 3


def test_no_pause_where_there_is_nothing_to_pause(
    runner: JobRunner, line: JobLine, qtbot: QtBot
) -> None:
    line.show()
    single, whole = Counting(steps=1), Counting(steps=100)
    not_pausable = Task("count", "Whole", whole.job, whole.results.append, pausable=False)
    for task in (single.task, not_pausable):
        runner.submit(task)
        shown: list[bool] = []
        runner.progressed.connect(lambda *_, shown=shown: shown.append(line.pause.isVisible()))
        idle(qtbot, runner)
        assert shown
        assert not any(shown)


def test_a_job_ended_in_its_own_way_is_not_left_paused(
    runner: JobRunner, line: JobLine, qtbot: QtBot
) -> None:
    """As training is: told to stop, it takes one more step and hands over its best model."""
    stop = threading.Event()
    results: list[str] = []

    def job() -> Job[str]:
        while not stop.is_set():
            yield Progress(1, 10, "epochs")
            stop.wait(0.01)
        return "the best so far"

    line.cancel.clicked.disconnect()
    line.cancel.clicked.connect(stop.set)
    line.cancel.clicked.connect(lambda: line.cancel.setEnabled(False))
    line.show()
    runner.submit(Task("count", "Training", job, results.append))
    qtbot.waitUntil(line.pause.isVisible)
    qtbot.mouseClick(line.pause, Qt.MouseButton.LeftButton)
    qtbot.wait(100)
    qtbot.mouseClick(line.cancel, Qt.MouseButton.LeftButton)
    idle(qtbot, runner)
    assert results == ["the best so far"]


def counted(pace: Pace, *reports: tuple[float, int]) -> Any:
    for now, done in reports:
        pace.add(now, done)
    return pace


def test_time_left_is_that_of_the_last_seconds() -> None:
    pace = Pace()
    # 10 a second for a minute, then 100 a second.
    for second in range(60):
        pace.add(second, second * 10)
    assert pace.seconds_left(590, 1590) == pytest.approx(100)
    for second in range(60, 80):
        pace.add(second, 590 + (second - 59) * 100)
    assert pace.seconds_left(2590, 3590) == pytest.approx(10)


def test_what_was_there_before_does_not_count() -> None:
    # 50,000 cells come from the store at once, the others at 20 a second.
    pace = counted(Pace(), (0.0, 0), (0.6, 50_000))
    assert pace.seconds_left(50_000, 60_000) is None
    for tick in range(1, 8):
        pace.add(0.6 + tick, 50_000 + 20 * tick)
    assert pace.seconds_left(50_140, 60_000) == pytest.approx(9860 / 20)


def test_a_busy_window_does_not_make_a_job_seem_slow() -> None:
    # 100 a second, but handled in lumps of half a second.
    reports = [(0.5 * lump + 0.001 * n, 50 * lump + 5 * n) for lump in range(20) for n in range(10)]
    assert counted(Pace(), *reports).seconds_left(1000, 2000) == pytest.approx(10, rel=0.2)


def test_slow_steps_have_a_time_left_too() -> None:
    pace = counted(Pace(), (0, 1), (40, 2), (80, 3))
    assert pace.seconds_left(3, 10) == pytest.approx(280)


def test_paused_time_does_not_count() -> None:
    pace = counted(Pace(), (0, 0), (1, 10), (2, 20))
    pace.hold(2.0)
    pace.hold(3.0)
    pace.go_on(1000.0)
    counted(pace, (1001, 30), (1002, 40))
    assert pace.seconds_left(40, 140) == pytest.approx(10)


def test_a_new_count_has_a_pace_of_its_own() -> None:
    pace = counted(Pace(), (0, 0), (1, 100), (2, 200), (3, 0), (4, 1), (5, 2))
    assert pace.seconds_left(2, 12) == pytest.approx(10)
    assert Pace().seconds_left(0, 100) is None


def test_durations() -> None:
    assert [duration(s) for s in (0.2, 12, 170, 7500)] == ["1 s", "12 s", "3 min", "2 h 5 min"]


def test_reports_come_in_order_and_none_after_the_end(
    runner: JobRunner,
    make_napari_viewer: Callable[..., Any],
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # napari's progress bar, which comes with its window, lets events pass.
    make_napari_viewer()
    monkeypatch.setattr("napari_prts.widgets._run._BAR_AFTER", 0)
    monkeypatch.setattr("napari_prts.widgets._run._SHOWN_EVERY", 0)
    told: list[object] = []
    runner.progressed.connect(lambda _, report: told.append(report.done))
    runner.ended.connect(lambda _, how: told.append(how))

    def job() -> Job[None]:
        # All of it is there before the window looks at the first.
        for number in range(1, 31):
            yield Progress(number, 30, "cells")

    with qtbot.waitSignal(runner.ended, timeout=20_000):
        runner.submit(Task("count", "Counting", job, lambda _: None))
        threading.Event().wait(0.3)
    assert told[-1] == "done"
    assert told[:-1] == sorted(told[:-1])
    assert told[0] == 1


def test_many_reports_are_shown_a_few_times_a_second(runner: JobRunner, qtbot: QtBot) -> None:
    partial: list[int] = []
    shown: list[int] = []
    runner.progressed.connect(lambda _, report: shown.append(report.done))
    go_on = threading.Event()

    def job() -> Job[None]:
        for number in range(1, 501):
            yield Progress(number, 500, "cells")
        go_on.wait(30)

    runner.submit(
        Task("count", "Counting", job, lambda _: None, lambda report: partial.append(report.done))
    )
    # What is found is taken every time, and the last report is shown in the end.
    qtbot.waitUntil(lambda: shown[-1:] == [500])
    go_on.set()
    idle(qtbot, runner)
    assert partial == [*range(1, 501)]
    assert len(shown) < len(partial)


def test_naparis_spinner_turns_slowly(workspace: Workspace, qtbot: QtBot) -> None:
    session = workspace.session
    count = Counting("Looking", tag=workspace.slide.tag, steps=3)
    session.jobs.submit(count.task)
    idle(qtbot, session.jobs)
    labels = workspace.window().findChildren(QLabel)
    assert [movie.speed() for label in labels if (movie := label.movie()) is not None] == [10]


def test_what_is_over_soon_has_no_bar_in_the_activity_dock(
    runner: JobRunner, make_napari_viewer: Callable[..., Any], qtbot: QtBot
) -> None:
    make_napari_viewer()
    bars = progress._all_instances
    go_on = threading.Event()

    def job() -> Job[None]:
        yield Progress(0, 1, "steps")
        go_on.wait(30)

    runner.submit(Task("long", "Taking long", job, lambda _: None))
    assert not len(bars)
    qtbot.waitUntil(lambda: ["Taking long" in bar.desc for bar in bars] == [True])
    go_on.set()
    idle(qtbot, runner)
    assert not len(bars)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness by thread is Linux's")
def test_the_window_goes_first(runner: JobRunner, qtbot: QtBot) -> None:
    def own() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def job() -> Job[list[int]]:
        yield Progress(0, 1, "steps")
        found: list[int] = []
        helper = threading.Thread(target=lambda: found.append(own()))
        helper.start()
        helper.join()
        return [own(), *found]

    nice: list[list[int]] = []
    for _ in range(2):
        runner.submit(Task("nice", "Being nice", job, nice.append))
        qtbot.waitUntil(lambda: runner.running is None)
    # A thread that does a second job steps no further back.
    assert nice == [[own() + 5] * 2] * 2


def test_triton_is_kept_out_while_jobs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_prts.widgets._triton._mesa_has_llvm", lambda: False)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    with without_triton():
        with without_triton(), pytest.raises(ImportError):
            import triton  # noqa: F401
        assert sys.modules["triton"] is None, "the other job still runs"
    assert "triton" not in sys.modules
    there = ModuleType("triton")
    monkeypatch.setitem(sys.modules, "triton", there)
    with without_triton():
        assert sys.modules["triton"] is there
    assert sys.modules["triton"] is there


def test_where_mesa_has_loaded_its_llvm_triton_stays_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 08:01 12 /usr/lib/x86_64-linux-gnu/libLLVM-15.so.1\n")
    assert mesa_has_llvm(maps)
    maps.write_text("7f00-7f01 r-xp 0 08:01 12 /usr/lib/libGLX_nvidia.so.550\n")
    assert not mesa_has_llvm(maps)
    assert not mesa_has_llvm(tmp_path / "nowhere")
    monkeypatch.setattr("napari_prts.widgets._triton._mesa_has_llvm", lambda: True)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    with without_triton():
        pass
    assert sys.modules["triton"] is None
