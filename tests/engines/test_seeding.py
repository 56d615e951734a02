"""Random draws of an epoch depend only on seed and epoch."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, DeleteItemsd, RandGaussianNoise, RandomizableTransform
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset

from common.engines import SeedEachEpoch
from common.label_sets import LabelSets
from common.transforms import RandLabelDropoutd

LABELS = LabelSets(["background", "lv", "la"], {"lv_only": [["background", "la"], ["lv"]]})
ADMITTED = torch.tensor([[[5, 2], [7, 7]]], dtype=torch.uint8)


def draws(seed: int, epoch: int, before: int = 0) -> tuple[float, ...]:
    """Return one number of each source of randomness, after `before` other draws."""
    transform, direct = Compose([RandGaussianNoise(prob=1.0)]), RandGaussianNoise(prob=1.0)
    handler = SeedEachEpoch(seed, [transform, direct])
    for _ in range(before):
        torch.rand(3)
        transform(torch.zeros(1, 2, 2))
        direct(torch.zeros(1, 2, 2))
    start(handler, epoch)
    noise = (float(draw(torch.zeros(1, 2, 2)).sum()) for draw in (transform, direct))
    return torch.rand(1).item(), np.random.rand(), random.random(), *noise  # noqa: NPY002


def start(handler: SeedEachEpoch, epoch: int, loader: Any = None) -> None:
    """Start an epoch."""
    handler(SimpleNamespace(state=SimpleNamespace(epoch=epoch, dataloader=loader)))


def test_an_epoch_draws_the_same_whatever_happened_before():
    assert draws(seed=3, epoch=7) == draws(seed=3, epoch=7, before=4)


def test_epochs_and_seeds_draw_differently():
    every = [draws(seed, epoch) for seed in range(4) for epoch in range(1, 5)]
    for source in zip(*every, strict=True):
        assert len(set(source)) == len(every)


def test_processes_draw_differently_from_every_generator(monkeypatch: pytest.MonkeyPatch):
    alone = draws(seed=3, epoch=7)[:3]
    every = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "4")
        every.append(draws(seed=3, epoch=7)[:3])
    assert every[0] == alone
    for source in zip(*every, strict=True):
        assert len(set(source)) == 4


def test_large_seeds_are_accepted():
    assert draws(seed=2**40, epoch=1) == draws(seed=2**40, epoch=1)
    assert not np.isnan(draws(seed=2**40, epoch=1)).any()


GENERATOR = np.random.default_rng()


def drawing_function() -> Callable[[], float]:
    """Return a function that holds a generator."""
    generator = random.Random()
    return lambda: generator.random()


class Closed(Mapping):
    """A mapping like a closed file, which cannot be read."""

    def __getitem__(self, key: str) -> None:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["key"])

    def __len__(self) -> int:
        return 1


@dataclass(slots=True)
class Slots:
    """An object without a dictionary."""

    drawn: random.Random = field(default_factory=random.Random)


def by_default(generator: np.random.Generator = np.random.default_rng()) -> float:  # noqa: B008
    return generator.random()


class Own(RandomizableTransform):
    """Adds a number to a batch, from a generator of the user's choice."""

    shared = np.random.default_rng()

    def __init__(self, number: Callable[["Own"], float]) -> None:
        super().__init__()
        self.number = number
        self.generators = [np.random.default_rng(), np.random.RandomState(), random.Random(), torch.Generator()]
        self.parts = {"noise": {"drawn": np.random.default_rng()}, "other": SimpleNamespace(drawn=random.Random())}
        self.drawn = drawing_function()
        self.others = deque([Slots(), by_default, self.parts, Closed()])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, "image": batch["image"] + self.number(self)}


class Holder:
    """A transform that is not random by itself."""

    def __init__(self, held: Callable[[Any], Any]) -> None:
        self.held = held

    def __call__(self, batch: Any) -> Any:
        return self.held(batch)


class Own2(Compose):
    """A Compose of the user's."""


