"""A trained PRTS model in memory: a card that people can read, and arrays."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_prts.errors import ModelError
from napari_prts.expression.scaling import FeatureScaling, GeneScaling
from napari_prts.expression.similarity import TrainingCells
from napari_prts.expression.splitting import Plan, plan_from_dict
from napari_prts.slide.quality_reference import QualityReference

if TYPE_CHECKING:
    from napari_prts.expression.network import PrtsNetwork
    from napari_prts.features import Features

NETWORK_PREFIX = "network."
# Mean and standard deviation of a section from fewer cells say more of these cells than
# of the section.
FEWEST_TO_STANDARDISE = 100


@dataclass(frozen=True)
class TrainedSlide:
    """A slide that a model was trained on.

    Parameters
    ----------
    fingerprint, name : str
        Of the slide.
    mpp : float
        um per pixel of level 0, then.
    plan : SplitPlan or WholePlan
        Which of its cells trained.
    """

    fingerprint: str
    name: str
    mpp: float
    plan: Plan


_COUNTS = "training.counts."


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A trained model with all that prediction needs.

    Parameters
    ----------
    card : dict
        JSON values: ``genes``, ``encoder``, ``encoder_key``, ``encoder_mpp``,
        ``encoder_settings``, ``features`` (how many, which, and how standardised),
        ``network``, ``threshold``, ``loss``, ``distance``, ``training`` (from which
        slides, and where the split lies on each), ``metrics``, ``versions``;
        ``quality_reference`` if it was measured.
    arrays : dict of ndarray
        ``network.*`` the network's state, ``features.mean``, ``features.std``,
        ``genes.minimum``, ``genes.span``, ``training.rows``; ``training.counts.*``
        (their raw counts, not in older models); ``sections.mean``, ``sections.std``
        where each section has its own.

    Raises
    ------
    ModelError
        If card and arrays do not belong together.
    """

    card: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        genes, features = len(self.genes), self.feature_count
        wanted = {
            "features.mean": (features,),
            "features.std": (features,),
            "genes.minimum": (genes,),
            "genes.span": (genes,),
        }
        for name, shape in wanted.items():
            array = self.arrays.get(name)
            if array is None or array.shape != shape:
                found = "missing" if array is None else f"of shape {array.shape}"
                raise ModelError(
                    f"The model is damaged: {name} is {found} where {shape} is needed."
                )
        rows = self.arrays.get("training.rows")
        if rows is None or rows.ndim != 2 or rows.shape[1] != features or not len(rows):
            raise ModelError("The model is damaged: its sample of training cells does not fit.")
        self._check_sections()
        self._check_counts(len(rows))

    def _check_sections(self) -> None:
        if self.standardise == "all":
            return
        shape = (len(self.card["training"]["slides"]), self.feature_count)
        parts = [self.arrays.get(name) for name in ("sections.mean", "sections.std")]
        if any(part is None or part.shape != shape for part in parts):
            raise ModelError("The model is damaged: the scaling of its sections does not fit.")

    def _check_counts(self, rows: int) -> None:
        if f"{_COUNTS}data" not in self.arrays:
            return
        try:
            counts = self.training_counts
            assert counts is not None
            counts.check_format(full_check=True)
        except (KeyError, ValueError) as error:
            raise ModelError(
                "The model is damaged: the counts of its training cells do not fit."
            ) from error
        if counts.shape[0] != rows:
            raise ModelError("The model is damaged: its training cells lack their counts.")

    def __repr__(self) -> str:
        return f"<ModelBundle {len(self.genes):,} genes, encoder {self.encoder}, {self.trained_on}>"

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes, in the order of the outputs."""
        return tuple(self.card["genes"])

    @property
    def encoder(self) -> str:
        """Name by which the encoder is loaded."""
        return str(self.card["encoder"])

    @property
    def encoder_key(self) -> str:
        """Identity of the encoder."""
        return str(self.card["encoder_key"])

    @property
    def tiles(self) -> str:
        """How its nuclei were seen: ``"exact"``, a tile each, or ``"grid"``, shared ones."""
        settings = self.card.get("encoder_settings", {})
        # Of encoders side by side each has settings of its own.
        parts = [part for part in settings.values() if isinstance(part, dict)] or [settings]
        shared = any(part.get("extraction") == "grid" for part in parts)
        return "grid" if shared else "exact"

    @property
    def feature_count(self) -> int:
        """Features per cell that go into the network."""
        return int(self.card["features"]["count"])

    @property
    def use(self) -> str:
        """Which features: ``"both"``, ``"local"`` or ``"global"``."""
        return str(self.card["features"]["use"])

    @property
    def threshold(self) -> float:
        """Probability below which a gene counts as not expressed."""
        return float(self.card["threshold"])

    @property
    def trained_on(self) -> str:
        """``"simulated"`` or ``"measured"``."""
        return "simulated" if self.card["training"]["simulated"] else "measured"

    @cached_property
    def hash(self) -> str:
        """Identity by content, 16 characters."""
        digest = hashlib.sha256(json.dumps(self.card, sort_keys=True).encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    @property
    def feature_scaling(self) -> FeatureScaling:
        """Standardisation of the features."""
        return FeatureScaling(self.arrays["features.mean"], self.arrays["features.std"])

    @property
    def gene_scaling(self) -> GeneScaling:
        """Scaling of the counts."""
        return GeneScaling(self.arrays["genes.minimum"], self.arrays["genes.span"])

    @property
    def training_cells(self) -> TrainingCells:
        """Sample of the training cells, for the distance."""
        return TrainingCells.from_card(self.arrays["training.rows"], self.card["distance"])

    @property
    def training_counts(self) -> sparse.csr_matrix | None:
        """Raw counts of the sampled training cells, csr (m, genes); None in older models.

        Row i is that of row i of ``training_cells``, and of a predicted cell's
        ``obs["nearest_training"]``.
        """
        if f"{_COUNTS}data" not in self.arrays:
            return None
        data, indices, indptr = (
            self.arrays[f"{_COUNTS}{name}"] for name in ("data", "indices", "indptr")
        )
        return sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, len(self.genes)))

    @property
    def slides(self) -> tuple[TrainedSlide, ...]:
        """The slides that it was trained on."""
        training = self.card["training"]
        if "slides" not in training:
            # Format version 1 knew one slide.
            plan = plan_from_dict(training["split"])
            mpp = float(training["slide_mpp"])
            return (TrainedSlide(training["slide_fingerprint"], training["slide_name"], mpp, plan),)
        return tuple(
            TrainedSlide(
                str(slide["fingerprint"]),
                str(slide["name"]),
                float(slide["mpp"]),
                plan_from_dict(slide["split"]),
            )
            for slide in training["slides"]
        )

    @property
    def standardise(self) -> str:
        """``"all"``: features by one mean and std; ``"section"``: each slide by its own."""
        return str(self.card["features"].get("standardise", "all"))

    def scaling_of(self, fingerprint: str) -> FeatureScaling | None:
        """How the features of a slide are standardised.

        Parameters
        ----------
        fingerprint : str
            Of the slide.

        Returns
        -------
        FeatureScaling or None
            None for a slide that the model does not know, where each section has its own.
        """
        if self.standardise == "all":
            return self.feature_scaling
        known = [slide.fingerprint for slide in self.slides]
        if fingerprint not in known:
            return None
        sections = FeatureScaling(self.arrays["sections.mean"], self.arrays["sections.std"])
        return sections.of(known.index(fingerprint))

    @property
    def quality_reference(self) -> QualityReference | None:
        """Stain and focus of the slide that it was trained on; None in older models.

        Raises
        ------
        ModelError
            If it is damaged.
        """
        return QualityReference.from_card(self.card)

    def network(self) -> PrtsNetwork:
        """Build the network, ready to predict.

        Raises
        ------
        ModelError
            If the weights do not fit the network that the card describes.
        """
        import torch

        from napari_prts.expression.network import PrtsNetwork

        widths = tuple(int(width) for width in self.card["network"]["widths"])
        # Without memory, so that no random numbers are drawn for weights that go at once.
        with torch.device("meta"):
            network = PrtsNetwork(self.feature_count, len(self.genes), widths)
        state = {
            name.removeprefix(NETWORK_PREFIX): torch.from_numpy(np.array(array))
            for name, array in self.arrays.items()
            if name.startswith(NETWORK_PREFIX)
        }
        try:
            network.load_state_dict(state, assign=True)
        except RuntimeError as error:
            raise ModelError(
                "The model is damaged: its weights do not fit the network that its card describes."
            ) from error
        return network.eval()

    def check_features(self, features: Features) -> None:
        """Refuse features by another encoder, or of another width.

        Raises
        ------
        ModelError
            If they do not fit.
        """
        if features.encoder_key != self.encoder_key:
            raise ModelError(
                f"This model was trained with encoder {self.encoder} ({self.encoder_key}), the "
                f"features are by {features.encoder} ({features.encoder_key}): extract features "
                "with the model's encoder and weights, or use a model for this encoder."
            )
        sizes = self.card["features"]
        given = {"context": features.context.shape[1], "local": features.local.shape[1]}
        if any(given[part] != sizes[part] for part in given):
            raise ModelError(
                f"This model needs {sizes['context']} context and {sizes['local']} local features, "
                f"but {given['context']} and {given['local']} were given: extract them with the "
                f"version of encoder {self.encoder} that the model was trained with."
            )

    def save(self, folder: Path | str) -> Path:
        """Write the model; see :func:`napari_prts.expression.bundle_folder.save_bundle`."""
        from napari_prts.expression.bundle_folder import save_bundle

        return save_bundle(self, folder)
