"""Co-training: two networks of different kind learn from the annotation, and from each other where it is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents, SupervisedTrainer
from torch import Tensor, distributed, nn

from ...networks import MeanOfNetworks
from ...transforms.pseudo_labels import combine, cut, open_pixels, pseudo_label_map
from ..processes import number_of_processes
from .ramp import gaussian_ramp

__all__ = ["CoTraining"]

PREDICTORS = ("student", "partner", "both")
KINDS = ("fixed", "dynamic")


class CoTraining:
    """Train a partner beside a network; add what each learns from the annotation and from the other to the loss.

    Both learn from the annotation. Where it leaves a pixel open, each learns from pseudo-labels of the other, chosen
    among the admitted classes (`pseudo_label_map`): fixed ones, which the other gives to the same crop, and dynamic
    ones, which take those of a shifted crop where both overlap (`combine`). The student learns on the images as they
    are, the partner on images that are cut into each other, with their pseudo-labels (`cut`). Pseudo-labels of a pixel
    that the annotation decides do not count: it is in the other part of the loss. In an image without annotation every
    pixel is open.

    The weight of pseudo-labels is `weight` times `gaussian_ramp`. One optimizer holds the parameters of both (they take
    the steps that two optimizers would). Shifted crops and boxes are drawn by `RandShiftedCropd`, the last step of the
    preprocessing. Without a partner nothing is computed.

    Args:
        network: that is trained, the student.
        partner: the other network; None for an ordinary training.
        loss: of the training, for the partner and for pseudo-labels, too.
        weight: of pseudo-labels at the end of the training.
        pseudo_labels: which kinds, "fixed" and "dynamic"; fixed alone, without `cut`, is cross pseudo supervision.
        cut: whether the partner learns on images that are cut into each other.
        activation: how logits are read, "softmax" or "sigmoid".
        consistency: of a Mean Teacher, which a co-training does not have: 0.
        predict_with: the network that is validated and kept, "student", "partner" or "both", their mean.
        initial_weights: of the training, which a co-training does not have: None.

    Raises:
        ValueError: if a kind or `predict_with` is something else, or there is a Mean Teacher, or initial
            weights, too.

    References:
        Kumari and Singh (2024), Leveraging fixed and dynamic pseudo-labels for semi-supervised medical image
        segmentation. Chen et al. (2021), Semi-supervised semantic segmentation with cross pseudo supervision.
    """

    def __init__(
        self,
        network: nn.Module,
        partner: nn.Module | None,
        loss: Callable[[Tensor, Tensor], Tensor],
        weight: float = 0.1,
        pseudo_labels: Sequence[str] = KINDS,
        cut: bool = True,
        activation: str = "softmax",
        consistency: float = 0.0,
        predict_with: str = "student",
        initial_weights: str | None = None,
    ) -> None:
        if isinstance(pseudo_labels, str) or sorted(pseudo_labels) != sorted(set(pseudo_labels) & set(KINDS)):
            raise ValueError(
                f"--pseudo_labels: expected a list of {' and '.join(KINDS)}, each at most once, got {pseudo_labels!r}."
            )
        if predict_with not in PREDICTORS:
            raise ValueError(f"--predict_with: expected one of {', '.join(PREDICTORS)}, got {predict_with!r}.")
        if partner is not None and consistency:
            raise ValueError(
                "--cotrain true and --consistency: a network has a partner or a Mean Teacher; leave one out."
            )
        if partner is not None and initial_weights is not None:
            raise ValueError(
                "--cotrain true and --initial_weights: the partner would start from scratch, at the rate and with the "
                "distillation of weights that it does not have; leave one out."
            )
        self.network, self.partner = network, partner
        self.loss, self.weight, self.pseudo_labels, self.cut = loss, weight, pseudo_labels, cut
        self.predict_with = predict_with
        self.both = (
            MeanOfNetworks([network, partner], activation) if partner is not None and predict_with == "both" else None
        )

    @property
    def predictor(self) -> nn.Module:
        """The network that is validated and kept."""
        if self.both is not None:
            return self.both
        return self.partner if self.partner is not None and self.predict_with == "partner" else self.network

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if self.partner is None:
            return
        engine.add_event_handler(Events.STARTED, self._start, self.partner)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self, self.partner)
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._average_gradients, self.partner)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._share_buffers, self.partner)

    def __call__(self, engine: SupervisedTrainer, partner: nn.Module) -> None:
        """Add to the loss of an iteration."""
        state, output = engine.state, engine.state.output
        image, label, own = output["image"], output["label"], output["pred"]
        partner.train()
        others = engine.inferer(image, partner)
        output["loss"] = output["loss"] + self.loss(others, label)
        weight = self.weight * gaussian_ramp((state.iteration - 1) / ((state.max_epochs or 1) * state.epoch_length))
        if not weight or not self.pseudo_labels:
            return
        of_student, of_partner = (
            self._pseudo_labels(engine, network, logits.detach(), label)
            for network, logits in ((self.network, own), (partner, others))
        )
        if self.cut:
            mask = state.batch["cut"].to(image.device)
            of_student = [cut(each, each.roll(1, dims=0), mask) for each in of_student]
            others = engine.inferer(cut(image, image.roll(1, dims=0), mask), partner)
        learned = [self.loss(own, each) for each in of_partner] + [self.loss(others, each) for each in of_student]
        output["loss"] = output["loss"] + weight * torch.stack(learned).sum()

    @torch.no_grad()
    def _pseudo_labels(
        self, engine: SupervisedTrainer, network: nn.Module, logits: Tensor, label: Tensor
    ) -> list[Tensor]:
        """Return what a network says of the open pixels, as label-set maps that ignore all others."""
        fixed = pseudo_label_map(label, logits)
        found = {"fixed": fixed}
        if "dynamic" in self.pseudo_labels:
            buffers = [value.clone() for value in network.buffers()]  # of batch norm: not to learn from these crops
            image, around = (engine.state.batch[f"shifted_{name}"].to(label.device) for name in ("image", "label"))
            temporary = pseudo_label_map(around, engine.inferer(image, network))
            found["dynamic"] = combine(fixed, temporary, engine.state.batch["shift"])
            for value, before in zip(network.buffers(), buffers, strict=True):
                value.data.copy_(before)  # `data`: autograd holds these of the passes before, and needs no other values
        return [open_pixels(found[kind], label) for kind in self.pseudo_labels]

    def _start(self, _: Engine, partner: nn.Module) -> None:
        """Give every process of a training the partner of process 0; the network is shared by `data_parallel`."""
        if number_of_processes() > 1:
            for value in partner.state_dict().values():
                distributed.broadcast(value, src=0)

    def _average_gradients(self, _: Engine, partner: nn.Module) -> None:
        for parameter in partner.parameters() if number_of_processes() > 1 else ():
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= number_of_processes()

    def _share_buffers(self, _: Engine, partner: nn.Module) -> None:
        for value in partner.buffers() if number_of_processes() > 1 else ():
            distributed.broadcast(value, src=0)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights of the network that does not predict; nothing if both do, or without a partner."""
        return {} if self._other is None else self._other.state_dict()

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        if self._other is not None:
            self._other.load_state_dict(weights)

    @property
    def _other(self) -> nn.Module | None:
        return {"student": self.partner, "partner": self.network, "both": None}[self.predict_with]