GENERATORS: dict[str, Callable[[Own], float]] = {
    "R": lambda own: own.R.rand(),
    "torch": lambda _: torch.rand(1).item(),
    "numpy": lambda _: np.random.rand(),  # noqa: NPY002
    "python": lambda _: random.random(),
    "own_numpy": lambda own: own.generators[0].random(),
    "own_old_numpy": lambda own: own.generators[1].random_sample(),
    "own_python": lambda own: own.generators[2].random(),
    "own_torch": lambda own: torch.rand(1, generator=own.generators[3]).item(),
    "in_mappings": lambda own: own.parts["noise"]["drawn"].random(),
    "in_an_object": lambda own: own.parts["other"].drawn.random(),
    "in_a_closure": lambda own: own.drawn(),
    "of_the_class": lambda own: own.shared.random(),
    "in_slots": lambda own: own.others[0].drawn.random(),
    "by_default": lambda own: own.others[1](),
    "of_the_module": lambda _: GENERATOR.random(),
}


class Batches:
    """Collates images into a batch, as the datasets here do, and transforms it."""

    def __init__(self, transform: Callable[[Any], Any]) -> None:
        self.transform = transform

    def __call__(self, images: list[int]) -> Any:
        return self.transform({"image": torch.zeros(len(images)), "label": ADMITTED, "index": torch.tensor(images)})


@pytest.mark.parametrize("source", [*GENERATORS, "held"])
def test_own_transforms_draw_the_same_with_any_number_of_workers_and_never_twice(source: str):
    def epochs(workers: int) -> list[list[float]]:
        own = Holder(Own(GENERATORS["R"])) if source == "held" else Own(GENERATORS[source])
        augmentation = Compose([own])
        handler = SeedEachEpoch(0, [augmentation])
        loader = DataLoader(
            list(range(8)),  # type: ignore[arg-type]
            batch_size=2,
            collate_fn=Batches(augmentation),
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        found = []
        for epoch in (1, 2):
            start(handler, epoch, loader)
            dropout = torch.rand(1).item()  # of the network, between two batches
            found.append([*(float(batch["image"][0]) for batch in loader), dropout])
        return found

    alone, shared = epochs(0), epochs(2)
    assert alone == shared
    assert len({number for epoch in alone for number in epoch}) == 10


class OwnItems(Dataset):
    """A dataset that draws as its items are asked for, one by one or as batches."""

    def __init__(self, source: str) -> None:
        self.source, self.transform = source, Compose([RandGaussianNoise(prob=1.0)])
        self.own = Own(GENERATORS[source]) if source in GENERATORS else None

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> float:
        if self.own is not None:
            return self.own.number(self.own)
        return float(self.transform(torch.zeros(1, 1)))


class OwnBatches(OwnItems):
    """One that makes whole batches."""

    def __getitems__(self, indices: list[int]) -> list[float]:
        return [self[index] for index in indices]


class OwnSingle(OwnBatches):
    """One that a subclass makes single items of, as torch allows."""

    __getitems__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("source", [*GENERATORS, "compose"])
@pytest.mark.parametrize("kind", [OwnItems, OwnBatches, OwnSingle])
def test_own_datasets_draw_by_item_with_any_number_of_workers_and_never_twice(kind: type[OwnItems], source: str):
    def epochs(workers: int) -> list[list[float]]:
        handler = SeedEachEpoch(0, [])
        loader = DataLoader(kind(source), batch_size=2, num_workers=workers, persistent_workers=workers > 0)
        found = []
        for epoch in (1, 2):
            start(handler, epoch, loader)
            found.append(torch.cat(list(loader)).tolist())
        return found

    alone, shared = epochs(0), epochs(2)
    assert alone == shared
    assert len({number for epoch in alone for number in epoch}) == 16


@pytest.mark.parametrize("place", ["loss_function", "network"])
def test_generators_of_losses_and_networks_draw_the_same_after_a_resume(place: str):
    drawn = []
    for epochs in ([1, 2, 3], [3]):
        own = torch.nn.Sequential(torch.nn.Identity())
        own[0].generator = torch.Generator()
        handler = SeedEachEpoch(0, [])
        for epoch in epochs:
            handler(SimpleNamespace(state=SimpleNamespace(epoch=epoch, dataloader=None), **{place: own}))
            numbers = torch.rand(5, generator=own[0].generator).tolist()
        drawn.append(numbers)
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("seed", [0, 1])
def test_an_item_of_a_subset_draws_the_same_in_any_batch(seed: int):
    loader = DataLoader(Subset(OwnItems("own_numpy"), range(8)), batch_size=2)  # type: ignore[arg-type]
    start(SeedEachEpoch(seed, []), 1, loader)
    first, second = loader.dataset.__getitems__([3, 5]), loader.dataset.__getitems__([5, 1])
    assert first[1] == second[0]
    assert loader.dataset.indices == range(8), "attributes are those of the dataset"


def test_generators_of_samplers_draw_the_same_after_a_resume():
    orders = []
    for epochs in ([1, 2, 3], [3]):
        generator = torch.Generator().manual_seed(0)
        loader = DataLoader(range(8), sampler=RandomSampler(range(8), generator=generator))  # type: ignore[arg-type]
        for epoch in epochs:
            start(SeedEachEpoch(0, []), epoch, loader)
            order = torch.cat(list(loader)).tolist()
        orders.append(order)
    assert orders[0] == orders[1]


def test_a_step_may_know_the_pipeline_that_it_is_in():
    own = Own(GENERATORS["R"])
    augmentation = Compose([own])
    own.pipeline = augmentation  # type: ignore[attr-defined]
    start(SeedEachEpoch(0, [augmentation]), 1)
    assert float(Batches(augmentation)([1])["image"][0]) != 0


class Counted(RandomizableTransform):
    """A transform that keeps its seed as a number."""

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "Counted":  # noqa: ARG002
        self.number = seed
        return self

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, "drawn": self.number}


