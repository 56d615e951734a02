"""Random draws of an epoch depend only on seed and epoch."""

from types import SimpleNamespace

import numpy as np
import torch
from monai.transforms import Compose, RandGaussianNoise

from common.engines import SeedEachEpoch


def draws(seed: int, epoch: int, before: int = 0) -> tuple[float, ...]:
    """Return one number of each source of randomness, after `before` other draws."""
    transform, direct = Compose([RandGaussianNoise(prob=1.0)]), RandGaussianNoise(prob=1.0)
    handler = SeedEachEpoch(seed, [transform, direct])
    for _ in range(before):
        torch.rand(3)
        transform(torch.zeros(1, 2, 2))
        direct(torch.zeros(1, 2, 2))
    handler(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
    noise = (float(random(torch.zeros(1, 2, 2)).sum()) for random in (transform, direct))
    return torch.rand(1).item(), *noise


def test_an_epoch_draws_the_same_whatever_happened_before():
    assert draws(seed=3, epoch=7) == draws(seed=3, epoch=7, before=4)


def test_epochs_and_seeds_draw_differently():
    every = [draws(seed, epoch) for seed in range(4) for epoch in range(1, 5)]
    for source in zip(*every, strict=True):
        assert len(set(source)) == len(every)


def test_large_seeds_are_accepted():
    assert draws(seed=2**40, epoch=1) == draws(seed=2**40, epoch=1)
    assert not np.isnan(draws(seed=2**40, epoch=1)).any()
