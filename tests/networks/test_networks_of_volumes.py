"""Losses take a step on patches of volumes, with MONAI's networks and DeepMedic."""

from collections.abc import Callable

import pytest
import torch
from loss_cases import CASES, build
from monai.networks.nets import DynUNet, UNet, VNet
from torch import nn

from common.engines import check_image_size
from common.label_sets import LabelSets
from common.networks import DeepMedic

CLASSES = ["background", "one", "two", "three"]
LABELS = LabelSets(
    CLASSES,
    {"full": [[name] for name in CLASSES], "partial": [["background", "two", "three"], ["one"]], "none": [CLASSES]},
)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet": lambda: UNet(3, 1, 4, channels=[4, 8, 8], strides=[2, 2], num_res_units=1),
    "dynunet": lambda: DynUNet(
        3, 1, 4, kernel_size=[3] * 3, strides=[1, 2, 2], upsample_kernel_size=[2, 2], filters=[4, 8, 8]
    ),
    "vnet": lambda: VNet(3, 1, 4),
    "deepmedic": lambda: DeepMedic(1, 4, widths=[2] * 8, hidden=6),
}


def batch(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (3, 1, size, size, size), generator=generator)
    label[1].clamp_(max=1)
    label[2] = 0
    target = LABELS.encode_batch(label, torch.tensor([0, 1, 2]))
    target[:, :, 0] = 0  # as padding leaves it: ignored
    return torch.rand(3, 1, size, size, size, generator=generator), target


@pytest.fixture(scope="module")
def built() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: make() for name, make in NETWORKS.items()}


@pytest.mark.parametrize(
    ("name", "case"),
    [*(("unet", case) for case in CASES), *((name, "MarginalDiceCELoss") for name in NETWORKS if name != "unet")],
)
def test_one_step_is_finite(built: dict[str, nn.Module], name: str, case: str):
    network, size = built[name].train(), 16 if name == "vnet" else 8
    image, target = batch(size)
    check_image_size(network, image.shape)
    network.zero_grad()
    logits = network(image)
    assert logits.shape == (3, 4, size, size, size)
    build(case)(logits, target).backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert len(gradients) > 5
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_patches_of_unequal_sides_pass(built: dict[str, nn.Module], name: str):
    sides = (32, 16, 16) if name == "vnet" else (16, 8, 12)
    check_image_size(built[name], (2, 1, *sides))
    with torch.no_grad():
        assert built[name].eval()(torch.rand(1, 1, *sides)).shape == (1, 4, *sides)
