"""Random weights are for programs that load others themselves, not for a run."""

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import create_workflow
from monai.bundle import run as monai_run

CONFIG = """
load_pretrain: true
seen: "$@load_pretrain"
initialize:
  - {_target_: common.bundle.settings.check_settings}
run: ["$@seen"]
"""


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "configs").mkdir()
    path = tmp_path / "configs/inference.yaml"
    path.write_text(CONFIG)
    return {"config_file": str(path), "load_pretrain": False}


@pytest.mark.parametrize("value", [False, "false"])  # the second as the command line gives it
def test_a_run_with_random_weights_is_refused(given: dict[str, Any], value: object):
    with pytest.raises(RuntimeError) as raised:
        monai_run(**{**given, "load_pretrain": value})
    with pytest.raises(ValueError, match=r"^--load_pretrain false would segment with random weights: it is for "):
        raise raised.value.__cause__ or raised.value
    monai_run(**{**given, "load_pretrain": True})


def test_a_program_that_loads_the_weights_itself_gets_the_workflow(given: dict[str, Any]):
    assert create_workflow(**given, workflow_type="infer").parser.get_parsed_content("seen") is False
