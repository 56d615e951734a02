"""Dropout lies in the layers that were asked for, in training alone, and weights fit with and without it."""

from typing import Any

import pytest
import torch
from monai.networks.nets import AttentionUnet, DynUNet, UNet
from torch import nn

from common.networks import SwinUnet, place_dropout
from common.networks.dropout import hidden_layers

SHAPE: dict[str, Any] = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2]}
NETWORKS = {
    "unet": lambda: UNet(**SHAPE, num_res_units=2, act="relu", norm="batch"),
    "attention": lambda: AttentionUnet(**SHAPE),
    "dynunet": lambda: DynUNet(3, 1, 3, [3, 3, 3], [1, 2, 2], [2, 2], filters=[4, 8, 8]),
}
SPATIAL = {"dynunet": 3}
FOUND = {  # in the order of the forward pass, read in MONAI's code
    "unet": [
        *(f"model.0.conv.unit{unit}.adn.N" for unit in (0, 1)),
        *(f"model.1.submodule.conv.unit{unit}.adn.N" for unit in (0, 1)),
        "model.2.0.adn.N",
    ],
    "attention": [
        *(f"model.0.conv.{unit}.adn.N" for unit in (0, 1)),
        *(f"model.1.submodule.conv.{unit}.adn.N" for unit in (0, 1)),
        "model.1.upconv.up.adn.N",
        "model.1.merge.adn.N",
    ],
    "dynunet": [
        f"{block}.norm{unit}"
        for block in ("input_block", "downsamples.0", "bottleneck", "upsamples.0.conv_block", "upsamples.1.conv_block")
        for unit in (1, 2)
    ],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_counted_in_the_order_in_which_they_run(name: str):
    network = NETWORKS[name]()
    names = {module: name for name, module in network.named_modules()}
    assert [names[layer] for layer in hidden_layers(network)] == FOUND[name]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("layers", "dropped"), [("last_two", slice(-2, None)), ("all_but_first_two", slice(2, None))])
def test_half_of_the_elements_of_the_chosen_layers_are_dropped(name: str, layers: str, dropped: slice):
    torch.manual_seed(0)
    network = place_dropout(NETWORKS[name](), 0.5, layers).train()
    outputs: dict[str, torch.Tensor] = {}
    for found in FOUND[name]:
        network.get_submodule(found).register_forward_hook(lambda _, __, out, found=found: outputs.update({found: out}))
    network(torch.randn(2, 1, *[32] * SPATIAL.get(name, 2)))
    zeros = {found: (output == 0).float().mean().item() for found, output in outputs.items()}
    assert len(zeros) == len(FOUND[name])
    for found in FOUND[name]:
        assert zeros[found] == pytest.approx(0.5 if found in FOUND[name][dropped] else 0, abs=0.05), found


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction_and_weights_are_those_without_dropout(name: str):
    torch.manual_seed(0)
    plain, dropping = NETWORKS[name](), place_dropout(NETWORKS[name](), 0.5, "all_but_first_two")
    dropping.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, *[32] * SPATIAL.get(name, 2))
    assert torch.equal(dropping.eval()(image), plain.eval()(image))
    assert str(dropping) == str(plain)
    assert not torch.equal(dropping.train()(image), plain.train()(image))


def test_the_expected_output_is_kept():
    network = place_dropout(nn.Sequential(nn.Conv2d(1, 1, 1), nn.InstanceNorm2d(1)), 0.25, "last_two")
    image = torch.randn(1, 1, 100, 100)
    torch.manual_seed(0)
    dropped = network.train()(image)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], (network.eval()(image) / 0.75)[kept])


def test_a_rate_of_zero_leaves_any_network_alone():
    network = nn.Conv2d(1, 1, 1)
    assert place_dropout(network, 0.0, "last_two") is network


@pytest.mark.parametrize(
    ("network", "layers", "message"),
    [
        (nn.Conv2d(1, 1, 1), "last", r"--dropout_layers: expected one of last_two, all_but_first_two, got 'last'"),
        (nn.Conv2d(1, 1, 1), "last_two", r"--dropout 0\.5: Conv2d has 0 convolutions with .* choose another --network"),
        (
            SwinUnet(in_channels=1, out_channels=2, image_size=32, embed_dim=6, window_size=4),
            "last_two",
            r"SwinUnet has 0 convolutions with batch, instance or group norm",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)),
            "all_but_first_two",
            r"Sequential has 1 convolutions with batch, instance or group norm, too few",
        ),
    ],
)
def test_where_dropout_cannot_be_placed_the_setting_is_refused(network: nn.Module, layers: str, message: str):
    with pytest.raises(ValueError, match=message):
        place_dropout(network, 0.5, layers)
