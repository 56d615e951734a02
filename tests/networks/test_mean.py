"""The mean of probabilities, as logits, at any distance."""

import pytest
import torch
from torch import nn

from common.networks import MeanOfNetworks


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_probabilities_are_the_mean_of_those_of_the_networks(activation: str):
    torch.manual_seed(0)
    networks = [nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 3, padding=1)]
    image = 5 * torch.randn(2, 1, 4, 4)
    read = torch.sigmoid if activation == "sigmoid" else lambda logits: logits.softmax(dim=1)
    found = read(MeanOfNetworks(networks, activation)(image))
    torch.testing.assert_close(found, sum(read(network(image)) for network in networks) / 3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_certain_networks_give_finite_logits(activation: str):
    logits = torch.tensor([[[-300.0], [300.0]]])
    found = MeanOfNetworks([nn.Identity(), nn.Identity()], activation)(logits)
    assert found.isfinite().all()
    assert float(found[0, 1, 0] - found[0, 0, 0]) == pytest.approx(600)