def test_a_transform_that_seeds_itself_in_another_way_is_asked_to():
    augmentation = Compose([Counted()])
    start(SeedEachEpoch(0, [augmentation]), 1)
    first, second, again = (Batches(augmentation)([image])["drawn"] for image in (1, 2, 1))
    assert first == again != second


def test_transforms_within_one_draw_differently():
    noises = Compose([RandGaussianNoise(prob=1.0), RandGaussianNoise(prob=1.0)])
    augmentation = Compose([Holder(lambda batch: {**batch, "drawn": [noise.R.rand() for noise in noises.transforms]})])
    start(SeedEachEpoch(0, [augmentation]), 1)
    one, other = Batches(augmentation)([3])["drawn"]
    assert one != other


@pytest.mark.parametrize("kind", [Own, Own2])
def test_a_transform_that_all_workers_would_repeat_is_refused(kind: Callable[[Any], Any]):
    own = kind(GENERATORS["R"])
    handler = SeedEachEpoch(0, [own])
    start(handler, 1, DataLoader([1, 2], collate_fn=own))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"workers of the data loader would draw the same in Own2?; put it into"):
        start(handler, 1, DataLoader([1, 2], collate_fn=own, num_workers=2))  # type: ignore[arg-type]


@pytest.mark.parametrize("later", [RandLabelDropoutd(LABELS, 0.5), Own(GENERATORS["own_numpy"])])
def test_a_step_that_drops_the_number_of_each_image_is_refused_where_workers_would_repeat_draws(later: Any):
    augmentation = Compose([DeleteItemsd("index"), later])
    handler = SeedEachEpoch(0, [augmentation])
    drawn = []
    for _ in range(2):
        start(handler, 1)
        drawn.append([Batches(augmentation)([position]) for position in range(3)])
    assert str(drawn[0]) == str(drawn[1]), "one process draws the same again"
    loader = DataLoader([0, 1], collate_fn=Batches(augmentation), num_workers=1)  # type: ignore[arg-type]
    start(handler, 1, loader)
    with pytest.raises(RuntimeError, match=f"{type(later).__name__} needs the 'index' of each image, which its batch"):
        list(loader)


def test_initial_weights_depend_on_the_seed_and_not_on_what_is_built_before():
    train = Path(__file__).parents[2] / "bundles/echo_segmentation/configs/train.yaml"
    given = {"cotrain": True, "device": "cpu", "image_size": 64}

    def weights(*order: str, seed: int = 3) -> dict[str, Tensor]:
        torch.rand(1)  # of whoever uses the workflow
        parser = ConfigParser({**ConfigParser.load_config_file(train), **given, "seed": seed})
        built = {name: parser.get_parsed_content(name) for name in order}
        return {name: next(built[name].parameters()) for name in sorted(order)}

    first, other = weights("network_def", "second"), weights("second", "network_def")
    torch.testing.assert_close(first, other, rtol=0, atol=0)
    torch.manual_seed(3)
    parser = ConfigParser(ConfigParser.load_config_file(train))
    assert next(parser.get_parsed_content("networks::unet")().parameters()).equal(first["network_def"])
    assert not first["network_def"].equal(first["second"])
    assert not first["network_def"].equal(weights("network_def", seed=4)["network_def"])
