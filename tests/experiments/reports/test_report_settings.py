"""report.yaml: its settings, and that those of the bundles fit their grids."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.datasets.catalogue import dataset_names
from common.experiments.reports.names import check_names
from common.experiments.reports.results import Results
from common.experiments.reports.settings import read_settings

ROOT = Path(__file__).parents[3]
REPORTS = sorted(ROOT.glob("bundles/*/configs/report.yaml"))
NAMES = [path.parents[1].name for path in REPORTS]


def written(folder: Path, **report: Any) -> Path:
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "train.yaml").write_text(yaml.safe_dump({"experiment": "e", "runs_dir": "runs/e"}))
    (folder / "configs" / "report.yaml").write_text(yaml.safe_dump({"title": "T", **report}))
    return folder


FIGURE = {"kind": "boxes", "name": "a", "title": "A"}
CLAIM: dict[str, Any] = {"name": "c", "text": "T", "source": "S", "dataset": "d", "class": "l", "expect": "lower"}
ARMS = {"of": {"method": "a"}, "against": {"method": "b"}}


def test_contrasts_inherit_from_their_claim_and_may_differ(tmp_path: Path):
    own = {**ARMS, "expect": "equal", "class": "m"}
    claim = {**CLAIM, "where": {"balanced": False}, "contrasts": [ARMS, own]}
    first, second = read_settings(written(tmp_path, claims=[claim], margin=0.05)).claims[0].contrasts
    assert (first.expect, first.dataset, first.label) == ("lower", "d", "l")
    assert first.of == {"method": "a", "balanced": False}
    assert (second.expect, second.dataset, second.label) == ("equal", "d", "m")
    assert read_settings(tmp_path).claims[0].margin == 0.05


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"figure": []}, r"report.yaml has no setting 'figure'. Did you mean 'figures'\?"),
        ({"figures": [{**FIGURE, "hues": "x"}]}, r"a figure of .*no setting 'hues'. Did you mean 'hue'\?"),
        ({"figures": [{"kind": "boxes", "name": "a"}]}, r"a figure of .* missing 1 required .* 'title'"),
        (
            {"figures": [{**FIGURE, "kind": "pie"}]},
            r"figure 'a' of .*, kind: expected one of boxes, .*, got 'pie'",
        ),
        ({"figures": [FIGURE, FIGURE]}, r"uses a name twice: \['a', 'a'\]"),
        ({"claims": [CLAIM]}, r"claim 'c' of .* needs contrasts"),
        (
            {"claims": [{**CLAIM, "expect": "better", "contrasts": [ARMS]}]},
            r"expect: expected one of lower, .*, got 'better'",
        ),
        ({"claims": [{**CLAIM, "contrasts": [{"of": {}, "to": {}}]}]}, r"claim 'c' of .* no setting 'to'"),
        (
            {"claims": [{**CLAIM, "contrasts": [ARMS]}], "margin": 0},
            r"claim 'c' .*margin: expected a number above 0, got 0",
        ),
        (
            {"claims": [{**CLAIM, "measure": "hours", "contrasts": [ARMS]}]},
            r"measure: expected one of dice, seconds, got 'hours'",
        ),
    ],
)
def test_wrong_settings_are_errors(report: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        read_settings(written(tmp_path, **report))


GRID = {
    "axes": {"method": {"marginal": {}}},
    "scales": {"demo": {"grid": [{"method": ["CCE", "aCCE"], "label_dropout": [0.0, 0.7], "seed": [0]}]}},
}


def named(folder: Path, results: Results | None, **report: Any) -> None:
    written(folder, **report)
    train = {"experiment": "e", "runs_dir": "runs/e", "classes": ["background", "lv_cavity", "left_atrium"]}
    for name, content in (("train", train), ("experiments", GRID), ("evaluate", {"other_metrics": {"ef_mae": {}}})):
        (folder / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    check_names(read_settings(folder), folder, results)


RIGHT = {**CLAIM, "class": "lv_cavity", "dataset": "target"}
SIDES = {"of": {"method": "aCCE", "label_dropout": 0.7}, "against": {"method": "CCE", "label_dropout": "lowest"}}
RIGHT_FIGURE = {**FIGURE, "dataset": "target", "classes": ["left_atrium"], "x": "label_dropout", "metric": "ef_mae"}
DATASETS = {"target": ["camus", "unity_like"]}


def test_what_the_grid_states_may_lack_results(tmp_path: Path, inter_domain: Results):
    for results in (None, inter_domain):  # 0.7 is in none of them
        trimmed = {"of": {"method": "marginal", "label_dropout": 0.3}, "against": {"method": "CCE", "seed": 9}}
        claims = [{**RIGHT, "contrasts": [SIDES, trimmed]}]
        named(tmp_path, results, claims=claims, figures=[RIGHT_FIGURE], datasets=DATASETS)
        assert [one.of for one in read_settings(tmp_path).claims[0].contrasts] == [SIDES["of"], trimmed["of"]]


@pytest.mark.parametrize(
    ("claim", "figure", "datasets", "message"),
    [
        ({"contrasts": [{**SIDES, "of": {"method": "cce"}}]}, {}, {}, r"method 'cce' is unknown.*mean 'CCE'\?.* aCCE"),
        ({"contrasts": [{**SIDES, "of": {"methd": "CCE"}}]}, {}, {}, r"column 'methd' is unknown.*mean 'method'\?"),
        ({"class": None}, {}, {}, r"claim 'c': class None is unknown\. There are: lv_cavity, left_atrium"),
        ({"class": "lv_cavty"}, {}, {}, r"claim 'c': class 'lv_cavty' is unknown.*mean 'lv_cavity'\?"),
        ({"dataset": "targt"}, {}, {}, r"claim 'c': dataset 'targt' is unknown.*mean 'target'\?"),
        ({}, {}, {"target": ["camus_lik"]}, r"datasets: target 'camus_lik' is unknown.*mean 'camus_like'\?"),
        ({}, {"classes": ["lv_cavty"]}, {}, r"figure 'a': class 'lv_cavty' is unknown.*mean 'lv_cavity'\?"),
        ({}, {"where": [{"method": "acc"}]}, {}, r"figure 'a': method 'acc' is unknown.*mean 'aCCE'\?"),
        ({}, {"x": "label_dropuot"}, {}, r"figure 'a': column 'label_dropuot' is unknown.*mean 'label_dropout'\?"),
        ({}, {"metric": "ef_mea"}, {}, r"figure 'a': metric 'ef_mea' is unknown.*mean 'ef_mae'\?"),
        ({}, {"dataset": "targte"}, {}, r"figure 'a': dataset 'targte' is unknown.*mean 'target'\?"),
    ],
)
def test_misspelt_names_are_refused_with_those_that_there_are(
    tmp_path: Path, claim: dict, figure: dict, datasets: dict, message: str, inter_domain: Results
):
    report = {"claims": [{**RIGHT, "contrasts": [SIDES], **claim}], "figures": [{**RIGHT_FIGURE, **figure}]}
    with pytest.raises(ValueError, match=rf"report\.yaml, .*{message}"):
        named(tmp_path, inter_domain, datasets={**DATASETS, **datasets}, **report)


def test_the_papers_experiments_have_reports():
    papers = ("domain_shift", "intra_domain", "inter_domain", "label_ratio", "segmentation")
    assert {f"echo_{name}" for name in papers} <= set(NAMES)


@pytest.mark.parametrize("path", REPORTS, ids=NAMES)
def test_reports_name_datasets_classes_and_runs_that_their_bundle_has(path: Path):
    settings = read_settings(path.parents[1])
    bundle = yaml.safe_load(path.with_name("train.yaml").read_text())
    classes, datasets = bundle["classes"], dataset_names()
    grid = yaml.safe_load(path.with_name("experiments.yaml").read_text())
    axes: dict[str, set[Any]] = {}
    for scale in grid["scales"].values():
        for block in scale["grid"]:
            for axis, values in block.items():
                axes.setdefault(axis, set()).update(values)
    for names in settings.datasets.values():
        assert set(names) <= set(datasets)
    contrasts = [one for claim in settings.claims for one in claim.contrasts]
    assert contrasts
    for one in contrasts:
        assert one.label in (*classes, "")
        assert one.dataset in (*settings.datasets, *datasets, "")
    figures = [
        where for one in settings.figures for where in (one.where if isinstance(one.where, list) else [one.where])
    ]
    for where in [*figures, *(arm for one in contrasts for arm in (one.of, one.against))]:
        for column, value in where.items():
            values = value if isinstance(value, list) else [value]
            words = {"best", "lowest", "highest", "level 2", "level 3", None}
            assert set(values) <= axes[column] | words, f"{column} {value}"
    for figure in settings.figures:
        assert set(figure.classes) <= set(classes)
        assert {figure.x, figure.hue} <= {*axes, "class", "dataset"}
