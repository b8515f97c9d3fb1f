"""Explore, Clusters: cells grouped by expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QVBoxLayout

from napari_prts.widgets._jobs import Task
from napari_prts.widgets._panel import Panel, button

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_prts.jobs import Job
    from napari_prts.study import Study


class ClustersPage(Panel):
    """Groups cells and paints the groups."""

    tag = "clusters"

    def build(self, column: QVBoxLayout) -> None:
        """Add the page's controls."""
        self.cluster_button = button(
            "Find clusters", "Group cells by expression (Leiden) and paint them", main=True
        )
        self.resolution = QDoubleSpinBox()
        self.resolution.setRange(0.05, 5.0)
        self.resolution.setSingleStep(0.1)
        self.resolution.setValue(0.6)
        self.resolution.setToolTip("Higher gives more clusters; the paper uses 0.6")
        form = QFormLayout()
        form.addRow("Resolution", self.resolution)
        column.addLayout(form)
        column.addWidget(self.cluster_button)
        self.cluster_button.clicked.connect(self.cluster)

    def listen(self, study: Study) -> None:
        """Follow the tables."""
        self.links.connect(study.predicted_changed, self.refresh)
        self.links.connect(study.measured_changed, self.refresh)
        self.links.connect(study.clusters_changed, self.refresh)

    def refresh(self) -> None:
        """Show what can be grouped."""
        study = self.study
        known = study is not None and (study.predicted is not None or study.measured is not None)
        self.cluster_button.setEnabled(known)
        self.state.setText(
            "" if known else "Nothing to group yet: predict, or open a Visium HD folder."
        )

    def cluster(self) -> None:
        """Cluster predicted and measured cells in the background, then paint the clusters."""
        study = self.study
        if study is None:
            return
        resolution = self.resolution.value()
        sides = [s for s in ("measured", "predicted") if getattr(study, s) is not None]

        def make() -> Job[dict[str, AnnData]]:
            from napari_prts.analysis import ClusterRequest, cluster

            found = {}
            for side in sides:
                request = ClusterRequest(resolution=resolution)
                found[side] = yield from cluster(study.expression(side), request)
            return found

        def done(found: dict[str, AnnData]) -> None:
            for side, clustered in found.items():
                study.set_clusters(side, clustered)
            self.session.brush.paint_clusters()
            self.refresh()

        self.session.jobs.submit(Task(self.tag, "Clustering", make, done))
