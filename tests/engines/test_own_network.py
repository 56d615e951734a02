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
from common.own_code import used_code

NET = "from torch import nn\nfrom own_layer import scaled\n\n\nclass Net(nn.Conv2d):\n    scaled = scaled\n"
LAYER = "def scaled(x): return x\n"
ARGUMENTS = {"in_channels": 1, "out_channels": 2, "kernel_size": 1}
CLASSES = ["background", "lv"]
CHANGED = (
    r"^own_layer\.scaled changed since the training, code of own_net\.Net; "
    r"restore it as it was in training, or train again\.$"
)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_net.py").write_text(NET)
    (tmp_path / "own_layer.py").write_text(LAYER)
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
    assert architecture["_code_"].keys() == {"own_net.Net", "own_net.nn", "own_net.scaled", "own_layer.scaled"}
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
    with pytest.raises(ValueError, match=r"^own_layer\.scaled is missing"):
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


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("own_net", NET + "class Loss:\n    pass\n"),
        ("own_net", NET.replace("    scaled =", '    """Of mine."""\n\n    scaled =  ')),
        ("own_net", "import json\n" + NET),
        ("own_layer", LAYER + "def other(x): return x\n"),
    ],
)
def test_what_the_network_does_not_use_may_change(own: Path, file: str, code: str):
    path, networks = trained(own)
    (own / f"{file}.py").write_text(code)
    sys.modules.pop(file)  # as another process
    for way in uses(path, networks):
        way()


@pytest.mark.parametrize(
    "code",
    [
        "class Net: n = 1",
        "from torch.nn import Conv1d as A\nclass Net(A): pass",
        "SIZE = 1\nclass Net: n = SIZE",
        "class Net:\n  def f(self): return g()\ndef g(): return 1",
        "ALL = {}\n@add(ALL)\nclass B: x = 1\nclass Net: n = ALL",
        "ALL = {}\nALL[0] = 1\nclass Net: n = ALL",
        "class Net: pass\ndef g(): return 1\nNet.f = g",
        "class Net: pass\nseed(1)",
        "from own_layer import *\nclass Net: pass\nx = 1",
        "class Net: n = eval('x')\nx = 1",
        "try:\n  class Net: pass\nfinally: pass\nx = 1",
    ],
)
def test_what_the_network_uses_is_its_code(own: Path, code: str):
    digests = []
    for text in (code, code.replace("1", "2")):
        (own / "own_net.py").write_text(text)
        digests.append(used_code("own_net.Net"))
    assert digests[0] != digests[1]
    assert digests[0]


def test_what_a_used_module_of_the_user_imports_counts(own: Path):
    (own / "own_pack").mkdir()
    (own / "own_pack" / "__init__.py").write_text("from .inner import Net\n")
    (own / "own_pack" / "inner.py").write_text("import own_layer\nfrom . import more\nclass Net: n = own_layer, more\n")
    (own / "own_pack" / "more.py").write_text("from own_net import Net as Other\n")
    found = {name for name in used_code("own_pack.Net") if "pack" not in name}
    assert found == {"own_layer", "own_layer.scaled", "own_net.Net", "own_net.nn", "own_net.scaled"}


def test_records_that_state_whole_files_give_a_warning(own: Path, caplog: pytest.LogCaptureFixture):
    path, networks = trained(own)
    record = json.loads(path.with_suffix(".json").read_text())
    record["architecture"]["_code_"] = {"own_net.py": "ba7816bf8f01cfea"}
    path.with_suffix(".json").write_text(json.dumps(record))
    for way in uses(path, networks):
        way()
    assert "whether the code of own_net.Net is that of the training is unknown" in caplog.text


def test_the_code_is_not_an_argument_that_differs(own: Path, caplog: pytest.LogCaptureFixture):
    path, networks = trained(own)
    stated = {"architecture": {**architecture_of(networks["mine"]), "_code_": {}}}
    initial_weights(path, stated, networks["mine"](), LabelSets(CLASSES, {"clinic": {0: "background", 1: "lv"}}))
    assert not [message for message in caplog.messages if re.search(r"but was trained with", message)]
