"""Figures and tables, drawn from settings and results."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from synthetic_grid import TARGET, inter_domain_runs, results_of

from common.experiments.reports.figures.draw import draw
from common.experiments.reports.figures.style import NothingToDraw
from common.experiments.reports.results import Results
from common.experiments.reports.settings import KINDS, FigureSettings, ReportSettings

SETTINGS = ReportSettings(
    experiment="e",
    runs_dir=Path(),
    title="T",
    datasets={"target": ["unity", TARGET]},
    order={"method": ["benchmark", "CCE", "pseudo-labels", "aCCE", "marginal", "aBCE"]},
    figures=(),
    claims=(),
)
ATRIUM = {"dataset": "target", "classes": ["left_atrium"]}


def figure(kind: str, **more: Any) -> FigureSettings:
    return FigureSettings(kind=kind, name="a", title="A", **more)


def test_boxes_show_patients_of_the_runs_chosen_and_the_overall_mean(inter_domain: Results):
    drawn = draw(figure("boxes", dataset="target", where={"label_dropout": [0.0, None]}), inter_domain, SETTINGS)
    assert isinstance(drawn.shown, Figure)
    assert [axes.get_title(loc="left") for axes in drawn.shown.axes] == [
        "LV cavity",
        "LV myocardium",
        "left atrium",
        "mean",
    ]
    assert [len(axes.patches) for axes in drawn.shown.axes] == [6] * 4
    assert (drawn.datasets, drawn.patients, drawn.runs, drawn.seeds) == ([TARGET], 12, 12, 2)
    numbers = drawn.numbers.set_index(["method", "class"])
    assert set(numbers["patients"]) == {12}
    assert numbers.loc[("aCCE", "left_atrium"), "mean"] == pytest.approx(0.6025, abs=1e-4)
    assert numbers.loc[("aCCE", "mean"), "mean"] == pytest.approx((0.9 + 0.9 + 0.6025) / 3, abs=1e-4)


def test_the_best_dropout_is_chosen_without_the_patient_itself(inter_domain: Results):
    where = [{"method": "benchmark"}, {"method": "aCCE", "label_dropout": "best"}]
    drawn = draw(figure("boxes", **ATRIUM, where=where), inter_domain, SETTINGS)
    means = drawn.numbers.set_index("method")["mean"]
    assert dict(means) == pytest.approx({"aCCE": 0.8375, "benchmark": 0.8525}, abs=1e-4)


def test_curves_include_the_reference(inter_domain: Results):
    settings = figure("curves", **ATRIUM, x="label_dropout", reference={"method": "benchmark"})
    drawn = draw(settings, inter_domain, SETTINGS)
    assert isinstance(drawn.shown, Figure)
    assert [one.get_label() for one in drawn.shown.axes[0].containers] == ["aCCE", "marginal", "aBCE"]
    assert drawn.numbers["median"].max() == pytest.approx(0.8525, abs=0.002)
    assert set(drawn.numbers["seeds"]) == {2}


def test_times_show_every_run(inter_domain: Results):
    drawn = draw(figure("times"), inter_domain, SETTINGS)
    assert len(drawn.numbers) == drawn.runs == len(inter_domain.runs)


def test_a_further_metric_is_averaged_over_seeds(inter_domain: Results):
    settings = figure("scores", dataset="target", metric="ef_mae", metric_title="EF error (%)")
    without = draw(settings, inter_domain, SETTINGS).shown
    assert isinstance(without, list)
    assert {row[-1] for row in without[0].rows} == {"- not measured yet"}
    runs = inter_domain.runs.assign(**{f"ef_mae/{TARGET}": [4.0 + 2 * seed for seed in inter_domain.runs["seed"]]})
    measured = draw(settings, Results(**{**vars(inter_domain), "runs": runs}), SETTINGS).shown
    assert isinstance(measured, list)
    assert {row[-1] for row in measured[0].rows} == {"5.00"}


def test_a_further_metric_of_classes_or_of_several_datasets_is_their_mean(inter_domain: Results):
    places = [
        f"{name}/{label}" for name in set(inter_domain.images["dataset"]) for label in ("lv_cavity", "left_atrium")
    ]
    values = {f"jaccard/{place}": float(number) for number, place in enumerate(sorted(places))}
    runs = inter_domain.runs.assign(**values)
    results = Results(**{**vars(inter_domain), "runs": runs})
    for more in ({}, {"dataset": "target"}, {"classes": ["lv_cavity"]}):
        wanted = figure("scores", metric="jaccard", metric_title="Jaccard", **more)
        own = [
            value
            for name, value in values.items()
            if (not more.get("dataset") or f"/{TARGET}/" in name) and name.endswith((*more.get("classes", ["m", "y"]),))
        ]
        shown = draw(wanted, results, SETTINGS).shown
        assert isinstance(shown, list)
        assert {row[-1] for row in shown[0].rows} == {f"{sum(own) / len(own):.2f}"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            figure("boxes", dataset="target", where={"method": "focal"}),
            "no results for dataset unity or unity_like; .*focal",
        ),
        (figure("boxes", classes=["aorta"]), "no results for classes aorta"),
        (figure("boxes", x="train_on"), "does not vary train on"),
        (figure("amounts"), "does not vary the numbers of images"),
        (figure("curves", x="full"), "does not vary full"),
        (figure("curves", x="method"), "need numbers along their axis; method has names"),
    ],
)
def test_missing_results_are_named(settings: FigureSettings, message: str, inter_domain: Results):
    with pytest.raises(NothingToDraw, match=message):
        draw(settings, inter_domain, SETTINGS)


def test_one_seed_has_no_variability_figure():
    with pytest.raises(NothingToDraw, match="two seeds"):
        draw(figure("variability", **ATRIUM), results_of(list(inter_domain_runs(seeds=1))), SETTINGS)


@pytest.mark.parametrize("axis", ["network", "method", "seed"])
def test_a_grid_may_lack_any_axis(axis: str):
    runs = [(cell, dice) for cell, dice in inter_domain_runs(levels={0.0: 0.6}) if cell["seed"] == 0]
    results = results_of([({name: value for name, value in cell.items() if name != axis}, dice) for cell, dice in runs])
    for kind in KINDS:
        with suppress(NothingToDraw):
            draw(figure(kind, **ATRIUM), results, SETTINGS)
    if axis != "method":
        assert "method" in draw(figure("scores", **ATRIUM), results, SETTINGS).shown[0].header
