"""Show a study in napari from Python, painted as one likes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_prts.errors import PrtsError
from napari_prts.study.as_python import Name, call, given
from napari_prts.viewer.painted_side import Painting
from napari_prts.viewer.painting import Limits

if TYPE_CHECKING:
    from napari import Viewer

    from napari_prts.study import Study
    from napari_prts.widgets._workspace import Workspace


def show(
    study: Study,
    *,
    gene: str | None = None,
    clusters: bool = False,
    viewer: Viewer | None = None,
    **style: Any,
) -> Workspace:
    """Show a study in a window of napari, with all panels.

    In a script, ``napari.run()`` must follow; a notebook and napari's console need none.

    Parameters
    ----------
    study : Study
        The study.
    gene : str, optional
        Paint it over the tissue, on every side that has it.
    clusters : bool
        Paint the clusters.
    viewer : napari.Viewer, optional
        The window; the one that shows this study already, or a new one, by default.
    **style
        How to paint: fields of :class:`~napari_prts.viewer.painted_side.Painting`, for
        example ``log=True`` or ``mode="swipe"``; ``limits`` as (low, high).

    Returns
    -------
    Workspace
        The panels; ``.session.viewer`` is the window.

    Raises
    ------
    PrtsError
        If gene and clusters are asked for at once, or there is none of what is asked for.
    """
    from napari_prts.widgets._workspace import open_workspace

    _check(study, gene, clusters)
    if style.get("limits") is not None:
        style["limits"] = Limits(*style["limits"])
    painting = replace(Painting(), **style)
    workspace = open_workspace(viewer if viewer is not None else _window_of(study))
    session = workspace.session
    if session.study is not study:
        session.show(study)
    session.brush.restyle(**{name: style[name] for name in style.keys() - {"total"}})
    if gene is not None or clusters:
        workspace.tabs.setCurrentWidget(workspace.explore)
    if gene is not None:
        session.brush.paint_gene(gene)
        # Limits drawn by hand go with the gene.
        session.brush.restyle(limits=painting.limits)
    elif clusters:
        session.brush.paint_clusters()
    elif painting.total and session.view is not None:
        session.view.expression.paint(painting)
    return workspace


def show_line(painting: Painting | None) -> str:
    """Write how to show a study as it is on screen; see :func:`show`.

    Parameters
    ----------
    painting : Painting or None
        What is painted; None for the H&E alone.
    """
    style: dict[str, Any] = {}
    if painting is not None:
        style = {"clusters": True} if painting.clusters else {}
        style |= given(painting)
    if painting is not None and painting.limits is not None:
        style["limits"] = (painting.limits.low, painting.limits.high)
    return call("window = napari_prts.show", Name("study"), **style)


def _check(study: Study, gene: str | None, clusters: bool) -> None:
    if gene is not None and clusters:
        raise PrtsError("A gene and the clusters cannot be painted at once: choose one of them.")
    if clusters and not study.clusters:
        raise PrtsError("There are no clusters to paint: call study.group() first.")
    tables = [table for table in (study.predicted, study.measured) if table is not None]
    if gene is not None and not any(gene in table.var_names for table in tables):
        raise PrtsError(
            f"No cells have the gene {gene!r}: predict or measure first, or choose another one."
        )


def _window_of(study: Study) -> Viewer:
    import napari

    from napari_prts.widgets._session import SESSION_KEY

    # In the console of the window that shows the study, another window would only confuse.
    for layer in (*getattr(napari.current_viewer(), "layers", ()),):
        session = layer.metadata.get(SESSION_KEY)
        if getattr(session, "study", None) is study:
            viewer: Viewer = session.viewer
            return viewer
    return napari.Viewer()
