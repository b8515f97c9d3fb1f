"""How the study's model was trained, as long as that can be done again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_prts.study.as_python import given

if TYPE_CHECKING:
    from napari_prts.expression import ModelBundle
    from napari_prts.nuclei import Nuclei
    from napari_prts.study.jobs import StudyTrainRequest
    from napari_prts.study.state import StudyState

# Where a training keeps its state changes nothing in the model.
_KEEPING = ("keep", "checkpoints", "checkpoint_every_s", "device", "split")


@dataclass(frozen=True, eq=False)
class TrainedHere:
    """A model that was trained on the study as it was then.

    Parameters
    ----------
    nuclei : Nuclei
        The study's, then.
    model : ModelBundle
        What came of it.
    asked : dict
        Arguments of :meth:`~napari_prts.study.Study.train` that were not at their defaults.
    """

    nuclei: Nuclei
    model: ModelBundle
    asked: dict[str, Any]

    @classmethod
    def by(
        cls,
        nuclei: Nuclei,
        model: ModelBundle,
        request: StudyTrainRequest,
        others: Sequence[Path | str] = (),
    ) -> TrainedHere:
        """Note a training.

        Parameters
        ----------
        nuclei : Nuclei
            What it was trained on.
        model : ModelBundle
            What came of it.
        request : StudyTrainRequest
            How.
        others : sequence of path
            Saved studies that were trained on too.
        """
        return cls(nuclei, model, train_arguments(request, others))

    def holds(self, study: StudyState) -> bool:
        """Whether the same training would still give the study's model."""
        return study.model is self.model and study.nuclei is self.nuclei


def train_arguments(
    request: StudyTrainRequest, others: Sequence[Path | str] = ()
) -> dict[str, Any]:
    """List the arguments of :meth:`~napari_prts.study.Study.train` that differ from its defaults.

    Parameters
    ----------
    request : StudyTrainRequest
        How is trained; ``training.split`` is as it is by default.
    others : sequence of path
        Saved studies that are trained on too.
    """
    asked = given(request, but=("training",))
    asked |= given(request.training, but=_KEEPING)
    if Path(request.encoder).exists():
        asked["encoder"] = str(Path(request.encoder).absolute())
    if others:
        asked["others"] = [str(Path(folder).absolute()) for folder in others]
    return asked
