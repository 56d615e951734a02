"""Randomness that depends only on seed and epoch, so that a resumed training repeats an uninterrupted one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ignite.engine import Engine, Events
from monai.transforms import Compose, Randomizable
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from ..command import PACKAGE
from ..transforms.draws import DrawsPerBatch, DrawsPerImage, DrawsPerItem, key_of
from ..transforms.generators import drawn_from, seed_all, seed_held
from .processes import rank

__all__ = ["SeedEachEpoch", "drawn_network"]


def drawn_network(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network whose initial weights depend on a seed alone, whatever has drawn before.

    Example:
        >>> one, other = (drawn_network(lambda: nn.Linear(2, 2), 3) for _ in range(2))
        >>> bool((one.weight == other.weight).all())
        True
    """
    with drawn_from(seed % 2**32, []):
        return factory()


class SeedEachEpoch:
    """Seed the transforms and the generators of torch (dropout), NumPy and Python at the start of each epoch.

    Transforms that draw for each image (`DrawsPerImage`) receive a key of their own, of seed, epoch and their position:
    their draws do not depend on the batch, the process or the worker. Others within a Compose become `DrawsPerBatch`,
    and a dataset that is not of this package becomes `DrawsPerItem`. Generators that loss and network hold are seeded.
    The sampler decides the order of the images: `DistributedSampler` draws it from seed and epoch.

    Args:
        seed: of the run.
        transforms: random transforms; a Compose counts as one.
    """

    def __init__(self, seed: int, transforms: Sequence[Randomizable]) -> None:
        self.seed = seed
        self.transforms = transforms
        for transform in transforms:
            _draw_per_batch(transform)

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed everything for the epoch that is starting.

        Raises:
            ValueError: if the workers of the loader would all draw the same.
        """
        loader = getattr(engine.state, "dataloader", None)
        self._check_workers(loader)
        # a large odd factor keeps (seed, epoch) pairs apart; generators take 64 bits, MONAI's R takes 32
        state = (self.seed * 1_000_003 + engine.state.epoch) % 2**32
        own = (state + rank() * 0x9E3779B1) % 2**32  # the dropout of each process; torch reads 32 bits on the CPU
        seed_all(own)
        seed_held([getattr(engine, name, None) for name in ("loss_function", "network")], own)
        samplers = (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None))
        seed_held([getattr(each, "generator", None) for each in samplers], state)
        for transform in self.transforms:
            transform.set_random_state(seed=state)
        steps = [step for transform in self.transforms for step in _steps(transform)]
        for position, step in enumerate([*steps, _drawing_dataset(loader)]):
            if isinstance(step, DrawsPerImage):
                step.set_key(key_of(self.seed, engine.state.epoch, position))

    def _check_workers(self, loader: Any) -> None:
        collate = getattr(loader, "collate_fn", None)
        known = type(collate) is Compose or isinstance(collate, DrawsPerImage)
        alone = isinstance(collate, Randomizable) and not known
        if alone and loader.num_workers:
            raise ValueError(
                f"all workers of the data loader would draw the same in {type(collate).__name__}; put it into a "
                "Compose, or leave num_workers out."
            )


def _draw_per_batch(transform: Any) -> None:
    """Make the steps of a Compose that are not of this package draw per batch, in place."""
    if type(transform) is Compose:
        steps = list(transform.transforms)
        for position, step in enumerate(steps):
            _draw_per_batch(step)
            known = type(step) is Compose or type(step).__module__.startswith(f"{PACKAGE}.")
            steps[position] = step if known else DrawsPerBatch(step)
        transform.transforms = steps


def _drawing_dataset(loader: Any) -> DrawsPerItem | None:
    """Make the dataset of a loader draw per item, in place, and return it; None if it is of this package."""
    dataset = getattr(loader, "dataset", None)
    if isinstance(dataset, DrawsPerItem):
        return dataset
    known = type(dataset).__module__.startswith(f"{PACKAGE}.")
    if known or not isinstance(loader, DataLoader) or isinstance(dataset, IterableDataset):
        return None
    drawing = DrawsPerItem(dataset)
    object.__setattr__(loader, "dataset", drawing)  # torch refuses it, for loaders that run; this one starts later
    return drawing


def _steps(transform: object) -> Iterator[object]:
    if isinstance(transform, Compose):
        for step in transform.transforms:
            yield from _steps(step)
    else:
        yield transform
        if isinstance(transform, DrawsPerBatch):
            yield from _steps(transform.transform)
