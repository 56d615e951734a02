"""Expressions whose value may differ at the next start are refused as settings: they are compared as text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow

from common.bundle.changed import is_known
from common.bundle.overrides import with_overrides
from common.bundle.steady import _expressions, _reads, check_steady
from common.identity import training_settings

ROOT = Path(__file__).parents[2]
TASK = "$int(__import__('os').environ['SLURM_ARRAY_TASK_ID'])"
REFUSED = (
    r"^--seed: \$int.* reads environ, which may differ at the next start, but settings are compared as text; "
    r'let the shell insert the value: --seed "\$SLURM_ARRAY_TASK_ID"\.$'
)
CONFIG = """
seed: 0
tags: {}
runs_dir: runs
worker: "$__import__('os').environ.get('WORKER', 'none')"
network: {_target_: torch.nn.Dropout, p: 0.5}
initialize:
  - {_target_: common.bundle.settings.check_settings}
run: ["$print(@seed, @tags, @runs_dir, @worker, @network)"]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "configs" / "train.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


def started(config: Path, further: Path, given: dict[str, Any]) -> Iterator[Any]:
    """Yield the ways to state a setting: by an argument and by a further file."""
    yield lambda: create_workflow(config_file=str(config), workflow_type="train", **given)
    yield lambda: ConfigWorkflow(str(config), workflow_type="train", **given).initialize()
    further.write_text("".join(f'{name}: "{value}"\n' for name, value in given.items()))
    yield lambda: create_workflow(config_file=[str(config), str(further)], workflow_type="train")


def test_a_setting_that_reads_the_environment_is_refused_however_it_is_given(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    for start in started(config, tmp_path / "mine.yaml", {"seed": TASK}):
        with pytest.raises(RuntimeError) as raised:
            start()
        assert re.search(REFUSED, str(raised.value.__cause__))


def test_places_tags_and_the_own_expressions_of_the_bundle_may_read_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    for name in ("runs_dir", "tags"):
        for start in started(config, tmp_path / "mine.yaml", {name: TASK, "seed": "$1 + 2"}):
            workflow = start()  # nothing, or the workflow that was made
            seed = 3 if not isinstance(workflow, ConfigWorkflow) else workflow.parser.get_parsed_content("seed")
            assert seed == 3


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("$__import__('random').randrange(9)", "random"),
        ("$torch.randint(9, (1,)).item()", "randint"),
        ("$int(time.time())", "time"),
        ("$__import__('datetime').date.today().day", "today"),
        ("$uuid.uuid4().int", "uuid4"),
        ("$int(open('seed.txt').read())", "open"),
        ("$os.getenv('SEED')", "getenv"),
        ("$float(torch.rand(1, generator=None))", "rand"),
        ("$float(torch.rand(1, generator=torch.default_generator))", "default_generator"),
        ("$float(torch.rand(1, generator=torch.Generator().manual_seed(int(time.time()))))", "time"),
        ("$float(torch.rand(1, generator=torch.Generator().manual_seed(0)) + torch.randn(1))", "randn"),
        ("$float(torch.rand(1, dtype=torch.float64))", "rand"),
        ("$numpy.random.default_rng().normal()", "default_rng"),
        ("$numpy.random.default_rng(seed=None).normal()", "default_rng"),
        ("$numpy.random.default_rng(os.getpid()).normal()", "getpid"),
        ("$numpy.random.default_rng(3).normal() + numpy.random.normal()", "random"),
    ],
)
def test_whatever_differs_from_one_start_to_the_next_is_named(expression: str, read: str):
    with pytest.raises(ValueError, match=rf"^--network::p: .* reads {read}, .* the value: --network::p [V\"]"):
        check_steady({"network": {"_target_": "torch.nn.Dropout"}, "network::p": expression})
    with pytest.raises(ValueError, match=rf"^--network: .* reads {read}"):
        check_steady({"network": {"_target_": "torch.nn.Dropout", "p": [expression]}})


@pytest.mark.parametrize(
    "value",
    [
        "$float(torch.rand(1, generator=torch.Generator().manual_seed(0)))",
        "$torch.randperm(4, generator=torch.Generator().manual_seed(@fold)).tolist()",
        "$float(numpy.random.default_rng(3).random())",
        "$__import__('numpy').random.default_rng(seed=@fold).permutation(4).tolist()",
        "$float(numpy.random.RandomState(0).rand())",
        "$random.Random(3).randint(0, 9)",
    ],
)
def test_draws_of_a_given_seed_or_generator_pass(value: str):
    check_steady({"losses::mine::scale": value})


@pytest.mark.parametrize(
    "value",
    [3, "time", "$3 / 35", "$[1, 2]", "$@time + @random::open", "$'open'", "$torch.optim.SGD", "$(", "$import random"],
)
def test_what_is_the_same_at_each_start_passes(value: Any):
    check_steady({"seed": value})


@pytest.mark.parametrize(
    "name",
    [
        *(f"validate::dataloader::{name}" for name in ("num_workers", "prefetch_factor", "persistent_workers")),
        *("validate::dataloader::batch_size", "validate::dataloader::pin_memory", "validate::evaluator::non_blocking"),
        *("train::dataloader::prefetch_factor", "train::dataloader::pin_memory", "train::trainer::non_blocking"),
        *("dataloader::num_workers", "evaluator::non_blocking"),  # of an evaluation
    ],
)
def test_what_changes_only_speed_may_differ_and_a_training_stays_the_same(name: str):
    file = ConfigParser.load_config_file(ROOT / "bundles/echo_segmentation/configs/train.yaml")
    check_steady({name: "$os.cpu_count()"})
    assert is_known(file, name) == name.startswith(("train", "validate"))
    faster = with_overrides(file, {name: 1}) if is_known(file, name) else file
    assert training_settings(faster, "c0ffee") == training_settings(file, "c0ffee")


def test_the_memory_that_volumes_may_take_is_no_part_of_a_training():
    file = ConfigParser.load_config_file(ROOT / "bundles/ct_partial_overlap/configs/train.yaml")
    for name in ("memory", "train::dataset::memory"):
        check_steady({name: "$float(os.environ['MEMORY'])"})
        assert is_known(file, name)
        assert training_settings(with_overrides(file, {name: 3}), "c0ffee") == training_settings(file, "c0ffee")
    assert "patches" in training_settings(file, "c0ffee")


def test_what_changes_the_order_or_the_draws_of_a_training_is_part_of_it():
    file = ConfigParser.load_config_file(ROOT / "bundles/echo_segmentation/configs/train.yaml")
    names = [f"train::dataloader::{name}" for name in ("shuffle", "persistent_workers")]
    for name in [*names, "validate::dataloader::drop_last"]:
        with pytest.raises(ValueError, match="reads cpu_count"):
            check_steady({name: "$os.cpu_count()"})
        assert name in training_settings(with_overrides(file, {name: True}), "c0ffee")


def test_no_expression_of_the_bundles_reads_what_differs():
    files = [*ROOT.glob("bundles/*/configs/*.yaml"), *ROOT.glob("common/workflows/**/*.yaml")]
    found = {path.name: list(_expressions(ConfigParser.load_config_file(path))) for path in files}
    assert any(found.values())
    assert not [text for texts in found.values() for text in texts if list(_reads(text))]
