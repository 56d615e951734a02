"""Randomness that depends only on seed and epoch, so that a resumed training repeats an uninterrupted one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.transforms import Randomizable

__all__ = ["SeedEachEpoch"]


class SeedEachEpoch:
    """Seed the transforms and the network's dropout at the start of each epoch.

    The sampler decides the order of the images: `DistributedSampler` draws it from seed and epoch.

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
        torch.manual_seed(state)
        for transform in self.transforms:
            transform.set_random_state(seed=state)
