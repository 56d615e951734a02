"""Randomness that depends only on seed and epoch, so that a resumed training repeats an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from ignite.engine import Engine, Events
from monai.transforms import Compose, Randomizable

from ..transforms.draws import DrawsPerImage, key_of
from .processes import rank

__all__ = ["SeedEachEpoch"]


class SeedEachEpoch:
    """Seed the transforms and the network's dropout at the start of each epoch.

    Transforms that draw for each image (`DrawsPerImage`) receive a key of their own, of seed, epoch and their position:
    their draws do not depend on the batch, the process or the worker. The sampler decides the order of the images:
    `DistributedSampler` draws it from seed and epoch.

    Args:
        seed: of the run.
        transforms: random transforms; a Compose counts as one.
    """

    def __init__(self, seed: int, transforms: Sequence[Randomizable]) -> None:
        self.seed = seed
        self.transforms = transforms

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed everything for the epoch that is starting."""
        # a large odd factor keeps (seed, epoch) pairs apart; generators take 64 bits, MONAI's R takes 32
        state = (self.seed * 1_000_003 + engine.state.epoch) % 2**32
        torch.manual_seed(state + (rank() << 32))  # the dropout of each process is its own
        for transform in self.transforms:
            transform.set_random_state(seed=state)
        for position, step in enumerate(step for transform in self.transforms for step in _steps(transform)):
            if isinstance(step, DrawsPerImage):
                step.set_key(key_of(self.seed, engine.state.epoch, position))


def _steps(transform: object) -> Iterator[object]:
    if isinstance(transform, Compose):
        for step in transform.transforms:
            yield from _steps(step)
    else:
        yield transform
