"""Which files of tests run in one worker of xdist, one after the other."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# By the beginnings of their names; the first group that fits. One shares two slides, their
# nuclei and a trained model; the other what groups cells, which numba compiles in each process
# anew, and what the command line makes.
TOGETHER = (
    ("tests/cli/test_batch.py", "tests/cohort/"),
    (
        "tests/analysis/test_clustering.py",
        "tests/analysis/test_neighbourhood.py",
        "tests/cli/",
        "tests/study/test_grouping.py",
        "tests/widgets/test_clusters_page.py",
        "tests/widgets/test_panels.py",
        "tests/widgets/test_umap.py",
    ),
)


class SharedOut(LoadFileScheduling):
    """Each file goes to one worker as a whole, and so does each group of files above."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((group[0] for group in TOGETHER if file.startswith(group)), file)
