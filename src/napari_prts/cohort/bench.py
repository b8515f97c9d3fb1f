"""What the steps of one slide share: the open slide, the tables, the record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from napari_prts.cohort.contents import content_of
from napari_prts.cohort.record import SlideRecord
from napari_prts.cohort.request import BatchSettings, SlideEntry, SlideTask
from napari_prts.errors import ModelError
from napari_prts.jobs import Job

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.expression import ModelBundle
    from napari_prts.nuclei import ReadReport
    from napari_prts.slide import Slide

PREDICTED, MEASURED, REPORT = "predicted.h5ad", "measured.h5ad", "report"


class Bench:
    """One slide on the bench.

    Parameters
    ----------
    task : SlideTask
        What to do.

    Raises
    ------
    SlideError
        If the slide cannot be opened.
    """

    def __init__(self, task: SlideTask) -> None:
        from napari_prts.slide import open_slide

        self.entry: SlideEntry = task.entry
        self.settings: BatchSettings = task.settings
        self.folder = Path(task.folder)
        self._remove_abandoned()
        # Its first look is enough to tell what is done already; pixels() waits for the rest.
        self.slide: Slide = open_slide(self.entry.path, self.entry.mpp, wait=False)
        here = SlideRecord.read(self.folder)
        self.record = here or SlideRecord(self.entry.path, self.entry.nuclei)
        self.warnings: list[str] = []
        self._predicted: AnnData | None = None

    @property
    def nuclei_file(self) -> Path:
        """Where the nuclei are written."""
        return self.folder / f"nuclei{self.settings.nuclei_ending}"

    def pixels(self) -> Job[Slide]:
        """Wait until all levels of the slide can be read.

        Yields
        ------
        Progress
            In rows, only while a pyramid is built.
        """
        if self.slide.growth is not None:
            from napari_prts.slide import open_slide_job

            self.slide = yield from open_slide_job(self.entry.path, self.entry.mpp)
        return self.slide

    @cached_property
    def bundle(self) -> ModelBundle:
        """The model, the same as when the batch began."""
        from napari_prts.expression import load_bundle

        bundle = load_bundle(self.settings.model)
        if bundle.hash != self.settings.model_hash:
            raise ModelError(
                f"{self.settings.model} is another model than when the batch began: leave it as it "
                "is until all slides are done, then run again."
            )
        return bundle

    @cached_property
    def nuclei(self) -> ReadReport:
        """The nuclei in the slide's folder, corrected by hand or not."""
        from napari_prts.nuclei.formats.reading import read_nuclei_reported

        return read_nuclei_reported(self.nuclei_file, self.slide.shape)

    @property
    def predicted(self) -> AnnData:
        """The predicted cells."""
        if self._predicted is None:
            from napari_prts.h5ad import read_h5ad

            self._predicted = read_h5ad(self.folder / PREDICTED)
        return self._predicted

    @predicted.setter
    def predicted(self, table: AnnData) -> None:
        self._predicted = table

    @property
    def measured_file(self) -> Path | None:
        """The measured cells, if there are any."""
        if self.entry.measured is None:
            return None
        given = Path(self.entry.measured)
        return self.folder / MEASURED if given.is_dir() else given

    def put(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file aside, remember its content, then move it into place.

        Parameters
        ----------
        name : str
            In the slide's folder.
        write : callable
            Writes to the path that it is given.

        Raises
        ------
        PrtsError
            If the file was changed by somebody, or cannot be written.
        """
        from napari_prts.files import written_aside

        target = self.folder / name
        self.record.check_untouched(target)
        with written_aside(target) as aside:
            write(aside)
            self.record = self.record.with_written(name, content_of(aside))
            self.record.write(self.folder)

    def put_table(self, name: str, table: AnnData) -> None:
        """Write a table of cells; see :meth:`put`."""
        from napari_prts.h5ad import write_h5ad

        self.put(name, lambda aside: write_h5ad(table, aside))

    @contextmanager
    def whole_folder(self, name: str) -> Iterator[Path]:
        """Give a folder to fill that replaces the one of that name as a whole."""
        from napari_prts.files import written_aside

        with written_aside(self.folder / name) as aside:
            aside.mkdir()
            yield aside

    def _remove_abandoned(self) -> None:
        """Remove what a killed process was writing: nobody else writes in this folder."""
        for path in self.folder.glob(".*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
