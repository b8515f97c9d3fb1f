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

from napari_prts.errors import ModelError
from napari_prts.expression.scaling import FeatureScaling, GeneScaling
from napari_prts.expression.similarity import TrainingCells
from napari_prts.expression.splitting import SplitPlan
from napari_prts.slide.quality_reference import QualityReference

if TYPE_CHECKING:
    from napari_prts.expression.network import PrtsNetwork
    from napari_prts.features import Features

NETWORK_PREFIX = "network."


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """A trained model with all that prediction needs.

    Parameters
    ----------
    card : dict
        JSON values: ``genes``, ``encoder``, ``encoder_key``, ``encoder_mpp``,
        ``encoder_settings``, ``features`` (how many, and which), ``network``,
        ``threshold``, ``loss``, ``distance``, ``training`` (from what, and where the
        split lies), ``metrics``, ``versions``; ``quality_reference`` if it was measured.
    arrays : dict of ndarray
        ``network.*`` the network's state, ``features.mean``, ``features.std``,
        ``genes.minimum``, ``genes.span``, ``training.rows``.

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
        return TrainingCells(self.arrays["training.rows"], float(self.card["distance"]["scale"]))

    @property
    def split(self) -> SplitPlan:
        """Where the parts lie on the slide that it was trained on."""
        return SplitPlan.from_dict(self.card["training"]["split"])

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
