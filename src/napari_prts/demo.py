"""The main job on the embedded slide, from pixels to predicted beside simulated genes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.errors import PrtsError
from napari_prts.jobs import Progress, run
from napari_prts.sample_data import demo_slide_path

if TYPE_CHECKING:
    from napari import Viewer

    from napari_prts.study import Study
    from napari_prts.widgets import Workspace

Report = Callable[[str, Progress | None], None]
SCREEN = "1600x1000x24"
WINDOW = (1500, 920)


def run_demo(
    output: Path | str, *, headless: bool = False, seed: int = 0, report: Report | None = None
) -> Path:
    """Run the whole chain on the embedded slide and leave everything in one folder.

    Parameters
    ----------
    output : path
        Made if need be. It will hold ``nuclei.geojson``, ``visium_hd/``
        (simulated), ``measured.h5ad``, ``model/``, ``predicted.h5ad``,
        ``report.json``, ``study.json`` and ``screenshot.png``.
    headless : bool
        Close the window after the screenshot instead of leaving it to the user.
    seed : int
        Seed of the simulation and of the training.
    report : callable, optional
        Called with the name of the step, and its Progress or None at its start.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    PrtsError
        If a step fails, or there is neither a screen nor ``xvfb-run``.
    """
    output = Path(output).resolve()
    report = report or (lambda *_: None)
    study = make_study(output, seed, report)
    study.save(output)
    report("Opening napari", None)
    if has_screen():
        show_window(output, keep_open=not headless)
    else:
        _show_on_virtual_screen(output)
    return output


def make_study(output: Path, seed: int, report: Report) -> Study:
    """Do the chain's steps; see :func:`run_demo`."""
    from napari_prts.analysis import write_report
    from napari_prts.slide import open_slide
    from napari_prts.study import Study
    from napari_prts.visium_hd import simulate_job

    def follow(step: str) -> Callable[[Progress], None]:
        report(step, None)
        return lambda progress: report(step, progress)

    report("Opening the slide", None)
    # Nobody corrects anything here: no journal in the user's data folder.
    study = Study(open_slide(demo_slide_path()), autosave=False)
    study.segment(report=follow("Finding nuclei"))
    folder = output / "visium_hd"
    job = simulate_job(study.slide, study.nuclei, folder, seed=seed)
    run(job, follow("Simulating Visium HD"))
    study.measure(folder, report=follow("Summing bins into nuclei"))
    study.train(report=follow("Training"), seed=seed)
    study.predict(report=follow("Predicting"))
    report("Scoring", None)
    agreement = study.agreement()
    write_report(agreement, output / "report.json")
    return study


def has_screen() -> bool:
    """Tell whether a window can be opened."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_window(output: Path, *, keep_open: bool) -> None:
    """Open napari on a demo folder, paint its best gene and take the screenshot.

    Parameters
    ----------
    output : Path
        Folder that :func:`run_demo` filled.
    keep_open : bool
        Leave the window to the user, until they close it.
    """
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(title="napari-prts demo", show=True)
    workspace = arrange(viewer, output)
    _settle(QApplication.instance(), workspace)
    viewer.screenshot(str(output / "screenshot.png"), canvas_only=False, flash=False)
    if keep_open:
        napari.run()
    else:
        viewer.close()


def arrange(viewer: Viewer, output: Path) -> Workspace:
    """Show a demo folder's study with its best gene, predicted beside simulated."""
    from napari_prts.study import open_study
    from napari_prts.widgets import open_workspace

    viewer.window.resize(*WINDOW)
    study = open_study(output)
    workspace = open_workspace(viewer)
    workspace.session.show(study)
    workspace.tabs.setCurrentWidget(workspace.explore)
    workspace.explore.gene.paint_gene(best_gene(study))
    return workspace


def best_gene(study: Study) -> str:
    """Return the gene whose prediction agrees best with the counts."""
    per_gene: dict[str, dict[str, Any]] = study.agreement().as_dict()["per_gene"]
    scored = {gene: row["pcc"] for gene, row in per_gene.items() if row["pcc"] is not None}
    if not scored:
        raise PrtsError("No gene can be scored: predicted and measured have none that varies.")
    return max(scored, key=lambda gene: scored[gene])


def _settle(application: Any, workspace: Workspace, seconds: float = 1.5) -> None:
    """Let the window draw itself and its background jobs end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or workspace.session.jobs.running is not None:
        application.processEvents()
        time.sleep(0.02)


def _show_on_virtual_screen(output: Path) -> None:
    command = shutil.which("xvfb-run")
    if command is None:
        raise PrtsError(
            f"No screen, and xvfb-run is not installed, so no screenshot was taken; all other "
            f"results are in {output}. Install it: apt-get install xvfb xauth"
        )
    call = [command, "-a", "-s", f"-screen 0 {SCREEN}", sys.executable, "-m", __name__]
    done = subprocess.run([*call, str(output)], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PrtsError(f"The window could not be drawn on a virtual screen: {last}")


if __name__ == "__main__":
    show_window(Path(sys.argv[1]), keep_open=False)
