"""Weights of this and other projects are read, or refused in one line."""

import hashlib
import json
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from common.engines.weights import check_fit, load_weights
from common.engines.weights_record import write_record


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, classes, 1))


WEIGHTS = network().state_dict()
WRAPPED = {f"module.{name}": value for name, value in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [WEIGHTS, {"network": WEIGHTS, "epoch": 3}, {"model": WEIGHTS}, {"state_dict": WRAPPED}, WRAPPED],
    ids=["bare", "last.pt", "model", "state_dict", "module"],
)
def test_weights_are_found_wherever_a_checkpoint_keeps_them(content: dict, tmp_path: Path):
    torch.save(content, tmp_path / "w.pt")
    weights, digest = load_weights(tmp_path / "w.pt")
    torch.testing.assert_close(weights, dict(WEIGHTS), rtol=0, atol=0)
    assert digest == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    check_fit(weights, network(), tmp_path / "w.pt", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"w\.pt is not readable as weights \(.+\); give other weights \(--initial_weights PATH\)\.$"),
        (b"hello", r"w\.pt is not readable as weights \(torch did not save it, .*\); give"),
        ([torch.zeros(1)], r"w\.pt holds no weights but list; expected a state dict \(--initial_weights PATH\)\.$"),
        ({"epoch": 3, "optimizer": {}}, r"holds no weights but the keys epoch, optimizer; expected"),
        ({}, r"holds no weights but the keys ; expected"),
        (
            {"model": WEIGHTS, "network": WEIGHTS},
            r"w\.pt holds several networks \(network, model\); save the .* of one",
        ),
        ({"state_dict": {"model": WEIGHTS, "network": WEIGHTS}}, r"holds several networks \(network, model\)"),
        ({"a": torch.ones(2), "b": torch.tensor([1, torch.nan])}, r"w\.pt holds NaN in b: its training diverged; give"),
        (
            {"a": torch.tensor(-torch.inf), "b": torch.tensor(torch.nan)},
            r"infinite numbers in a and 1 more tensors: its",
        ),
    ],
)
def test_what_is_not_weights_is_refused_in_one_line(content: object, message: str, tmp_path: Path):
    path = tmp_path / "w.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        load_weights(path, "--initial_weights")
    assert "\n" not in str(caught.value)


def test_missing_weights_name_the_option(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"w\.pt is missing; --initial_weights expects the path of weights"):
        load_weights(tmp_path / "w.pt", "--initial_weights")


def test_weights_of_another_network_are_refused_by_the_first_tensor_that_differs():
    message = r"^w\.pt does not fit .*: 2 of 4 tensors differ, the first is 1\.weight: \(5, 4, 1, 1\) in the weights"
    with pytest.raises(ValueError, match=message):
        check_fit(network(5).state_dict(), network(), "w.pt", "Use others.")
    with pytest.raises(ValueError, match=r"5 of 5 tensors differ, the first is 0\.weight: missing .*\. Use others\.$"):
        check_fit({"other.weight": torch.zeros(2)}, network(), "w.pt", "Use others.")


def test_weights_are_those_that_their_record_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.ones(1)}, path)
    first = path.read_bytes()
    write_record(path, {}, first)
    assert load_weights(path)[1][:16] == json.loads(path.with_suffix(".json").read_text())["weights"]
    torch.save({"weight": torch.zeros(1)}, path)
    second = path.read_bytes()
    monkeypatch.setattr(time, "sleep", lambda _: path.write_bytes(first))  # a training that writes at the moment
    assert load_weights(path)[0] == {"weight": torch.ones(1)}
    monkeypatch.setattr(time, "sleep", lambda _: path.write_bytes(second))
    path.write_bytes(second)
    with pytest.raises(ValueError, match=r"not the file that its record describes .* choose other weights \(--checkp"):
        load_weights(path)
    path.rename(tmp_path / "last.pt")
    load_weights(tmp_path / "last.pt")  # the record is that of model.pt
    path.with_suffix(".json").write_text("{}")
    (tmp_path / "last.pt").rename(path)
    load_weights(path)  # written before records had digests
