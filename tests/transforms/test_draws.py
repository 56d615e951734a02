"""Draws depend on the key (seed, epoch, transform) and on the image alone, and are as random as others."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from monai.transforms import Compose
from scipy.stats import chisquare, kstest
from torch.utils.data import DataLoader, Dataset

from common.engines import SeedEachEpoch
from common.label_sets import LabelSets
from common.transforms import EncodeLabelSetsd, RandAugmentd, RandLabelDropoutd
from common.transforms.draws import DrawsPerImage, key_of, uniform

CLASSES = ["background", "lv", "la"]
LABELS = LabelSets(CLASSES, {"all": [[name] for name in CLASSES], "lv_only": [["background", "la"], ["lv"]]})
KEY = torch.tensor(key_of(3, 1))


def pipeline() -> Compose:
    return Compose([RandAugmentd(blur=1.5), EncodeLabelSetsd(LABELS), RandLabelDropoutd(LABELS, 0.5)])


class Images(Dataset):
    """Random images and annotations, given as whole batches."""

    def __getitems__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(24, 1, 16, 16, generator=generator)
        label = torch.randint(3, (24, 1, 16, 16), generator=generator, dtype=torch.uint8)
        index = torch.tensor(indices)
        return {"image": image[index], "label": label[index], "dataset": index * 0, "index": index}

    def __len__(self) -> int:
        return 24


def at(epoch: int, transform: Compose, seed: int = 0) -> Compose:
    SeedEachEpoch(seed, [transform])(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
    return transform


def test_the_bits_are_those_of_splitmix64():
    """The definition in Python's integers of any length."""

    def mix(bits: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            bits = ((bits ^ (bits >> shift)) * factor) % 2**64
        return bits ^ (bits >> 31)

    step, index, key = 0x9E3779B97F4A7C15, 123456789, int(KEY) % 2**64
    of_image = mix(mix(index * step % 2**64) ^ key)
    expected = [(mix((of_image + number * step) % 2**64) >> 40) / 2**24 for number in (1, 2, 3)]
    assert uniform(KEY, torch.tensor([index]), 3).tolist() == [expected]
    assert mix(step) == 0xE220A8397B1DCDAF, "the first number of the published generator for seed 0"


@pytest.mark.parametrize("index", [torch.arange(20_000), torch.arange(20_000) * 2**20], ids=["near", "far"])
def test_draws_are_uniform_and_independent_over_images_numbers_and_epochs(index: torch.Tensor):
    first, second = (uniform(torch.tensor(key_of(0, epoch)), index, 2).double() for epoch in (1, 2))
    neighbours = torch.stack([first[:-1, 0], first[1:, 0]], dim=1)
    assert kstest(first.flatten().numpy(), "uniform").pvalue > 0.001
    for pair in (first, torch.stack([first[:, 0], second[:, 0]], dim=1), neighbours):
        cells = (pair * 16).long() @ torch.tensor([16, 1])
        assert chisquare(torch.bincount(cells, minlength=256).numpy()).pvalue > 0.001


def test_keys_keep_seeds_epochs_and_order_apart():
    keys = [key_of(seed, epoch) for seed in (0, 1, -1, 2**40) for epoch in range(1000)]
    assert len(set(keys)) == 4000
    assert key_of(1, 2) != key_of(2, 1)


def test_what_an_image_draws_does_not_depend_on_its_batch():
    whole = at(3, pipeline())(Images().__getitems__(list(range(24))))
    transform = at(3, pipeline())
    transform(Images().__getitems__([5, 6]))  # earlier batches do not matter either
    part = transform(Images().__getitems__([20, 4, 11]))
    for key in ("image", "label"):
        torch.testing.assert_close(part[key], whole[key][[20, 4, 11]])


def test_seeds_epochs_and_images_draw_differently():
    batch = Images().__getitems__([0, 1]) | {"image": torch.rand(1, 1, 16, 16).expand(2, -1, -1, -1)}
    results = [at(epoch, pipeline(), seed)(batch)["image"] for seed in (0, 1) for epoch in (1, 2)]
    images = torch.cat(results).flatten(start_dim=1)
    assert len(images.unique(dim=0)) == 8


def test_two_transforms_of_one_kind_draw_differently():
    class Noise(DrawsPerImage):
        def __call__(self, data: dict) -> dict:
            return {**data, "drawn": [*data.get("drawn", []), self.draw(data, 1)]}

    nested = at(1, Compose([Noise(), Compose([Noise()]), Noise()]))
    drawn = nested(Images().__getitems__([7]))["drawn"]
    assert len({float(number) for number in drawn}) == 3


@pytest.mark.parametrize("kept", [False, True], ids=["new_workers", "persistent_workers"])
def test_workers_draw_what_one_process_draws(kept: bool):
    def epochs(**settings: object) -> list[torch.Tensor]:
        transform = pipeline()
        collate: Callable[[dict], dict] = transform
        loader = DataLoader(Images(), batch_size=8, collate_fn=collate, **settings)
        drawn = []
        for epoch in (1, 2):
            at(epoch, transform)
            drawn.append(torch.cat([batch["image"] for batch in loader]))
        return drawn

    alone, shared = epochs(), epochs(num_workers=2, persistent_workers=kept)
    torch.testing.assert_close(shared, alone)
    assert not torch.equal(*alone)
