"""A grid with settings that its trainings would refuse does not start."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from clinic import job, source

from common.datasets import read_datalist, seen_images
from common.datasets.prepared.layout import FOLDS
from common.datasets.prepared.preparation import prepare
from common.experiments.check_runs import OF_DATA, check_data, check_runs
from common.experiments.grid import Run, read_grid
from common.experiments.run import _phantom
from common.experiments.training import OF_GRID

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "bundles/sector_segmentation/configs/train.yaml"
GRIDS = sorted(path.parents[1] for path in ROOT.glob("bundles/*/configs/experiments.yaml"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, r"^one: --epochs: expected at least 1, got 0\.$"),
        ({"label_dropout": 1.5}, r"^one: --label_dropout is 1\.5, expected at most 1\.$"),
        ({"seed": -1}, r"--seed: expected at least 0, got -1"),
        ({"learning_rate": "1e-3"}, r"--learning_rate: expected a finite number, got '1e-3'\. In YAML, write 1\.0e-3"),
        ({"image_size": 40}, r"cannot take --image_size 40; the nearest that fit are 32 and 48"),
        ({"epochs": 2, "val_interval": 3}, r"--val_interval is 3, expected at most --epochs, 2"),
        ({"augmentation::scale": 2}, r"RandAugmentd: expected scale from 0 to 0\.99, got 2\."),
        ({"seed": "$int(os.environ['TASK'])"}, r"^one: --seed: .* reads environ, .*: --seed \"\$TASK\"\.$"),
        (
            {"cotrain": True, "consistency": 1.0, "image_size": 64},
            r"^one: --cotrain true and --consistency: ",
        ),
        ({"cotrain": True, "image_size": 32}, r"^one: a crop of \[32, 32\] cannot be shifted in four directions"),
        ({"lable_dropout": 0.1}, r"Did you mean --label_dropout"),
        ({"validation_data::data::fold": "test"}, r"^one: --validation_data::data::fold is validation here, and the"),
        (
            {"loss_function": "$@losses['marginal']"},
            r"^one: --loss_function: the record of the weights would say other",
        ),
        ({"train::trainer::max_epochs": 1}, r"^one: --train::trainer::max_epochs follows epochs; set --epochs instead"),
    ],
)
@pytest.mark.parametrize("role", ["result", "teacher", "search"])
def test_what_a_training_would_refuse_is_refused_at_once(settings: dict[str, Any], message: str, role: str):
    wrong = Run({"method": "one"}, settings, role=role)
    right = {"epochs": 3, "val_interval": 2, "image_size": 32, "withheld": {"elsewhere": ["sector"]}}
    runs = {
        "result": [Run({"method": "two"}, right), wrong],
        "teacher": [Run({"method": "two"}, right, teacher=wrong)],
        "search": [Run({"method": "two"}, right, candidates=(wrong,))],
    }[role]
    with pytest.raises(ValueError, match=message):
        check_runs(TRAIN, runs)


def test_settings_without_effect_in_any_training_are_refused():
    mean_teacher, alone = {"consistency": 1.0, "teacher_decay": 0.9}, {"teacher_decay": 0.9}
    check_runs(TRAIN, [Run({"method": "MT"}, mean_teacher), Run({"method": "alone"}, alone)])
    with pytest.raises(ValueError, match=r"^--teacher_decay has no effect without --consistency in any training of"):
        check_runs(TRAIN, [Run({"method": "alone"}, alone)])
    with pytest.raises(ValueError, match=r"^--withheld_share has no effect without --withheld in any training"):
        check_runs(TRAIN, [Run({"method": "alone"}, {"withheld_share": 0.5})])


def test_cells_that_differ_without_effect_are_refused():
    cells = [Run({"method": name}, {"dropout_layers": name}) for name in ("last_two", "all_but_first_two")]
    apart = [replace(run, settings={**run.settings, "dropout": 0.5}) for run in cells]
    check_runs(TRAIN, apart)
    with pytest.raises(ValueError, match=r"^all_but_first_two: it would train the same as last_two: no other diff"):
        check_runs(TRAIN, [*apart, *cells])


def test_settings_that_the_grid_decides_are_refused():
    for name in (*OF_GRID, "tags::purpose", "tags#purpose"):
        with pytest.raises(ValueError, match=rf"^--{name} is decided by the grid for each training; leave it out"):
            check_runs(TRAIN, [Run({"method": "one"}, {name: "x"})])


def test_expressions_are_left_to_the_training():
    check_runs(TRAIN, [Run({}, {"epochs": "$len(@train::dataset)", "val_interval": 99, "image_size": "$4 * 9"})])


@pytest.mark.parametrize("bundle", GRIDS, ids=lambda bundle: bundle.name)
def test_the_grids_of_the_bundles_are_accepted(bundle: Path):
    for scale in yaml.safe_load((bundle / "configs/experiments.yaml").read_text())["scales"]:
        kinds = {tuple(run.settings): replace(run, candidates=()) for run in read_grid(bundle, scale).runs}
        check_runs(bundle / "configs/train.yaml", list(kinds.values()))


@pytest.mark.parametrize("bundle", GRIDS, ids=lambda bundle: bundle.name)
def test_the_grids_of_the_bundles_accept_their_phantoms(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    scales = yaml.safe_load((bundle / "configs/experiments.yaml").read_text())["scales"]
    if "phantom" not in scales["smoke"]:
        pytest.skip("it runs on real data alone")
    folder = _phantom(**scales["smoke"]["phantom"])
    for scale in scales:
        grid = read_grid(bundle, scale)
        if grid.phantom:  # one run for all that choose the same data
            kinds = {str([run.settings.get(name) for name in OF_DATA]): run for run in grid.runs}
            runs = [replace(run, candidates=()) for run in kinds.values()]
            check_data(bundle / "configs/train.yaml", runs, [folder], "test")


RENAMED = {"lv_cavity": "sector", "lv_myocardium": "sector"}


@pytest.mark.parametrize(
    ("settings", "folds", "message"),
    [
        ({"renamed": RENAMED}, FOLDS, None),
        ({}, FOLDS, r"^one: 'clinic' annotates 'lv_cavity', which is not .*--renamed"),
        ({"renamed": RENAMED}, ("training", "validation"), r"^one: no item of fold 'test' in "),
        ({"renamed": RENAMED, "withheld": {"clinic": ["sector"]}}, FOLDS, r"^one: no dataset annotates \['sector'\]"),
        ({"renamed": RENAMED, "images": {"clinic": 0}}, FOLDS, r"^one: "),
    ],
)
@pytest.mark.parametrize("role", ["result", "teacher", "search"])
def test_data_that_a_training_would_refuse_are_refused_at_once(
    tmp_path: Path, settings: dict[str, Any], folds: tuple[str, ...], message: str | None, role: str
):
    prepare(source(*(job(number, fold) for number, fold in enumerate(folds))), tmp_path / "a", size=32, workers=1)
    one = Run({"method": "one"}, settings, role=role)
    runs = {
        "result": [one],
        "teacher": [Run({"method": "two"}, {}, teacher=one)],
        "search": [Run({"method": "two"}, {"renamed": RENAMED}, candidates=(one,))],
    }[role]
    if message is None:
        check_data(TRAIN, runs, [tmp_path / "a"], "test")
        return
    first = {"search": settings == {"renamed": RENAMED}, "teacher": folds != FOLDS}  # student and teacher are evaluated
    whose = "two" if first.get(role) else "one"
    with pytest.raises(ValueError, match=message.replace("one", whose, 1)):
        check_data(TRAIN, runs, [tmp_path / "a"], "test")


@pytest.mark.parametrize("student", [True, False])
def test_initial_weights_that_were_trained_on_test_patients_are_refused_at_once(tmp_path: Path, student: bool):
    prepare(source(*(job(number, fold) for number, fold in enumerate(FOLDS))), tmp_path / "a", size=32, workers=1)
    shipped = ROOT / "bundles/sector_segmentation/models"
    record = json.loads((shipped / "model.json").read_text(encoding="utf-8"))
    record["seen"] = seen_images(read_datalist(tmp_path / "a", "test"), [])
    (tmp_path / "model.json").write_text(json.dumps(record), encoding="utf-8")
    shutil.copy(shipped / "model.pt", tmp_path)
    one = Run({"method": "one"}, {"renamed": RENAMED, "initial_weights": str(tmp_path / "model.pt")})
    run = replace(one, teacher=Run({"method": "two"}, {"renamed": RENAMED})) if student else one
    with pytest.raises(ValueError, match=r"^one: 1 of 1 test patients, .* trained these weights"):
        check_data(TRAIN, [run], [tmp_path / "a"], "test")
    check_data(TRAIN, [run], [tmp_path / "a"], "training")  # asked for
