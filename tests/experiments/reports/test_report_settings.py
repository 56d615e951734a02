"""report.yaml: its settings, and that those of the bundles fit their grids."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from common.datasets.catalogue import dataset_names
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
