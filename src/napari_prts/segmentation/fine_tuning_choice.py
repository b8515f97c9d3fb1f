"""Which of the networks that were looked at is kept, and with which threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_prts.segmentation.scoring import NucleiScore

# Few nuclei reach higher overlaps with outlines drawn by another hand: those tell little.
_CHOSEN_BY = (0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Trial:
    """A network on a held-out part.

    Parameters
    ----------
    check : int
        Which look at the network of the run it was; :attr:`Trials.BASE` before the first step.
    prob : float
        Probability threshold.
    step : int
        Steps done.
    score : NucleiScore
        How it found the nuclei.
    """

    check: int
    prob: float
    step: int
    score: NucleiScore


@dataclass(frozen=True)
class Choice:
    """What is kept.

    Parameters
    ----------
    check, step : int
        Which network.
    prob : float
        Its probability threshold.
    before, after : NucleiScore
        Of the base model and of the kept one, over all that was held out.
    """

    check: int
    step: int
    prob: float
    before: NucleiScore
    after: NucleiScore

    @property
    def better(self) -> bool:
        """Whether F1 at IoU 0.5 rose."""
        return self.after.f1[0.5] > self.before.f1[0.5]


class Trials:
    """All looks at networks so far.

    Parameters
    ----------
    prob : float
        The base model's probability threshold.
    """

    BASE: ClassVar[int] = -1

    def __init__(self, prob: float) -> None:
        self._prob = prob
        self._trials: dict[tuple[int, float], list[Trial]] = {}

    def add(self, trial: Trial) -> None:
        """Remember a look."""
        self._trials.setdefault((trial.check, trial.prob), []).append(trial)

    def choice(self) -> Choice:
        """Choose the network and threshold of the highest mean F1 at IoU 0.5, 0.6, 0.7.

        Those that fall behind the base model at IoU 0.5 come last. Of equals, the earlier
        network and the threshold nearest to the base model's own is taken. The base model
        itself may win with another threshold, but not with its own.
        """
        before = summed([trial.score for trial in self._trials[self.BASE, self._prob]])
        # A check of a part only, in a run that was cancelled, cannot be compared.
        most = max(len(trials) for trials in self._trials.values())
        totals = {
            key: summed([trial.score for trial in trials])
            for key, trials in self._trials.items()
            if len(trials) == most and key != (self.BASE, self._prob)
        }

        def worth(key: tuple[int, float]) -> tuple[bool, float, int, float]:
            score = totals[key]
            figure = float(np.mean([score.f1[iou] for iou in _CHOSEN_BY]))
            ahead = score.f1[0.5] >= before.f1[0.5]
            return ahead, round(figure, 4), -key[0], -abs(key[1] - self._prob)

        check, prob = max(totals, key=worth)
        step = self._trials[check, prob][0].step
        return Choice(check, step, prob, before, totals[check, prob])

    def words(self) -> str:
        """Say how it stands: F1 before, and now, at the base model's threshold."""
        last = max((check for check, _ in self._trials), default=self.BASE)
        if last == self.BASE:
            return ""
        before, now = (
            summed([trial.score for trial in self._trials[check, self._prob]])
            for check in (self.BASE, last)
        )
        return f"F1 on the part held out {before.f1[0.5]:.2f} before, {now.f1[0.5]:.2f} now"


def summed(scores: Sequence[NucleiScore]) -> NucleiScore:
    """Add up counts."""

    def total(name: str) -> tuple[int, ...]:
        columns = zip(*(getattr(score, name) for score in scores), strict=True)
        return tuple(sum(column) for column in columns)

    return NucleiScore(
        iou=scores[0].iou,
        true_positive=total("true_positive"),
        false_positive=total("false_positive"),
        false_negative=total("false_negative"),
        tiles=sum(score.tiles for score in scores),
        outlined=sum(score.outlined for score in scores),
        found=sum(score.found for score in scores),
    )
