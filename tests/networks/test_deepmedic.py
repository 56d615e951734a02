"""DeepMedic has the published widths and fields of view, keeps the size of its input, and learns."""

from itertools import pairwise

import pytest
import torch
from monai.bundle import ConfigParser

import common.losses
from common.networks import DeepMedic
from common.networks.deepmedic import DeepMedicPathway


def small(**settings: object) -> DeepMedic:
    torch.manual_seed(0)
    return DeepMedic(**{"in_channels": 1, "out_channels": 3, "widths": [4] * 8, "hidden": 12, **settings})


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def wide() -> DeepMedic:
    return DeepMedic(1, 7)


def test_the_wide_network_has_the_published_widths_and_parameters(wide: DeepMedic):
    widths = [1, 30, 40, 50, 60, 70, 80, 90, 100]
    convolutions = [module for module in wide.modules() if isinstance(module, torch.nn.Conv3d)]
    assert [one.out_channels for one in convolutions] == [*widths[1:] * 3, 300, 300, 7]
    pairs = list(pairwise(widths))
    pathway = sum(27 * one * other for one, other in pairs) + sum(3 * width for width in widths[1:-1])
    hidden = 27 * 300 * 300 + 300 * 300 + 300 * 7 + 3 * 3 * 300  # batch norm and PReLU: 3 a channel
    assert parameters(wide) == 3 * pathway + hidden + 7


def test_a_segment_of_37_voxels_gives_the_21_of_its_middle_and_one_of_45_gives_29(wide: DeepMedic):
    narrow = DeepMedicPathway(1, [2] * 8, 1)
    assert narrow.convolve(torch.zeros(1, 1, 37, 37, 37)).shape[2:] == (21, 21, 21)
    assert narrow.convolve(torch.zeros(1, 1, 45, 45, 45)).shape[2:] == (29, 29, 29)
    assert [pathway.field_of_view for pathway in wide.pathways] == [17, 51, 85]


@pytest.mark.parametrize(("factor", "field"), [(1, 17), (3, 51), (5, 85)])
def test_a_voxel_depends_on_just_the_field_of_view_of_its_pathway(factor: int, field: int):
    torch.manual_seed(0)
    pathway = DeepMedicPathway(1, [1] * 8, factor).eval()
    side = field + 2 * factor  # the middle of the image is that of a cube
    middle = side // 2
    image = torch.rand(1, 1, side, side, side, requires_grad=True)
    pathway(image)[0, 0, middle, middle, middle].backward()
    seen = image.grad[0, 0] != 0
    for axes in ((1, 2), (0, 2), (0, 1)):
        places = seen.any(dim=axes[1]).any(dim=axes[0]).nonzero().flatten()
        assert (int(places[-1] - places[0]) + 1, int(places[0] + places[-1])) == (field, 2 * middle), "and centred"


@pytest.mark.parametrize("shape", [(12, 9, 10), (15, 15, 15), (1, 7, 20)])
def test_logits_have_the_size_of_the_image(shape: tuple[int, ...]):
    logits = small()(torch.rand(2, 1, *shape))
    assert logits.shape == (2, 3, *shape)
    assert bool(logits.isfinite().all())


def test_far_from_the_border_a_shifted_image_has_shifted_logits():
    """By 15 voxels: both coarser grids shift by whole cubes."""
    network = small(widths=[3] * 4).eval()  # fields of view of 9, 27 and 45 voxels, and of the first hidden layer
    image = torch.rand(1, 1, 90, 15, 15)
    with torch.no_grad():
        first, second = network(image[:, :, :75]), network(image[:, :, 15:])
    torch.testing.assert_close(first[:, :, 42:48], second[:, :, 27:33], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(first[:, :, 15:21], second[:, :, :6], atol=1e-2), "the border is another"


def test_every_second_layer_from_the_fourth_adds_the_input_of_the_layer_before_it():
    pathway = DeepMedicPathway(1, [2, 3, 4, 5, 6, 7, 8, 9], 1).eval()
    for number in (4, 6, 8):
        torch.nn.init.zeros_(pathway.layers[number - 1][-1].weight)
    image = torch.rand(1, 1, 19, 19, 19)
    second = pathway.layers[1](pathway.layers[0](image))
    fourth = torch.cat([second[:, :, 2:-2, 2:-2, 2:-2], torch.zeros(1, 2, 11, 11, 11)], dim=1)
    expected = torch.cat([fourth[:, :, 4:-4, 4:-4, 4:-4], torch.zeros(1, 4, 3, 3, 3)], dim=1)
    torch.testing.assert_close(pathway.convolve(image), expected)


def test_dropout_acts_where_it_is_stated():
    rates = [module.p for module in small().modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.0] * 21 + [0.0, 0.5, 0.5]
    rates = [module.p for module in small(pathway_dropout=0.5).modules() if isinstance(module, torch.nn.Dropout)]
    assert rates == [0.0, *[0.5] * 6] * 3 + [0.0, 0.5, 0.5], "the first two layers drop nothing"
    with pytest.raises(ValueError, match=r"dropout of two hidden layers and the classification, got \[0\.5\]"):
        small(dropout=[0.5])


def test_a_few_steps_learn_from_partial_labels_and_a_configuration_builds_it():
    torch.manual_seed(0)
    settings = {"_target_": "common.networks.DeepMedic", "widths": [4] * 8, "hidden": 8, "dropout": [0, 0, 0]}
    network = ConfigParser({"net": {**settings, "in_channels": 1, "out_channels": 3}}).get_parsed_content("net")
    image = torch.zeros(2, 1, 8, 8, 8)
    image[:, :, 2:6, 2:6, 2:6] = 1
    target = torch.where(image > 0, 2, 5).expand(-1, 2, -1, -1, -1).clone()
    target[:, 1] = 2  # class 2 hides in the background
    loss, optimizer = common.losses.MarginalLoss(), torch.optim.Adam(network.parameters(), 0.01)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        values.append(loss(network(image), target))
        values[-1].backward()
        optimizer.step()
    assert values[-1].item() < 0.5 * values[0].item()
