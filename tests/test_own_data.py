"""Described folders train, are evaluated and completed by a bundle of which no file is edited."""

import csv
from pathlib import Path

import forked
import pytest
from drawn_sites import DRAWN, prepare_sites

ECHO = "bundles/echo_segmentation"
TINY = {"image_size": 32, "batch_size": 4, "epochs": 2, "learning_rate": 0.01}
SITES = {f"site_{letter}": [name] for letter, name in zip("abc", DRAWN, strict=True)}
pytestmark = pytest.mark.slow


def run(folder: Path, workflow: str, ok: bool = True, **settings: object) -> str:
    words = ["monai.bundle", "run", "--config_file", f"{ECHO}/configs/{workflow}.yaml", "--bundle_root", ECHO]
    words += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    done = forked.run(words, cwd=folder)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def table(output: str) -> dict[str, list[str]]:
    """Return the rows of the table of the coverage."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("dataset "))
    return {line.split()[0]: line.split()[1:] for line in lines[start + 1 : start + 4]}


@pytest.fixture(scope="module")
def sites(folder: Path) -> list[str]:
    return prepare_sites(folder, SITES)


@pytest.fixture(scope="module")
def trained(folder: Path, sites: list[str]) -> str:
    return run(folder, "train", **TINY, data=sites, output_dir="runs/own")


def test_three_sites_that_outline_one_structure_each_train_one_network(trained: str):
    assert table(trained) == {
        "site_a": ["-", "yes", "-", "-", "8"],
        "site_b": ["-", "-", "yes", "-", "8"],
        "site_c": ["-", "-", "-", "yes", "8"],
    }


@pytest.mark.usefixtures("trained")
def test_each_site_is_evaluated_on_what_it_outlines(folder: Path, sites: list[str]):
    output = run(folder, "evaluate", data=sites[::-1], checkpoint="runs/own/model.pt")
    assert table(output) == {
        "site_a": ["-", "yes", "-", "-", "2"],
        "site_b": ["-", "-", "yes", "-", "2"],
        "site_c": ["-", "-", "-", "yes", "2"],
    }
    (written,) = folder.glob("runs/own/evaluations/site_a_site_b_site_c-*-test-*/dice.csv")
    with written.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        assert [name for name in DRAWN if row[name]] == SITES[row["dataset"]]


@pytest.mark.usefixtures("trained")
def test_weights_are_evaluated_and_trained_further_where_one_class_is_annotated(folder: Path, sites: list[str]):
    output = run(folder, "train", ok=False, **TINY, data=sites[0], output_dir="runs/one")
    assert "no dataset annotates ['lv_myocardium', 'left_atrium']" in output
    run(folder, "evaluate", image_size=32, data=sites[0], checkpoint="runs/own/model.pt")
    weights = {"initial_weights": "runs/own/model.pt", "output_dir": "runs/further"}
    run(folder, "train", **{**TINY, "epochs": 1}, data=sites[0], **weights)
    assert (folder / "runs/further/model.pt").is_file()


@pytest.mark.usefixtures("trained")
def test_pseudo_labels_complete_what_is_withheld_and_a_training_sees_them(folder: Path, sites: list[str]):
    withheld = {"withheld": "{'site_a': ['lv_cavity']}"}
    run(
        folder,
        "pseudo_label",
        image_size=32,
        data=sites,
        checkpoint="runs/own/model.pt",
        out="data/completed",
        **withheld,
    )
    output = run(folder, "train", **{**TINY, "epochs": 1}, data="data/completed", output_dir="runs/student", **withheld)
    assert table(output) == {name: ["yes"] * 4 + ["8"] for name in SITES}
    assert "completed by a network, nothing is withheld: site_a, site_b, site_c" in output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_on": "site_d"}, "train_on names 'site_d', which is not in the data: ['site_a', 'site_b', 'site_c']."),
        ({"withheld": "{'unity': ['left_atrium']}"}, "withheld names 'unity', which is not in the data: ["),
        ({"withheld": "{'site_a': ['left_artium']}"}, "withheld of 'site_a' is ['left_artium'], expected a list of"),
        ({"classes": "['background', 'lv_cavity']"}, "'site_b' annotates 'lv_myocardium', which is not among"),
        (
            {"classes": "[lv_cavity]"},
            'expected a list that begins with background: --classes "[background, lv_cavity]"',
        ),
        ({"classes": "lv_cavity"}, 'expected a list that begins with background: --classes "[background, lv_cavity]"'),
        ({"images": "{site_a: -1}"}, "images is {'site_a': -1}, expected whole numbers from 0"),
        ({"withheld": "site_a"}, "withheld is 'site_a', expected lists of classes by dataset"),
        ({"renamed": "background"}, "renamed is 'background', expected structures and the class that each counts as"),
        ({"renamed": "{lv_cavty: background}"}, "renamed names 'lv_cavty', which is not in the data: "),
        ({"data": "['data/site_a', './data/site_a']"}, "data/site_a and data/site_a hold the same images"),
    ],
)
def test_a_name_that_would_do_nothing_stops_the_run(
    folder: Path, sites: list[str], settings: dict[str, object], message: str
):
    output = run(folder, "train", ok=False, **TINY, **{"data": sites, "output_dir": "runs/wrong", **settings})
    assert message in output
    assert "Traceback" not in output


def test_a_bundle_may_rename_what_it_does_not_study(folder: Path, sites: list[str]):
    others = {"classes": "['background', 'lv_cavity']", "train_on": "site_a"}
    renamed = "{'lv_myocardium': 'background', 'left_atrium': 'background'}"
    output = run(folder, "train", **{**TINY, "epochs": 1}, data=sites, renamed=renamed, output_dir="runs/lv", **others)
    assert "site_a   yes         yes             8" in output
    assert "not trained on: site_b, site_c" in output
