"""Networks are built from the record of their weights, with the arguments that they were trained with."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from common.engines import architecture_of, check_explicit_network, network_of, with_weights
from common.engines.architecture import build_network
from common.engines.weights_record import write_record
from common.networks import SwinUnet

UNETS: dict[str, Any] = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3, "strides": [2, 2]}
SMALL, LARGE = (partial(UNet, **UNETS, channels=channels) for channels in ((4, 8, 16), (8, 16, 32)))
NETWORKS = {"unet": LARGE, "swin": None}
RECORD = {"network": "unet", "architecture": architecture_of(SMALL)}


def test_an_architecture_is_the_address_of_its_class_and_plain_arguments():
    assert architecture_of(SMALL) == {"_target_": "monai.networks.nets.UNet", **UNETS, "channels": [4, 8, 16]}
    assert architecture_of(nn.Identity) == {"_target_": "torch.nn.Identity"}
    swin = partial(SwinUnet, in_channels=1, image_size=64, out_channels=2, embed_dim=12, window_size=4)
    assert architecture_of(swin)["_target_"] == ".networks.SwinUnet", "the package has another name in other copies"
    assert isinstance(build_network(architecture_of(swin)), SwinUnet)


def test_the_dropout_of_the_training_is_recorded_and_not_built(tmp_path: Path):
    placed = {"rate": 0.5, "layers": "last_two"}
    assert architecture_of(SMALL, {**placed, "rate": 0.0}) == architecture_of(SMALL)
    architecture = architecture_of(SMALL, placed)
    assert architecture == {**architecture_of(SMALL), "_dropout_": placed}
    assert str(build_network(architecture)) == str(SMALL())
    record = {"network": "unet", "architecture": architecture}
    for networks in (NETWORKS, {"unet": SMALL}):
        assert str(network_of(record, networks)) == str(SMALL())
        network = network_of(record, networks).train()
        assert not any(module._forward_hooks for module in network.modules())
    torch.save(SMALL().state_dict(), tmp_path / "model.pt")
    write_record(tmp_path / "model.pt", record, (tmp_path / "model.pt").read_bytes())
    check_explicit_network(tmp_path / "model.pt", {}, SMALL())


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (nn.Identity(), r"the network Identity is built already; add `_mode_: callable` to its entry of networks"),
        (partial(UNet, act=nn.ReLU), r"the argument act of UNet is <class .*, which a record of weights cannot hold"),
    ],
)
def test_what_a_record_cannot_hold_is_refused(factory: Any, message: str):
    with pytest.raises(ValueError, match=message):
        architecture_of(factory)


def test_the_network_is_that_of_the_record_whatever_the_configuration_says():
    assert str(network_of(RECORD, NETWORKS)) == str(SMALL())
    assert str(network_of(RECORD, NETWORKS, ["networks::unet::strides", "networks#unet#strides#0"])) == str(SMALL())
    assert str(network_of({"network": "unet"}, NETWORKS)) == str(LARGE()), "weights without record: by hand"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "networks::unet::channels",
            r"trained with channels \[4, 8, 16\], not --networks::unet::channels \[8, 16, 32\]",
        ),
        ("networks::swin::embed_dim", r"trained with network unet, not --networks::swin::embed_dim ; leave it out"),
    ],
)
def test_a_stated_argument_must_not_contradict_the_record(given: str, message: str):
    with pytest.raises(ValueError, match=message):
        network_of(RECORD, NETWORKS, [given])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            {"_target_": "os.system", "command": "true"},
            r"names 'os.system' as their network; expected a torch.nn.Module",
        ),
        ({"_target_": "nowhere.Net"}, r"names the network 'nowhere.Net', which is not here \(No module"),
        ({"_target_": "torch.nn.Linear", "width": 3}, r"torch.nn.Linear cannot be built as the record .*: .*width"),
        ({}, r"the record of the weights names"),
    ],
)
def test_a_record_from_elsewhere_builds_networks_and_nothing_else(architecture: dict, message: str):
    with pytest.raises(ValueError, match=message):
        network_of({"network": "unet", "architecture": architecture}, {})


def test_weights_are_loaded_or_the_first_difference_is_named():
    trained = SMALL()
    loaded = with_weights(SMALL(), trained.state_dict(), "w.pt")
    torch.testing.assert_close(loaded.state_dict(), trained.state_dict(), rtol=0, atol=0)
    with pytest.raises(
        ValueError, match=r"^w\.pt does not fit this network: .*Use other weights \(--checkpoint PATH\), or"
    ):
        with_weights(LARGE(), trained.state_dict(), "w.pt")


def test_a_configuration_that_spells_out_another_network_is_refused(tmp_path: Path):
    path = tmp_path / "model.pt"
    trained = partial(SMALL, act="relu")
    torch.save(trained().state_dict(), path)
    check_explicit_network(path, {"image_size": 32}, trained())
    write_record(path, {"image_size": 64, "architecture": architecture_of(trained)}, path.read_bytes())
    check_explicit_network(path, {"image_size": 64}, trained())
    with pytest.raises(ValueError, match=r"trained with image_size 64, not 32"):
        check_explicit_network(path, {"image_size": 32}, trained())
    with pytest.raises(
        ValueError, match=r"another network: \(A\): ReLU\(\), not \(A\): ELU\(.*; evaluate\.yaml and measure"
    ):
        check_explicit_network(path, {}, partial(SMALL, act="elu")())  # tensors of the same names and shapes
    path.with_suffix(".json").unlink()
    torch.save({"state_dict": trained().state_dict()}, path)
    with pytest.raises(ValueError, match=r"holds its weights within a checkpoint or under other names"):
        check_explicit_network(path, {}, trained())
    torch.save({"model": trained().state_dict()}, path)
    check_explicit_network(path, {}, trained())
