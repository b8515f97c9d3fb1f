"""Opening any slide: its file read, its pixel size settled, what is missing to its levels begun."""

from __future__ import annotations

import os
from pathlib import Path

from napari_prts.errors import SlideError
from napari_prts.jobs import Job, run
from napari_prts.slide.completing import complete
from napari_prts.slide.formats.readers import reader_of
from napari_prts.slide.formats.slide_file import SlideFile
from napari_prts.slide.levels import stack
from napari_prts.slide.pixel_size import settle
from napari_prts.slide.remembered import PixelSizeMemory
from napari_prts.slide.slide import Slide


def open_slide(
    path: str | os.PathLike[str], mpp: float | None = None, *, wait: bool = True
) -> Slide:
    """Open a slide.

    Parameters
    ----------
    path : path
        A file or folder of any kind that :mod:`napari_prts.slide.formats.readers` names.
        The content decides, not the name.
    mpp : float, optional
        um per level-0 pixel; goes before what the user once said about this
        slide, and that before what the file says.
    wait : bool
        A large file without a pyramid gets one, which is kept in the cache. If
        False, the slide is returned before that is built: it can be looked at,
        and whoever opened it runs :meth:`~napari_prts.slide.growing.Growth.job`
        of :attr:`Slide.growth`.

    Returns
    -------
    Slide
        Read lazily.

    Raises
    ------
    SlideError
        If there is no such file, it is damaged, it is not 8-bit RGB, or
        ``mpp`` is impossible.
    """
    slide = _open(Path(path), mpp)
    if slide.growth is not None:
        if wait:
            run(slide.growth.job())
        else:
            slide.growth.look()
    return slide


def open_slide_job(path: str | os.PathLike[str], mpp: float | None = None) -> Job[Slide]:
    """Open a slide with progress; see :func:`open_slide`.

    Yields
    ------
    Progress
        In rows, only while a pyramid is built.
    """
    slide = _open(Path(path), mpp)
    if slide.growth is not None:
        yield from slide.growth.job()
    return slide


def _open(path: Path, mpp: float | None) -> Slide:
    file = _read(path)
    size = settle(path, file.stated, mpp, PixelSizeMemory().get(file.fingerprint))
    by_file = settle(path, file.stated, None)
    made = complete(file)
    return Slide(
        path,
        file.format,
        stack(made.levels, str(path)),
        size.mpp,
        size.source,
        file.fingerprint,
        path.name,
        associated=file.associated,
        remarks=file.remarks if size.remark is None else (*file.remarks, size.remark),
        stated_mpp=by_file.mpp,
        stated_source=by_file.source,
        growth=made.growth,
        damage=made.damage,
    )


def _read(path: Path) -> SlideFile:
    try:
        return reader_of(path)(path)
    except OSError as error:
        raise SlideError(
            f"{path} cannot be read ({error.strerror or error}). Check that it is a slide and "
            "that you may read it."
        ) from error
