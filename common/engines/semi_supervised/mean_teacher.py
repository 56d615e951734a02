"""Mean Teacher: a network learns to agree with the running average of its own weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from ignite.engine import Engine, Events
from monai.engines import IterationEvents, SupervisedTrainer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...losses.consistency import consistency
from ...losses.contract import reduce
from .ramp import ramp
from .uncertainty import noisy, threshold, uncertainty

__all__ = ["MeanTeacher", "ema_decay", "handler_of"]

Handler = TypeVar("Handler")
PREDICTORS = ("student", "teacher")


def ema_decay(updates: int, largest: float = 0.999) -> float:
    """Return the weight of the former average in an update: all values alike at first, exponential in the end.

    Args:
        updates: that came before.
        largest: weight in the end.

    References:
        Tarvainen and Valpola (2017), Mean teachers are better role models.

    Example:
        >>> [round(ema_decay(updates), 3) for updates in (0, 1, 2, 3, 5000)]
        [0.0, 0.5, 0.667, 0.75, 0.999]
    """
    return min(1 - 1 / (updates + 1), largest)


class MeanTeacher:
    """Add the consistency of a network with its teacher to the loss; update the teacher after each step.

    The teacher is an exponential moving average of the weights (`ema_decay`). It sees the same augmented images in
    training mode, so its dropout draws a mask of its own and its batch norm uses the statistics of the batch, as the
    student's does: both networks then differ by weights and masks alone. Its own running statistics are overwritten by
    the student's after each step, so those of both come from the batches of the student, each counted once.
    `ignite.handlers.EMAHandler` lacks this decay, and shares buffers between the two networks: a teacher in training
    mode would feed the student's statistics a second time. The average itself is torch's.

    With `teacher_passes` (UA-MT) the teacher sees the images several times, each time with other noise and dropout. The
    first pass is what the student shall agree with, and only where the mean of all is certain (`uncertainty` below
    `threshold`); the consistency is the mean over these pixels.

    Costs a forward pass without gradient for each step after the start of the ramp, and the memory of one more set of
    weights. With `consistency` 0 no teacher is made and nothing is computed.

    Every process of a training makes the same updates from the same weights: the teacher is equal in all. Register it
    after what sets initial weights. `BestAndLast` and `Resume` keep it as one of their objects: `state_dict` holds the
    network that does not predict, since the one that does is kept by itself, as "network".

    Args:
        network: that is trained, the student; not wrapped for several processes.
        consistency: weight of the squared difference of probabilities (`consistency`), the mean over all pixels, when
            the ramp is complete.
        ramp: start and end of its increase (`ramp`), as fractions of the training.
        decay: of the average, in the end.
        activation: how logits are read, "softmax" or "sigmoid".
        predict_with: the network that is validated and kept, "student" or "teacher".
        teacher_passes: number of passes by which the teacher's certainty is judged; 0: all pixels count.
        teacher_noise: standard deviation of the noise in these passes, in units of the images; at most twice that.

    Raises:
        ValueError: if the ramp, `predict_with` or `teacher_passes` is something else, or if a teacher should predict or
            be certain without a consistency.

    References:
        Yu et al. (2019), Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium segmentation.
    """

    def __init__(
        self,
        network: nn.Module,
        consistency: float,
        ramp: Sequence[float],
        decay: float = 0.999,
        activation: str = "softmax",
        predict_with: str = "student",
        teacher_passes: int = 0,
        teacher_noise: float = 0.1,
    ) -> None:
        numbers = isinstance(ramp, Sequence) and all(isinstance(end, int | float) for end in ramp)
        if not numbers or len(ramp) != 2 or not 0 <= ramp[0] < ramp[1] <= 1:
            raise ValueError(f"--consistency_ramp: expected two increasing fractions from 0 to 1, got {ramp!r}.")
        if predict_with not in PREDICTORS:
            raise ValueError(f"--predict_with: expected one of {', '.join(PREDICTORS)}, got {predict_with!r}.")
        if predict_with == "teacher" and not consistency:
            raise ValueError("--predict_with teacher needs a teacher: set --consistency above 0, such as 1.")
        if not isinstance(teacher_passes, int) or teacher_passes < 0:
            raise ValueError(f"--teacher_passes: expected a whole number from 0 on, got {teacher_passes!r}.")
        if teacher_passes and not consistency:
            raise ValueError("--teacher_passes needs a teacher: set --consistency above 0, such as 1.")
        self.network = network
        self.consistency = consistency
        self.ramp = ramp
        self.decay = decay
        self.activation = activation
        self.predict_with = predict_with
        self.teacher_passes = teacher_passes
        self.teacher_noise = teacher_noise
        self.teacher = copy.deepcopy(network).requires_grad_(False).train() if consistency else None

    @property
    def predictor(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.teacher if self.teacher is not None and self.predict_with == "teacher" else self.network

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if self.teacher is None:
            return
        engine.add_event_handler(Events.STARTED, self._start, self.teacher)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self, self.teacher)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._update, self.teacher)
        # processes that cannot exchange batch statistics take over those of process 0 at the end of an epoch
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._copy_buffers, self.teacher)

    def _start(self, engine: Engine, teacher: nn.Module) -> None:
        if any(isinstance(module, nn.SyncBatchNorm) for module in self.network.modules()):
            nn.SyncBatchNorm.convert_sync_batchnorm(teacher)  # type: ignore[no-untyped-call]
        if not engine.state.iteration:  # a training that goes on has its teacher
            teacher.load_state_dict(self.network.state_dict())

    def __call__(self, engine: SupervisedTrainer, teacher: nn.Module) -> None:
        """Add the consistency to the loss of an iteration."""
        state = engine.state
        steps = (state.max_epochs or 1) * (state.epoch_length or 1)
        progress = (state.iteration - 1) / steps
        weight = self.consistency * ramp(progress, *self.ramp)
        if not weight:
            return
        output = state.output
        predicted, unsure = self._predict(engine, output["image"], teacher)
        distance = consistency(output["pred"], predicted, output["label"], self.activation)
        counted = None if unsure is None else (unsure < threshold(progress)) & (output["label"][:, 0] != 0)
        distance = distance if counted is None else torch.where(counted, distance, 0)
        output["loss"] = output["loss"] + weight * reduce(distance, "mean", counted)

    @torch.no_grad()
    def _predict(self, engine: SupervisedTrainer, image: Tensor, teacher: nn.Module) -> tuple[Tensor, Tensor | None]:
        """Return the logits of the teacher, and how uncertain it is if that counts."""
        if not self.teacher_passes:
            return engine.inferer(image, teacher), None
        logits = engine.inferer(noisy(image, self.teacher_noise), teacher)
        mean = self._probabilities(logits)
        for _ in range(1, self.teacher_passes):
            mean += self._probabilities(engine.inferer(noisy(image, self.teacher_noise), teacher))
        return logits, uncertainty(mean / self.teacher_passes, self.activation)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid() if self.activation == "sigmoid" else logits.float().softmax(dim=1)

    def _update(self, engine: Engine, teacher: nn.Module) -> None:
        decay = ema_decay(engine.state.iteration - 1, self.decay)
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average([*teacher.parameters()], [own.detach() for own in self.network.parameters()], 0)
        self._copy_buffers(engine, teacher)

    @torch.no_grad()
    def _copy_buffers(self, _: Engine, teacher: nn.Module) -> None:
        for own, current in zip(teacher.buffers(), self.network.buffers(), strict=True):
            own.copy_(current)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights of the network that does not predict; nothing without a teacher."""
        return {} if self.teacher is None else self._other(self.teacher).state_dict()

    def load_state_dict(self, weights: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        if self.teacher is not None:
            self._other(self.teacher).load_state_dict(weights)

    def _other(self, teacher: nn.Module) -> nn.Module:
        return self.network if self.predict_with == "teacher" else teacher


def handler_of(handler: Handler) -> Handler:
    """Return a handler: MONAI's checks of a configuration expect a component for each, no reference."""
    return handler
