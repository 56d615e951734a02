"""What changes a result is named, and what would make a result say what is not so is refused."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import fire
import pytest
from monai.bundle import ConfigParser, create_workflow
from monai.bundle import run as monai_run

from common.bundle.given import given_below, result_changes
from common.bundle.settings import PATHS

CONFIGS = Path(__file__).parents[2] / "bundles/echo_segmentation/configs"


def file(workflow: str) -> dict[str, Any]:
    return dict(ConfigParser.load_config_file(CONFIGS / f"{workflow}.yaml"))


@pytest.mark.parametrize(
    ("workflow", "given", "named"),
    [
        ("evaluate", {"inferer::activation": "sigmoid"}, {"inferer::activation": "sigmoid"}),
        ("evaluate", {"other_metrics#ece#activation": "sigmoid"}, {"other_metrics::ece::activation": "sigmoid"}),
        ("evaluate", {"networks::unet::act": "tanh"}, {"networks::unet::act": "tanh"}),
        ("evaluate", {"network_def": "$None"}, {"network_def": "$None"}),
        ("measure", {"inferer::inferer::activation": "sigmoid"}, {"inferer::inferer::activation": "sigmoid"}),
        ("measure", {"patient": {"sex": "F"}}, {"patient::sex": "F", "patient": None}),
        ("pseudo_label", {"inferer::activation": "sigmoid"}, {"inferer::activation": "sigmoid"}),
        ("evaluate", {"networks::unet::act": "relu", "inferer::activation": "@activation"}, {}),
        ("evaluate", {"dataloader::pin_memory": True, "dataloader#num_workers": 1}, {}),
        ("evaluate", {"evaluator::non_blocking": True, "dataset::device": "cpu"}, {}),
        ("evaluate", {"dataloader": {"_target_": "torch.utils.data.DataLoader", "dataset": "@dataset", "batch_size": 8,
                                     "collate_fn": "@preprocessing", "prefetch_factor": 4}}, {}),
        ("evaluate", {"dataloader::drop_last": True}, {"dataloader::drop_last": True}),
        ("evaluate", {"data": "x", "fold": "validation", "checkpoint": "w.pt", "dataloader::batch_size": 4}, {}),
        ("evaluate", {"tracking_uri": "none", "bundle_root": "b", "device": "cpu", "activation": "sigmoid"}, {}),
        ("measure", {"input": "x", "output": "y", "spacing": 0.5, "pictures": "false"}, {}),
    ],
)  # fmt: skip
def test_what_changes_the_result_is_named(workflow: str, given: dict[str, Any], named: dict[str, Any]):
    found = result_changes(file(workflow), file(workflow), given)
    assert named.items() <= found.items()
    assert all(value is None for name, value in found.items() if name not in named), "left out"


@pytest.mark.parametrize(
    ("workflow", "given", "message"),
    [
        ("evaluate", {"loaded::path": "other.pt"}, r"^--loaded::path would make .* not so; use --checkpoint PATH\.$"),
        ("evaluate", {"record::checkpoint": "other.pt"}, r"use --checkpoint PATH"),
        ("measure", {"trained": {"classes": ["a"]}}, r"--trained::.*; use --checkpoint PATH"),
        ("evaluate", {"weights": "other.pt"}, r"use --checkpoint PATH"),
        ("evaluate", {"evaluation::fold": "test"}, r"--evaluation::fold would .* use --checkpoint, --data and --fold"),
        ("evaluate", {"epochs": 3}, r"^--epochs has no effect here; leave it out\.$"),
        ("evaluate", {"withheld": {}}, r"^--withheld has no effect here"),
    ],
)  # fmt: skip
def test_what_would_make_the_result_say_what_is_not_so_is_refused(workflow: str, given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        result_changes(file(workflow), file(workflow), given)


@pytest.mark.parametrize(
    "given", ["withheld: {camus: [lv]}", "images: {camus: 2}", "train_on: camus", "+withheld: {camus: [lv]}"]
)
def test_datasets_named_in_a_further_file_must_be_in_the_data(tmp_path: Path, given: str):
    sets = {"camus_like": [["background"], ["lv"]]}
    (tmp_path / "provenance.json").write_text(json.dumps({"label_sets": sets}))
    (tmp_path / "mine.yaml").write_text(given + "\n")
    files = [str(CONFIGS / "train.yaml"), str(tmp_path / "mine.yaml")]
    with pytest.raises(RuntimeError) as raised:
        create_workflow(config_file=files, workflow_type="train", data=str(tmp_path))
    assert re.search(
        r"names 'camus', which is not in the data: .* Did you mean 'camus_like'", str(raised.value.__cause__)
    )


def test_names_that_a_further_file_adds_count_where_they_are_used():
    overlay = {"_rate": 0.5, "_note": "mine", "_meta_": {}, "evaluator::amp_kwargs": {"rate": "@_rate"}}
    whole = {**file("evaluate"), **{name: overlay[name] for name in ("_rate", "_note", "_meta_")}}
    whole["evaluator"] = {**whole["evaluator"], "amp_kwargs": overlay["evaluator::amp_kwargs"]}
    changed = result_changes(file("evaluate"), whole, {})
    assert changed == {"_rate": 0.5, "evaluator::amp_kwargs::rate": "@_rate"}


def test_a_workflow_knows_what_it_was_given_and_so_do_further_files(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("evaluator::decollate: true\n")
    files = [str(CONFIGS / "evaluate.yaml"), str(tmp_path / "mine.yaml")]
    networks = file("evaluate")["networks"]
    networks["unet"]["act"] = "tanh"
    meta = str(CONFIGS / "metadata.json")
    workflow = create_workflow(config_file=files, meta_file=meta, networks=networks)
    content = workflow.parser.get_parsed_content
    assert content("overrides") == {"evaluator::decollate": True, "networks::unet::act": "tanh"}
    assert content("given") == ["networks::unet::act"], "a whole block counts as what differs in it"
    assert given_below("networks") == [], "no workflow is being initialised"


@pytest.mark.parametrize("workflow", ["train", "evaluate", "pseudo_label", "measure", "inference"])
def test_numbers_for_names_and_paths_are_refused(workflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    config = file(workflow)
    paths = [name for name in PATHS if name in config]
    assert len(paths) > 2
    numbers = [(name, "2024", "2024") for name in paths]
    names = [name for name in ("run_name", "experiment") if name in config and workflow in ("train", "evaluate")]
    numbers += [(name, "1_2", "12") for name in names]
    for name, typed, read in numbers:
        words = ["run", "--config_file", str(CONFIGS / f"{workflow}.yaml"), f"--{name}", typed]
        monkeypatch.setattr(sys, "argv", ["/lib/monai/bundle/__main__.py", *words])
        with pytest.raises(SystemExit, match=rf"^--{name}: .*'{typed}' .*read as .*{read}.*; (write './2024'|choose)"):
            fire.Fire({"run": monai_run}, command=words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["configs", "runs"])
def test_a_configuration_of_a_run_states_everything_and_further_files_what_they_contain(tmp_path: Path, place: str):
    path = tmp_path / place / "train.yaml"
    path.parent.mkdir()
    stated = {"_target_": "common.bundle.given.stated_names"}
    path.write_text(json.dumps({"renamed": {}, "rate": 1, "stated": stated, "initialize": ["@stated"]}))
    (tmp_path / "mine.yaml").write_text(json.dumps({"renamed": {}}))
    everything = {"renamed", "rate", "stated", "initialize"} if place == "runs" else set()
    for config, given, expected in (
        (path, {}, set()),
        (path, {"rate": 1}, {"rate"}),
        ([path, tmp_path / "mine.yaml"], {}, {"renamed"}),
    ):
        listed = list(map(str, config)) if isinstance(config, list) else str(config)
        workflow = create_workflow(config_file=listed, workflow_type="train", logging_file=False, **given)
        assert set(workflow.parser.get_parsed_content("stated")) == everything | expected
