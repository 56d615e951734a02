"""Results from MLflow: which runs count, which are missing, and the message without any."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_grid import CHECKSUM, SyntheticGrid

from common.experiments.reports.figures.draw import draw
from common.experiments.reports.results import NoResults, Results, read_predictions, read_results
from common.experiments.reports.settings import FigureSettings, ReportSettings

CELL = {"method": "aCCE", "network": "unet", "seed": 0}
DICE = {("unity_like", "lv_cavity"): 0.9, ("unity_like", "left_atrium"): 0.6}


def gaps(results: Results) -> list[str]:
    return [item for _, items in results.warnings for item in items]


def test_a_run_is_a_row_with_its_cell_its_median_epoch_and_its_test(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "one_run", patients=3)
    cell = {**CELL, "label_dropout": 0.4, "images": {"Unity": 5}}
    grid.add(cell, DICE, tmp_path, seconds=[9.0, 1.0, 2.0], metrics={"ef_mae/unity_like": 4.5})
    grid.close(planned=1)
    results = read_results(store, "one_run", "demo")
    row = results.runs.iloc[0]
    assert dict(row[list(cell)]) == {**cell, "images": json.dumps({"Unity": 5})}
    assert row["seconds"] == 2.0
    assert row["ef_mae/unity_like"] == 4.5
    assert (results.scale, results.checksum, results.data) == ("demo", CHECKSUM, "['data/phantom']")
    assert results.cell == ("method", "network", "seed", "label_dropout", "images")
    assert gaps(results) == []


def test_a_grid_without_an_axis_of_networks_names_the_network_of_its_trainings(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "one_network")
    for seed in (0, 1):
        run_id = grid.add({"method": "aCCE", "seed": seed}, DICE, tmp_path)
        grid.client.log_param(run_id, "network", "unet")
    results = read_results(store, "one_network", "demo")
    assert results.cell == ("method", "seed", "network")
    assert set(results.images["network"]) == {"unet"}
    boxes = FigureSettings("boxes", "dice", "Dice")
    assert draw(boxes, results, ReportSettings("e", tmp_path, "", {}, {}, [boxes], [])).runs == 2


def test_images_are_rows_of_one_class_with_undefined_dice_as_nan(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "images", patients=3)
    grid.add(CELL, DICE, tmp_path)
    images = read_results(store, "images", "demo").images
    assert len(images) == 3 * 2 * 3  # patients, phases, classes
    atrium = images[images["class"] == "left_atrium"]
    assert atrium["dice"].mean() == pytest.approx(0.6, abs=1e-4)
    assert images[images["class"] == "lv_myocardium"]["dice"].isna().all()
    assert set(images["patient"]) == {"p0", "p1", "p2"}
    assert set(images["phase"]) == {"ED", "ES"}
    assert set(images["method"]) == {"aCCE"}


def test_only_finished_and_evaluated_results_count_and_the_others_are_listed(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "states")
    good = grid.add(CELL, DICE, tmp_path)
    grid.add({**CELL, "seed": 1}, DICE, tmp_path, status="FAILED")
    grid.add({**CELL, "seed": 2}, DICE, tmp_path, checksum="of other data")
    grid.add({**CELL, "method": "teacher"}, DICE, tmp_path, role="teacher")
    grid.add({**CELL, "seed": 8}, DICE, tmp_path, role="search")
    grid.add({**CELL, "seed": 9}, DICE, tmp_path, role="superseded")
    grid.close(planned=4)
    results = read_results(store, "states", "demo")
    assert list(results.runs["run_id"]) == [good]
    assert set(results.images["run_id"]) == {good}
    assert gaps(results) == [
        "3 of 4 runs are missing.",
        "aCCE, unet, seed 1: FAILED",
        "aCCE, unet, seed 2: not evaluated",
    ]


def test_an_evaluation_of_weights_before_the_training_ended_does_not_count(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "early")
    trained = grid.add(CELL, DICE, tmp_path, weights_digest="0123456789abcdef")
    with pytest.raises(NoResults, match="1 not evaluated"):
        read_results(store, "early", "demo")
    (own,) = grid.client.search_runs([grid.experiment_id], f"tags.`mlflow.parentRunId` = '{trained}'")
    grid.client.log_param(own.info.run_id, "weights_digest", CHECKSUM)
    assert list(read_results(store, "early", "demo").runs["run_id"]) == [trained]


def test_a_cell_that_failed_and_then_succeeded_is_complete_and_the_newer_of_two_counts(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "again")
    grid.add(CELL, DICE, tmp_path)
    newer = grid.add(CELL, DICE, tmp_path)
    grid.add(CELL, DICE, tmp_path, status="FAILED")
    grid.close(planned=1)
    results = read_results(store, "again", "demo")
    assert list(results.runs["run_id"]) == [newer]
    assert gaps(results) == []


def test_the_grid_of_the_scale_that_ran_last_is_read(store: str, tmp_path: Path):
    grids = [SyntheticGrid(store, "scales", scale) for scale in ("demo", "demo", "paper")]
    runs = [grid.add({**CELL, "seed": seed}, DICE, tmp_path) for seed, grid in enumerate(grids)]
    assert list(read_results(store, "scales", "demo").runs["run_id"]) == [runs[1]]
    assert list(read_results(store, "scales", "paper").runs["run_id"]) == [runs[2]]
    end = grids[2].client.get_run(grids[2].parent).info.start_time + 60_000
    grids[0].client.set_terminated(grids[0].parent, end_time=end)
    assert list(read_results(store, "scales", "demo").runs["run_id"]) == [runs[0]]


def test_nothing_to_read_names_the_command_that_makes_it(store: str, tmp_path: Path):
    command = r"python -m common.experiments run bundles/empty --scale demo$"
    with pytest.raises(NoResults, match=r"there is no .*nowhere.db with results.*" + command):
        read_results(f"sqlite:///{tmp_path}/nowhere.db", "empty", "demo")
    assert not (tmp_path / "nowhere.db").exists()
    with pytest.raises(NoResults, match=r"'empty' has no results at scale 'demo'.*" + command):
        read_results(store, "empty", "demo")
    grid = SyntheticGrid(store, "empty")
    with pytest.raises(NoResults, match=r"no finished and evaluated run \(none was started\).*" + command):
        read_results(store, "empty", "demo")
    grid.add(CELL, DICE, tmp_path, status="FAILED")
    with pytest.raises(NoResults, match=r"\(1 FAILED\)"):
        read_results(store, "empty", "demo")
    with pytest.raises(NoResults, match=r"at scale 'paper'"):
        read_results(store, "empty", "paper")


def test_bundles_that_share_an_experiment_keep_their_own_results(store: str, tmp_path: Path):
    mine, copied = SyntheticGrid(store, "shared"), SyntheticGrid(store, "shared")  # the newer one of another bundle
    copied.client.set_tag(copied.parent, "bundle", "copied")
    runs = [grid.add(CELL, DICE, tmp_path) for grid in (mine, copied)]
    for bundle, run in zip((None, Path("elsewhere/copied")), runs, strict=True):
        assert list(read_results(store, "shared", "demo", bundle).runs["run_id"]) == [run]
    with pytest.raises(NoResults, match=r"'third' has no results .*experiment 'shared' of .*run bundles/third --scale"):
        read_results(store, "shared", "demo", Path("bundles/third"))


def test_a_run_without_its_cell_is_an_error(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "nameless")
    run_id = grid.add(CELL, DICE, tmp_path)
    grid.client.delete_tag(run_id, "cell")
    with pytest.raises(ValueError, match=f"run {run_id} has no tag 'cell'"):
        read_results(store, "nameless", "demo")


def test_predictions_are_read_where_a_run_kept_them(store: str, tmp_path: Path):
    grid = SyntheticGrid(store, "kept")
    kept = grid.add(CELL, DICE, tmp_path, predictions=True)
    bare = grid.add({**CELL, "seed": 1}, DICE, tmp_path)
    results = read_results(store, "kept", "demo")
    arrays = read_predictions(results, kept)
    assert arrays is not None
    assert list(arrays["name"]) == ["unity_like_0.png", "unity_like_1.png"]
    assert np.array_equal(arrays["prediction"], np.roll(arrays["truth"], 2, axis=1))
    assert read_predictions(results, bare) is None
