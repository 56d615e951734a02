"""experiments.yaml as runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.experiments.grid import TAKEN, Run, read_grid
from common.experiments.reports.patients import cell_scores
from common.experiments.reports.results import Results

ROOT = Path(__file__).parents[2]
GRIDS = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/experiments.yaml"))
AXES = {
    "method": {
        "benchmark": {"loss": "categorical_ce", "withheld": {}},
        "marginal": {"loss": "marginal"},
        "pseudo-labels": {"loss": "categorical_ce", "teacher": {"complete_only": True, "epochs": 9}},
    },
    "full": {10: {"images": {"a": 10}}},
    "partial": {0: {"images": {"b": 0}}, 5: {"images": {"b": 5}}},
}


def write(folder: Path, **scale: Any) -> Path:
    (folder / "configs").mkdir(parents=True)
    content = {"axes": AXES, "scales": {"tiny": {"settings": {"epochs": 3}, **scale}}}
    (folder / "configs" / "experiments.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_a_block_is_the_product_of_its_axes(tmp_path: Path):
    grid = [
        {"method": ["benchmark", "marginal"], "network": ["unet"], "seed": [0, 1]},
        {"method": ["marginal"], "seed": [7]},
    ]
    runs = read_grid(write(tmp_path / "b", grid=grid), "tiny").runs
    assert [tuple(run.cell.values()) for run in runs] == [
        ("benchmark", "unet", 0),
        ("benchmark", "unet", 1),
        ("marginal", "unet", 0),
        ("marginal", "unet", 1),
        ("marginal", 7),
    ]
    assert runs[1].settings == {"epochs": 3, "loss": "categorical_ce", "withheld": {}, "network": "unet", "seed": 1}
    assert all(run.role == "result" and run.teacher is None and not run.candidates for run in runs)


def test_axes_that_set_parts_of_one_mapping_are_joined(tmp_path: Path):
    runs = read_grid(write(tmp_path / "b", grid=[{"full": [10], "partial": [0, 5]}]), "tiny").runs
    assert [run.settings["images"] for run in runs] == [{"a": 10, "b": 0}, {"a": 10, "b": 5}]


def test_a_teacher_is_its_student_with_other_settings(tmp_path: Path):
    grid = [{"method": ["pseudo-labels"], "network": ["unet"], "seed": [4]}]
    (student,) = read_grid(write(tmp_path / "b", grid=grid), "tiny").runs
    assert student.settings == {"epochs": 3, "loss": "categorical_ce", "network": "unet", "seed": 4}
    assert student.teacher == Run(
        {"method": "teacher", "network": "unet", "seed": 4},
        {**student.settings, "epochs": 9, "complete_only": True},
        role="teacher",
    )


def test_a_search_tries_every_combination_with_the_first_seed(tmp_path: Path):
    grid = [{"method": ["marginal"], "seed": [5, 6]}]
    runs = read_grid(
        write(tmp_path / "b", grid=grid, search={"learning_rate": [0.1, 0.2], "batch_size": [4, 8]}), "tiny"
    ).runs
    tried = [[(one.settings["learning_rate"], one.settings["batch_size"]) for one in run.candidates] for run in runs]
    assert tried == [[(0.1, 4), (0.1, 8), (0.2, 4), (0.2, 8)]] * 2
    assert {one.settings["seed"] for run in runs for one in run.candidates} == {5}
    assert {one.role for run in runs for one in run.candidates} == {"search"}
    assert runs[0].candidates == runs[1].candidates, "both seeds share one search"


@pytest.mark.parametrize(
    ("scale", "change", "message"),
    [
        ("huge", {"grid": []}, r"expected a scale of \['tiny'\], got 'huge'"),
        ("tiny", {"grid": [{"method": ["margnal"]}]}, r"axis 'method' has no 'margnal'. Did you mean 'marginal'\?"),
        ("tiny", {"grid": [{"seed": 0}]}, r"experiments\.yaml, scale 'tiny': seed is 0, expected a list of values"),
        ("tiny", {"grid": [{"method": "marginal"}]}, r"method is 'marginal', expected a list of values: method: \["),
        ("tiny", {"grid": {"method": ["marginal"]}}, r"grid is \{'method': .*\}, expected a list of blocks"),
        ("tiny", {"grid": [{"seed": [0]}], "search": {"learning_rate": 0.1}}, r"learning_rate is 0\.1, expected a l"),
        ("tiny", {"grid": [{"seed": [0]}], "settings": 3}, r"settings is 3, expected names with values"),
        ("tiny", {}, r"grid is None, expected a list of blocks"),
        ("tiny", {"grid": [], "patients": 3}, r"scale 'tiny' has the unknown keys \['patients'\]; allowed: phantom, "),
    ],
)
def test_unknown_names_are_errors(tmp_path: Path, scale: str, change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        read_grid(write(tmp_path / "b", **change), scale)


@pytest.mark.parametrize("axis", ["class", "dataset", "seconds", "run_id", "grid"])
def test_an_axis_has_no_name_of_a_column_of_the_results(tmp_path: Path, axis: str):
    bundle = write(tmp_path / "b", grid=[{"method": ["marginal"], axis: ["a"]}])
    with pytest.raises(ValueError, match=rf"scale 'tiny': the axis '{axis}' has the name of a column .*; rename it"):
        read_grid(bundle, "tiny")


def test_every_column_of_the_results_is_taken(inter_domain: Results):
    scores = cell_scores(inter_domain.images, inter_domain.cell)
    columns = {*inter_domain.runs, *inter_domain.images, *scores} - {*inter_domain.cell}
    assert columns > {"run_id", "dice"}
    assert columns <= {*TAKEN}


def test_a_bundle_without_grid_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"experiments\.yaml is missing; it states the grid"):
        read_grid(tmp_path, "tiny")


@pytest.mark.parametrize("bundle", GRIDS, ids=lambda path: path.name)
@pytest.mark.parametrize("scale", ["smoke", "demo", "paper"])
def test_the_grids_of_the_bundles_have_every_scale_and_no_cell_twice(bundle: Path, scale: str):
    runs = read_grid(bundle, scale).runs
    cells = [tuple(sorted(run.cell.items(), key=str)) for run in runs]
    assert len(cells) == len(set(cells)) > 2
    seeds = {run.cell["seed"] for run in runs}
    assert len(seeds) >= {"smoke": 1, "demo": 3, "paper": 3}[scale]


def test_the_papers_grids_are_those_of_the_papers():
    sizes = {path.name: len(read_grid(path, "paper").runs) for path in GRIDS}
    assert sizes == {
        "ct_partial_overlap": (8 + 3) * 3,
        "echo_domain_shift": 4 * 5,
        "echo_intra_domain": 6 * 3 * 5,
        "echo_inter_domain": (3 + 3 * 11) * 3 * 5,
        "echo_label_ratio": 3 * 3 * 16 * 3,
        "echo_segmentation": 3 * 3 * 2 * 5,
        "head_neck_ct": (5 + 7) * 3,
        "mri_left_atrium": (1 + 8 * 2) * 3,
    }


def test_given_settings_come_between_those_of_the_scale_and_of_the_cell(tmp_path: Path):
    settings = {"epochs": 2, "images": {"b": 9}}
    grid = [{"method": ["benchmark", "marginal"], "full": [10], "seed": [0]}]
    given = {"epochs": 5, "withheld": {"clinic": ["lv"]}, "images": {"a": 1, "c": 1}}
    runs = read_grid(write(tmp_path / "b", settings=settings, grid=grid), "tiny", given).runs
    benchmark, marginal = (run.settings for run in runs)
    images = {"a": 10, "b": 9, "c": 1}
    assert marginal == {**given, "images": images, "loss": "marginal", "seed": 0}
    assert benchmark == {**marginal, "loss": "categorical_ce", "withheld": {}}


@pytest.mark.parametrize(("name", "value"), [("seed", 7), ("loss", "adaptive_bce"), ("learning_rate", 0.5)])
def test_a_given_setting_that_every_training_states_itself_is_an_error(tmp_path: Path, name: str, value: Any):
    grid = [{"method": ["marginal"], "seed": [0, 1]}]
    bundle = write(tmp_path / "b", grid=grid, search={"learning_rate": [0.1, 0.2]})
    with pytest.raises(ValueError, match=rf"--{name} has no effect: every training of scale 'tiny' states its own"):
        read_grid(bundle, "tiny", {name: value})
