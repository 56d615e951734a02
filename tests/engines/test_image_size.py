"""Sizes that a network cannot take are refused, with the nearest that fit."""

from typing import Any

import pytest
import torch
from monai.networks.nets import AttentionUnet, UNet
from torch import nn

from common.engines import check_image_size


def unet(**more: Any) -> nn.Module:
    return UNet(spatial_dims=2, in_channels=1, out_channels=3, channels=[4, 8, 8], strides=[2, 2], **more)


@pytest.mark.parametrize("network", [unet(), unet(num_res_units=2, norm="batch"), unet(norm="instance", dropout=0.2)])
def test_sizes_that_do_not_divide_are_refused_with_the_nearest_that_do(network: nn.Module):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    check_image_size(network, (1, 1, 32, 32))
    for size, nearest in ((30, "28 and 32"), (33, "32 and 36")):
        with pytest.raises(ValueError, match=rf"--image_size {size}; the nearest that fit are {nearest}\.$"):
            check_image_size(network, (1, 1, size, size))
    torch.testing.assert_close(dict(network.state_dict()), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training


def test_volumes_and_other_networks_are_checked_too():
    volumes = UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=[4, 8], strides=[2])
    check_image_size(volumes, (1, 1, 8, 8, 8))
    check_image_size(volumes, (1, 1, 8, 10, 6))
    message = r"--image_size \[9, 9, 9\]; the nearest that fit are \[8, 8, 8\] and \[10, 10, 10\]\."
    with pytest.raises(ValueError, match=message):
        check_image_size(volumes, (1, 1, 9, 9, 9))
    with pytest.raises(ValueError, match=r"--image_size \[8, 9, 6\]; the nearest that fit are \[8, 8, 6\] and \["):
        check_image_size(volumes, (1, 1, 8, 9, 6))
    gated = AttentionUnet(spatial_dims=2, in_channels=1, out_channels=2, channels=[4, 8], strides=[2])
    check_image_size(gated, (1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"choose another --image_size or --network"):
        check_image_size(gated, (1, 2, 8, 8))


def test_one_image_a_batch_of_which_the_network_leaves_one_pixel_cannot_be_normalised():
    with pytest.raises(ValueError, match=r"--image_size 4; the nearest that fit are 8\."):
        check_image_size(unet(norm="batch"), (1, 1, 4, 4))
    check_image_size(unet(norm="batch"), (2, 1, 4, 4))
