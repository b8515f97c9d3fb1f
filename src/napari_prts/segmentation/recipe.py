"""Make a nucleus model from folders of outlined tiles: train, choose, score, export.

The embedded model is made by::

    python -m napari_prts.segmentation.recipe tnbc dsb2018_he -o he-open \\
        --validation tnbc/06 dsb2018_he/fold0 --test tnbc/05 tnbc/09 \\
        --mpp 0.25 --weights dsb2018_he=0.3 --minutes 90 --seed 1 \\
        --name he-open --licence "..."

Microns per pixel of ``dsb2018_he`` are not known and differ from tile to tile; its
median nucleus is as wide in pixels as that of ``tnbc``, so the same number stands in.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from napari_prts.errors import ModelError, PrtsError
from napari_prts.files import written_aside
from napari_prts.segmentation.datasets import (
    LabelledTile,
    Split,
    read_labelled_folder,
    split_by_group,
)
from napari_prts.segmentation.loading import load_model
from napari_prts.segmentation.model import StarDistModel, load_weights, weights_hash
from napari_prts.segmentation.model_folder import add_reference, export_model, rounded_to_half
from napari_prts.segmentation.network import StarDistConfig, StarDistNetwork
from napari_prts.segmentation.scoring import choose_thresholds, score
from napari_prts.segmentation.training import TrainingRequest, train
from napari_prts.slide import Slide
from napari_prts.slide.quality import slide_quality
from napari_prts.slide.quality_reference import QualityReference

_STEPS_A_REPORT = 50
_STEPS_A_STATE = 250


@dataclass(frozen=True)
class Recipe:
    """What to make a model of.

    Parameters
    ----------
    folders : tuple of Path
        Folders of ``NAME.png`` and ``NAME_labels.png``.
    validation, test : tuple of str
        Groups to choose thresholds on, and to score once at the end.
    mpp : dict of str to float
        Microns per pixel of the tiles, by folder name.
    request : TrainingRequest
        How to train.
    name, licence : str
        For the model card.
    start : StarDistModel, optional
        Model whose weights training begins with; random ones otherwise.
    """

    folders: tuple[Path, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    mpp: Mapping[str, float]
    request: TrainingRequest
    name: str
    licence: str
    start: StarDistModel | None = None

    def split(self) -> Split:
        """Read the tiles and deal them out."""
        tiles = [tile for folder in self.folders for tile in read_labelled_folder(folder)]
        return split_by_group(tiles, validation=self.validation, test=self.test)


def fit(
    tiles: tuple[LabelledTile, ...],
    request: TrainingRequest,
    state: Path,
    start: StarDistNetwork | None = None,
) -> StarDistNetwork:
    """Train, print the loss, and keep the weights reached so far in a file.

    Parameters
    ----------
    tiles : tuple of LabelledTile
        Training tiles.
    request : TrainingRequest
        How to train.
    state : Path
        ``.pt`` file for the state dict, written every 250 steps and at the end.
    start : StarDistNetwork, optional
        Weights to go on from; random ones otherwise.
    """
    started, losses = time.monotonic(), []
    network = StarDistNetwork(request.config)
    for progress in train(tiles, request, start):
        network = progress.network
        losses.append(progress.loss)
        if progress.step % _STEPS_A_REPORT == 0:
            recent = sum(losses[-_STEPS_A_REPORT:]) / _STEPS_A_REPORT
            print(
                f"step {progress.step}, {progress.fraction:.1%}, loss {recent:.4f}, "
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
        if progress.step % _STEPS_A_STATE == 0:
            _save_state(network, state)
    _save_state(network, state)
    return network


def read_state(path: Path, config: StarDistConfig) -> StarDistNetwork:
    """Load a state dict that :func:`fit` wrote; only tensors are read, no code is run.

    Raises
    ------
    ModelError
        If it cannot be read or is of another network.
    """
    network = StarDistNetwork(config)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(f"{path} holds no state dict of PyTorch ({error}).") from error
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds no state dict of PyTorch.")
    load_weights(network, state, str(path))
    return network.eval()


def finish(network: StarDistNetwork, recipe: Recipe, split: Split, folder: Path) -> StarDistModel:
    """Choose thresholds, score, and write the model folder with its card.

    Thresholds and scores are of the weights as they are shipped, in half precision.

    Parameters
    ----------
    network : StarDistNetwork
        The trained network.
    recipe : Recipe
        What it was made of.
    split : Split
        Its tiles.
    folder : Path
        Model folder to write.
    """
    shipped = rounded_to_half(network)
    draft = StarDistModel(
        name=recipe.name,
        network=shipped,
        config=shipped.config,
        prob_threshold=0.5,
        nms_threshold=0.4,
        mpp=0.33,
        card={},
        hash=weights_hash(shipped),
    )
    chosen = choose_thresholds(draft, split.validation, recipe.mpp)
    model = chosen.of(draft)
    metrics = {
        "chosen by": {"mean AP at IoU 0.5, 0.6, 0.7 on validation": round(chosen.figure, 4)},
        "validation": _scores(model, split.validation, recipe.mpp),
        "test": _scores(model, split.test, recipe.mpp),
    }
    return export_model(
        shipped,
        folder,
        name=recipe.name,
        prob_threshold=chosen.prob,
        nms_threshold=chosen.nms,
        mpp=chosen.mpp,
        licence=recipe.licence,
        training=_training_card(recipe, split),
        metrics=metrics,
        reference=_reference(recipe, split),
    )


def training_reference(
    tiles: tuple[LabelledTile, ...], mpp: Mapping[str, float]
) -> QualityReference:
    """Measure stain and focus of tiles.

    Parameters
    ----------
    tiles : tuple of LabelledTile
        Training tiles.
    mpp : dict of str to float
        Microns per pixel of the tiles, by folder name.

    Raises
    ------
    SlideError
        If no tile shows stained tissue.
    """
    slides = (
        Slide.from_array(tile.image, mpp=mpp[tile.group.split("/")[0]], name=tile.name)
        for tile in tiles
    )
    return QualityReference.of(slide_quality(slide) for slide in slides)


def _reference(recipe: Recipe, split: Split) -> QualityReference:
    """Of the training tiles, as wide as their stain is varied in training."""
    measured = training_reference(split.train, recipe.mpp)
    return measured.widened(recipe.request.augmentation.stain)


def _scores(
    model: StarDistModel, tiles: tuple[LabelledTile, ...], mpp: Mapping[str, float]
) -> dict[str, Any]:
    groups = sorted({tile.group for tile in tiles})
    by_group = {
        group: score(model, [t for t in tiles if t.group == group], mpp).as_dict()
        for group in groups
    }
    together = {"all": score(model, tiles, mpp).as_dict()} if len(groups) > 1 else {}
    return {**by_group, **together}


def _training_card(recipe: Recipe, split: Split) -> dict[str, Any]:
    def described(tiles: tuple[LabelledTile, ...]) -> dict[str, Any]:
        return {
            "groups": sorted({tile.group for tile in tiles}),
            "tiles": len(tiles),
            "nuclei": sum(int(tile.labels.max(initial=0)) for tile in tiles),
        }

    request = asdict(recipe.request)
    return {
        "train": described(split.train),
        "validation": described(split.validation),
        "test": described(split.test),
        "mpp of tiles": dict(recipe.mpp),
        "start": None if recipe.start is None else f"{recipe.start.name} ({recipe.start.hash})",
        **{key: value for key, value in request.items() if key != "config"},
    }


def _save_state(network: StarDistNetwork, path: Path) -> None:
    with written_aside(path) as aside:
        torch.save(network.state_dict(), aside)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m napari_prts.segmentation.recipe", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, help="folders of NAME.png and NAME_labels.png")
    add("-o", "--output", type=Path, required=True, help="model folder to write")
    add("--validation", nargs="+", required=True, help="groups to choose thresholds on")
    add("--test", nargs="+", required=True, help="groups to score at the end")
    add("--mpp", nargs="+", required=True, help="um per pixel of the tiles: F or FOLDER=F ...")
    add("--weights", nargs="*", default=[], help="how often a folder is drawn: FOLDER=F ...")
    add("--minutes", type=float, help="train for so long")
    add("--steps", type=int, default=TrainingRequest.steps, help="train at most so many batches")
    add("--seed", type=int, default=0)
    add("--name", help="name of the model; by default that of the output folder")
    add("--licence", default="not stated", help="licence and credits for the card")
    add("--start", help="model, by name or folder, whose weights to begin with")
    add(
        "--reference-only",
        action="store_true",
        help="train nothing: measure the training tiles, add the result to the card in OUTPUT",
    )
    add("--from-state", type=Path, help="skip training, take the weights of this .pt file")
    return parser


def _by_folder(values: Sequence[str], folders: Sequence[Path], option: str) -> dict[str, float]:
    """Read ``F`` (for all folders) or ``FOLDER=F``."""
    read = {}
    for value in values:
        folder, equals, number = value.rpartition("=")
        try:
            for name in [folder] if equals else [f.name for f in folders]:
                read[name] = float(number)
        except ValueError:
            raise ModelError(f"{option} {value!r} is neither a number nor FOLDER=NUMBER.") from None
    return read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recipe; see ``--help``."""
    given = _parser().parse_args(arguments)
    try:
        request = TrainingRequest(
            steps=given.steps,
            minutes=given.minutes,
            weights=_by_folder(given.weights, given.folders, "--weights"),
            seed=given.seed,
        )
        recipe = Recipe(
            folders=tuple(given.folders),
            validation=tuple(given.validation),
            test=tuple(given.test),
            mpp=_by_folder(given.mpp, given.folders, "--mpp"),
            request=request,
            name=given.name or given.output.name,
            licence=given.licence,
            start=load_model(given.start) if given.start else None,
        )
        split = recipe.split()
        if given.reference_only:
            print(add_reference(given.output, _reference(recipe, split)))
            return 0
        if given.from_state:
            network = read_state(given.from_state, request.config)
        else:
            state = given.output.with_suffix(".state.pt")
            begin = None if recipe.start is None else recipe.start.network
            network = fit(split.train, request, state, begin)
        model = finish(network, recipe, split, given.output)
    except PrtsError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{given.output}: probability {model.prob_threshold}, overlap {model.nms_threshold}, "
        f"{model.mpp} um/px"
    )
    for side in ("validation", "test"):
        for group, figures in model.card["metrics"][side].items():
            print(f"{side} {group}: F1 {figures['f1']['0.5']}, AP {figures['ap']['0.5']} at 0.5")
    return 0


if __name__ == "__main__":
    sys.exit(main())
