"""StudyView: one study shown in one viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_prts.viewer.chosen_view import ChosenView
from napari_prts.viewer.expression_view import ExpressionView
from napari_prts.viewer.layer_book import LayerBook
from napari_prts.viewer.nuclei_view import NucleiView
from napari_prts.viewer.region_view import RegionView
from napari_prts.viewer.slide_view import show_slide

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_prts.study import Study


class StudyView:
    """Makes a viewer's layers follow a study.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Where the study is shown.
    study : Study
        What is shown.
    complain : callable
        Called with a sentence for the user when something cannot be done.

    Attributes
    ----------
    nuclei : NucleiView
        The nuclei and their editing.
    expression : ExpressionView
        Predicted and measured cells.
    region : RegionView
        The region drawn by the user.
    chosen : ChosenView
        The cells that are chosen.
    """

    def __init__(self, viewer: ViewerModel, study: Study, complain: Callable[[str], None]) -> None:
        self.study = study
        self.book = LayerBook(viewer)
        self.nuclei = NucleiView(self.book, study, complain)
        self.expression = ExpressionView(self.book, study)
        self.region = RegionView(self.book, study)
        self.chosen = ChosenView(self.book, study)
        study.slide_changed.connect(self._on_slide)
        study.nuclei_changed.connect(self._on_nuclei)
        study.predicted_changed.connect(self.expression.repaint)
        study.measured_changed.connect(self.expression.repaint)
        study.clusters_changed.connect(self.expression.repaint)
        study.chosen_changed.connect(self.chosen.follow)
        study.arriving_changed.connect(self.expression.follow_arriving)
        study.arrived.connect(self.expression.follow_arrived)
        self._on_slide()
        self.nuclei.refresh()
        self.chosen.follow()

    def close(self) -> None:
        """Remove our layers and stop listening."""
        self.study.slide_changed.disconnect(self._on_slide)
        self.study.nuclei_changed.disconnect(self._on_nuclei)
        self.study.predicted_changed.disconnect(self.expression.repaint)
        self.study.measured_changed.disconnect(self.expression.repaint)
        self.study.clusters_changed.disconnect(self.expression.repaint)
        self.study.chosen_changed.disconnect(self.chosen.follow)
        self.study.arriving_changed.disconnect(self.expression.follow_arriving)
        self.study.arrived.disconnect(self.expression.follow_arrived)
        self.chosen.close()
        self.region.close()
        self.expression.clear()
        self.nuclei.close()
        self.book.clear()
        self.book.close()

    def _on_slide(self) -> None:
        show_slide(self.book, self.study.slide)
        self.nuclei.rescale()
        self.chosen.rescale()
        self.expression.repaint()

    def _on_nuclei(self) -> None:
        self.nuclei.refresh()
        self.chosen.follow_nuclei()
        self.expression.repaint()
