"""Weights of a network in a user's own file are used only with the code that they were trained with."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from common.engines import architecture_of, check_explicit_network, initial_weights, network_of
from common.engines.architecture import build_network
from common.engines.weights_record import read_record, write_record
from common.inference.mlflow_model import Segmenter
from common.label_sets import LabelSets

NET = "from torch import nn\nfrom own_layer import scaled\n\n\nclass Net(nn.Conv2d):\n    pass\n"
ARGUMENTS = {"in_channels": 1, "out_channels": 2, "kernel_size": 1}
CLASSES = ["background", "lv"]
CHANGED = (
    r"^own_layer\.py changed since the training, code of own_net\.Net; "
    r"restore it as it was in training, or train again\.$"
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_net.py").write_text(NET)
    (tmp_path / "own_layer.py").write_text("def scaled(x): return x\n")
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("own_net", "own_layer"):
        sys.modules.pop(name, None)


def trained(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write weights and their record; return them and the entry of `networks`."""
    factory = partial(importlib.import_module("own_net").Net, **ARGUMENTS)
    path = folder / "model.pt"
    torch.save(factory().state_dict(), path)
    facts = {"classes": CLASSES, "activation": "softmax", "image_size": 32, "network": "mine"}
    write_record(path, {**facts, "architecture": architecture_of(factory)}, path.read_bytes())
    return path, {"mine": factory}


def test_the_record_states_the_code_of_own_networks_alone(own: Path):
    path, _ = trained(own)
    architecture = json.loads(path.with_suffix(".json").read_text())["architecture"]
    assert architecture.keys() == {"_target_", "_code_", *ARGUMENTS}
    assert architecture["_code_"].keys() == {"own_net.py", "own_layer.py"}
    assert "_code_" not in architecture_of(partial(torch.nn.Conv2d, **ARGUMENTS))


def uses(path: Path, networks: dict[str, Any]) -> list[Callable[[], Any]]:
    """Return all ways of using weights that build their network."""
    record = read_record(path)
    stated = {"classes": CLASSES, "network": "mine", "architecture": architecture_of(networks["mine"])}
    label_sets = LabelSets(CLASSES, {"clinic": {0: "background", 1: "lv"}})
    return [
        lambda: network_of(record, networks),
        lambda: network_of(record, {}),
        lambda: network_of(record, networks, ["networks::mine::kernel_size"]),
        lambda: build_network(record["architecture"]),
        lambda: initial_weights(path, stated, networks["mine"](), label_sets),
        lambda: check_explicit_network(path, {}, networks["mine"]()),
        lambda: Segmenter(path),
    ]


def test_another_code_of_the_network_is_refused_wherever_the_weights_are_used(own: Path):
    path, networks = trained(own)
    for way in uses(path, networks):
        way()
    (own / "own_layer.py").write_text("def scaled(x): return 2 * x\n")
    sys.modules.pop("own_layer")  # as another process
    for way in uses(path, networks):
        with pytest.raises(ValueError, match=CHANGED):
            way()
    (own / "own_layer.py").unlink()
    sys.modules.pop("own_layer", None)
    with pytest.raises(ValueError, match=r"^own_layer\.py is missing"):
        network_of(read_record(path), {})


def test_weights_whose_record_states_no_code_pass(own: Path):
    path, networks = trained(own)
    record = json.loads(path.with_suffix(".json").read_text())
    del record["architecture"]["_code_"]
    path.with_suffix(".json").write_text(json.dumps(record))
    (own / "own_layer.py").write_text("def scaled(x): return 2 * x\n")
    sys.modules.pop("own_layer")  # as another process
    for way in uses(path, networks):
        way()
    assert isinstance(network_of(read_record(path), networks), torch.nn.Conv2d)


def test_the_code_is_not_an_argument_that_differs(own: Path, caplog: pytest.LogCaptureFixture):
    path, networks = trained(own)
    stated = {"architecture": {**architecture_of(networks["mine"]), "_code_": {}}}
    initial_weights(path, stated, networks["mine"](), LabelSets(CLASSES, {"clinic": {0: "background", 1: "lv"}}))
    assert not [message for message in caplog.messages if re.search(r"but was trained with", message)]
