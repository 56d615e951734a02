"""The bundle, run as its users run it."""

import csv
import json
import re
from pathlib import Path

import forked
import pytest
import yaml
from mlflow import MlflowClient

from common.bundle.publish import publish

ROOT = Path(__file__).parents[2]
BUNDLE = Path("bundles/annotation_consistency")
RUN = Path("runs/annotation_consistency/camus_like_to_unity_like_seed0")


def run(folder: Path, ok: bool = True, **settings: object) -> str:
    words = [
        "monai.bundle",
        "run",
        "--config_file",
        str(BUNDLE / "configs/register.yaml"),
        "--bundle_root",
        str(BUNDLE),
    ]
    words += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    result = forked.run(words, cwd=folder, imported=["itk.ImageRegistrationMethodv4"] if ok else [])
    assert (result.returncode == 0) == ok, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.slow
def test_a_run_leaves_a_table_a_summary_a_picture_and_a_run_and_repeats_itself(folder: Path):
    output = run(folder, pairs=3)
    assert "Dice, annotation of camus_like carried to unity_like" in output
    assert {path.name for path in (folder / RUN).iterdir()} == {
        ".training", "config.yaml", "mlflow_outbox.json", "mlflow_run.json", "pairs.csv", "pairs.png", "summary.json"
    }  # fmt: skip
    with (folder / RUN / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert all(row["source"].startswith("camus_like") and row["target"].startswith("unity_like") for row in rows)
    summary = json.loads((folder / RUN / "summary.json").read_text())
    by_hand = sum(float(row["bspline_lv_cavity"]) for row in rows) / 3
    assert summary["dice/bspline/lv_cavity"] == pytest.approx(by_hand, abs=1e-4)  # the table rounds to 4 digits
    assert sum(summary[f"used/{stage}"] for stage in ("start", "affine", "bspline")) == 3

    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    logged = client.get_run(json.loads((folder / RUN / "mlflow_run.json").read_text())["run_id"])
    assert client.get_experiment(logged.info.experiment_id).name == "annotation_consistency"
    assert logged.info.status == "FINISHED"
    assert (logged.data.params["pairs"], logged.data.params["source"]) == ("3", "camus_like")
    assert len(logged.data.params["data"]) == 64, "checksum of the data"
    assert logged.data.metrics["dice/bspline/mean"] == summary["dice/bspline/mean"]
    assert {item.path for item in client.list_artifacts(logged.info.run_id)} >= {
        "pairs.csv",
        "pairs.png",
        "config.yaml",
    }

    first = (folder / RUN / "pairs.csv").read_bytes()
    run(folder, pairs=3)
    assert (folder / RUN / "pairs.csv").read_bytes() == first
    assert (folder / f"{RUN}.previous-1" / "pairs.csv").read_bytes() == first, "the first was set aside"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pair": 3}, r"--pair is not a setting of this bundle\. Did you mean --pairs\?"),
        ({"target": "unity"}, r"expected --source and --target among the datasets \['camus_like', .*, got \['unity'\]"),
        ({"pairs": 1000}, r"only 10 pairs of patients of 'camus_like' and 'unity_like'"),
    ],
)
def test_a_wrong_setting_stops_the_run_with_one_clear_line(folder: Path, settings: dict[str, object], message: str):
    output = run(folder, ok=False, **settings, output_dir="runs/wrong")
    assert re.search(message, output), output
    assert "Traceback" not in output
    assert not (folder / "runs/wrong/pairs.csv").exists()


def test_every_setting_that_decides_the_result_is_logged():
    config = yaml.safe_load((ROOT / BUNDLE / "configs/register.yaml").read_text())
    numbers = {name for name, value in config.items() if isinstance(value, int | float)}
    assert numbers | {"source", "target", "data"} == set(config["settings"])


def test_the_published_form_takes_registration_along(tmp_path: Path):
    publish(ROOT / BUNDLE, tmp_path / "annotation_consistency")
    published = json.loads((tmp_path / "annotation_consistency/configs/register.json").read_text())
    assert published["matched"]["_target_"] == "scripts.registration.similar_pairs"
