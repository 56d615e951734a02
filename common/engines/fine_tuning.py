"""Start from initial weights, and keep what they know of the classes that the annotation leaves open."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents, SupervisedTrainer
from torch import Tensor, nn

from ..label_sets import LabelSets
from ..losses.posterior_divergence import posterior_divergence

__all__ = ["FineTuning"]

LOGGER = logging.getLogger(__name__)


class FineTuning:
    """Load initial weights before a training; add the divergence from their predictions to its loss.

    Register it before `Resume`, whose weights are newer. Without an image that leaves a class open, the divergence is
    zero and not computed.

    Args:
        network: that is trained.
        weights: to start from, a state dict; None: start from scratch.
        distillation: weight of the divergence (`posterior_divergence`), the mean over all pixels; 0 leaves it out.
        activation: how logits are read, "softmax" or "sigmoid".
        label_sets: of the training images.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: Mapping[str, Tensor] | None,
        distillation: float,
        activation: str,
        label_sets: LabelSets,
    ) -> None:
        self.network = network
        self.weights = weights
        self.distillation = distillation
        self.activation = activation
        self.label_sets = label_sets

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if self.weights is None:
            return
        engine.add_event_handler(Events.STARTED, self._start, self.weights)
        if self.distillation and self.label_sets.leaves_open():
            engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def _start(self, _: Engine, weights: Mapping[str, Tensor]) -> None:
        network = getattr(self.network, "module", self.network)  # of DistributedDataParallel
        network.load_state_dict(weights)
        self._initial = copy.deepcopy(network).eval().requires_grad_(False)
        if missing := self.label_sets.unannotated():
            keeper = "the predictions of the initial weights keep" if self.distillation else "only a low rate keeps"
            names = ", ".join(missing)
            LOGGER.warning("no image annotates %s; %s them (--distillation %s)", names, keeper, self.distillation)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Add the divergence to the loss of an iteration."""
        output = engine.state.output
        with torch.no_grad():
            initial = engine.inferer(output["image"], self._initial)
        divergence = posterior_divergence(output["pred"], initial, output["label"], self.activation)
        output["loss"] = output["loss"] + self.distillation * divergence.mean()
