"""Claims on results with known verdicts."""

import csv
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from synthetic_grid import TARGET, inter_domain_runs, results_of

from common.experiments.reports.claims.claims import claims
from common.experiments.reports.claims.contrasts import COLUMNS, dataset_of, judge_claims
from common.experiments.reports.claims.verdicts import together
from common.experiments.reports.claims.wording import claims_shown
from common.experiments.reports.results import Results
from common.experiments.reports.settings import ReportSettings, read_settings

ROOT = Path(__file__).parents[4]
INTER = ROOT / "bundles" / "echo_inter_domain"
LA = {"dataset": "target", "class": "left_atrium"}


def settings_of(folder: Path, *given: dict[str, Any]) -> ReportSettings:
    """Return the settings of a bundle in `folder` with the given claims."""
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    (configs / "train.yaml").write_text(yaml.safe_dump({"experiment": "e", "runs_dir": "runs/e"}))
    claims = [{"name": f"claim{n}", "text": "Text.", "source": "Somebody", **LA, **one} for n, one in enumerate(given)]
    report = {"title": "T", "datasets": {"target": ["unity", "unity_like"]}, "claims": claims}
    (configs / "report.yaml").write_text(yaml.safe_dump(report))
    return read_settings(folder)


@pytest.fixture(scope="module")
def three_seeds() -> Results:
    """Results in which the claims hold, of three seeds and all levels that the claims name."""
    return results_of(list(inter_domain_runs(seeds=3, levels={0.0: 0.6, 0.2: 0.8, 0.4: 0.835, 0.6: 0.8, 1.0: 0.05})))


@pytest.fixture(scope="module")
def table(three_seeds: Results) -> pd.DataFrame:
    return judge_claims(three_seeds, read_settings(INTER))


def test_the_claims_hold_where_the_numbers_support_them(table: pd.DataFrame):
    verdicts = {name: together(list(rows["verdict"])) for name, rows in table.groupby("claim", sort=False)}
    assert verdicts == {
        "acce_drops": "holds",
        "marginal_and_abce_keep_up": "holds",
        "dropout_rescues_acce": "holds",
        "dropout_leaves_others": "holds",
        "dropout_best_in_the_middle": "holds",
        "pseudo_labels_fall_behind": "holds",
        "cce_fails": "holds",
        "mean_teacher_helps": "no results",
        "co_training_keeps_up": "no results",
        "same_time": "holds",
    }


def test_an_effect_is_the_mean_difference_of_patients_averaged_over_seeds(table: pd.DataFrame):
    row = table[table["claim"] == "acce_drops"].iloc[0]
    assert list(table.columns) == COLUMNS
    assert row["effect"] == pytest.approx(0.6 - 0.85, abs=1e-4)
    assert row["low"] < row["effect"] < row["high"]
    assert (row["n"], row["seeds"], row["network"], row["dataset"]) == (12, 3, "unet", "unity_like")
    assert row["lowest_seed"] == pytest.approx(-0.255, abs=1e-4)  # seeds are 0.005 apart
    assert row["highest_seed"] == pytest.approx(-0.245, abs=1e-4)
    assert row["contrast"] == "aCCE, label dropout 0 against benchmark"


def test_p_values_are_corrected_for_all_tests_of_the_experiment(table: pd.DataFrame):
    tested = table.dropna(subset=["p"])
    assert len(tested) == 27
    assert set(table["verdict"][table["p"].isna()]) == {"no results"}
    for name in ("p", "p_not"):
        least = tested[name][tested[name] > 0].idxmin()
        larger = (tested[name] >= tested[name][least]).sum()
        assert tested[f"corrected_{name}"][least] == pytest.approx(min(1, larger * tested[name][least]))
        assert (tested[f"corrected_{name}"] >= tested[name]).all()


def test_several_levels_are_judged_level_by_level_and_common_settings_are_shown_once(table: pd.DataFrame):
    rows = table[table["claim"] == "dropout_best_in_the_middle"]
    assert set(rows["contrast"]) == {
        f"label dropout {level} against label dropout {end} (aCCE)" for level in (0.2, 0.4, 0.6) for end in (0, 1)
    }
    effects = rows.set_index("contrast")["effect"]
    assert effects["label dropout 0.2 against label dropout 0 (aCCE)"] == pytest.approx(0.2, abs=1e-4)
    assert effects["label dropout 0.4 against label dropout 1 (aCCE)"] == pytest.approx(0.785, abs=1e-4)


def test_levels_that_the_claim_does_not_name_are_judged_one_by_one(three_seeds: Results, tmp_path: Path):
    contrasts = [{"of": {"method": "aCCE"}, "against": {"method": "marginal"}}]
    own = judge_claims(three_seeds, settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts}))
    assert list(own["contrast"]) == [
        f"aCCE against marginal (label dropout {level})" for level in ("0", "0.2", "0.4", "0.6", "1")
    ]


def test_a_level_that_was_not_trained_is_named_and_never_replaced(three_seeds: Results, tmp_path: Path):
    arms = {"of": {"label_dropout": [0.4, 0.5]}, "against": {"label_dropout": "lowest"}}
    gone = {"of": {"label_dropout": "level 9"}, "against": {"label_dropout": 0.0}}
    where = {"method": "aCCE"}
    settings = settings_of(tmp_path, {"expect": "higher", "where": where, "contrasts": [arms, gone]})
    own = judge_claims(three_seeds, settings).set_index("contrast")
    assert own["verdict"].to_dict() == {
        "label dropout 0.4 against label dropout 0 (aCCE)": "holds",
        "label dropout 0.5 against label dropout 0 (aCCE)": "no results",
        "label dropout level 9 against label dropout 0 (aCCE)": "no results",
    }
    assert list(own["reason"]) == ["", *(f"aCCE, label dropout {one}: not trained" for one in ("0.5", "level 9"))]
    assert together(list(own["verdict"])) == "undecided"


def test_trainings_are_not_compared_with_themselves(three_seeds: Results, tmp_path: Path):
    same = {"of": {"method": "CCE"}, "against": {"method": ["CCE", "benchmark"]}}
    own = judge_claims(three_seeds, settings_of(tmp_path, {"expect": "equal", "contrasts": [same]}))
    found = dict(zip(own["contrast"], zip(own["verdict"], own["reason"], strict=True), strict=True))
    assert found == {
        "CCE against benchmark": ("does not hold", ""),
        "CCE against CCE": ("no results", "both sides are the same trainings"),
    }


def test_a_setting_that_changed_no_weights_has_no_verdict(three_seeds: Results, tmp_path: Path):
    """A largest number of images that the data do not reach, for example."""
    runs = three_seeds.runs
    twins = runs["seed"].map(str)[runs["method"].isin(["CCE", "benchmark"])]
    equal = replace(three_seeds, runs=runs.assign(weights_digest=twins.reindex(runs.index).fillna(runs["run_id"])))
    contrasts = [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]
    settings = settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts})
    for expect in ("lower", "not_lower", "equal"):
        own = judge_claims(equal, settings_of(tmp_path, {"expect": expect, "contrasts": contrasts}))
        assert list(own["verdict"]) == ["no results"]
        assert own["reason"][0].startswith("both sides gave the same weights")
    unfinished = (runs["method"] == "CCE") & (runs["seed"] == 2)
    images = equal.images[~equal.images["run_id"].isin(runs["run_id"][unfinished])]
    fewer = replace(equal, runs=equal.runs[~unfinished], images=images)
    assert list(judge_claims(fewer, settings)["verdict"]) == ["no results"], "by the seeds that both have"
    one = equal.runs["weights_digest"].where(runs["seed"] == 0, runs["run_id"])
    assert list(judge_claims(replace(equal, runs=runs.assign(weights_digest=one)), settings)["verdict"]) == ["holds"]


def test_trainings_that_differ_as_much_as_methods_decide_nothing(tmp_path: Path):
    runs = [
        ({"method": method, "network": "unet", "seed": seed}, {(TARGET, "left_atrium"): mean + noise})
        for method, mean in {"benchmark": 0.8, "CCE": 0.76}.items()
        for seed, noise in enumerate((-0.03, 0.0, 0.03))
    ]
    contrasts = [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]
    settings = settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts})
    row = judge_claims(results_of(runs, patients=100), settings).iloc[0]
    assert (row["verdict"], row["n"]) == ("undecided", 100)
    assert row["low"] < -0.08  # a hundred patients do not make up for three seeds
    assert row["high"] > 0.0


def test_networks_that_learned_nothing_support_no_claim(tmp_path: Path):
    runs = [
        ({"method": method, "network": "unet", "seed": seed}, {(TARGET, "left_atrium"): mean})
        for method, mean in {"benchmark": 0.05, "CCE": 0.05, "aCCE": 0.8}.items()
        for seed in range(3)
    ]
    contrasts = [{"of": {"method": method}, "against": {"method": "benchmark"}} for method in ("CCE", "aCCE")]
    settings = settings_of(tmp_path, {"expect": "not_lower", "contrasts": contrasts})
    own = judge_claims(results_of(runs, patients=30), settings)
    assert list(own["verdict"]) == ["no results", "holds"]
    assert own["reason"][0].startswith("neither side has learned the structure (mean Dice 0.0")


def test_contradicted_claims_do_not_hold_and_uncertain_ones_are_undecided(three_seeds: Results, tmp_path: Path):
    acce = {"of": {"method": "aCCE", "label_dropout": 0.0}, "against": {"method": "benchmark"}}
    settings = settings_of(
        tmp_path,
        {"expect": "higher", "contrasts": [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]},
        {"expect": "equal", "contrasts": [acce]},
        {"expect": "lower", "contrasts": [{"of": {"method": "benchmark"}, "against": {"method": "CCE"}}]},
        {"expect": "equal", "contrasts": [acce], "margin": 0.25},  # which is the effect
    )
    verdicts = ["does not hold", "does not hold", "does not hold", "undecided"]
    assert list(judge_claims(three_seeds, settings)["verdict"]) == verdicts


def test_few_patients_leave_every_claim_undecided(tmp_path: Path):
    runs = [
        ({"network": "unet", "seed": seed, "method": method}, {(TARGET, "left_atrium"): dice})
        for method, dice in {"benchmark": 0.9, "CCE": 0.1}.items()
        for seed in range(3)
    ]
    contrasts = [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]
    settings = settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts})
    row = judge_claims(results_of(runs, patients=4), settings).iloc[0]
    assert row["effect"] == pytest.approx(-0.8, abs=0.01)
    assert (row["n"], row["verdict"], row["reason"]) == (4, "undecided", "four patients; six are needed")
    assert pd.isna(row["p"])


@pytest.mark.parametrize("level", [0.4, "best"])
def test_a_grid_without_seeds_has_one_of_each(level: object, tmp_path: Path):
    runs = [
        ({"network": "unet", "method": method, "label_dropout": dropout}, {(TARGET, "left_atrium"): dice})
        for method, dice in {"aCCE": 0.9, "CCE": 0.1}.items()
        for dropout in (0.0, 0.4)
    ]
    contrasts = [{"of": {"method": "aCCE", "label_dropout": level}, "against": {"method": "CCE", "label_dropout": 0.0}}]
    settings = settings_of(tmp_path, {"expect": "higher", "contrasts": contrasts})
    row = judge_claims(results_of(runs), settings).iloc[0]
    assert (row["verdict"], row["reason"]) == ("undecided", "one seed; three are needed")
    assert row["effect"] == pytest.approx(0.8, abs=0.01)


def test_networks_are_judged_separately_and_seconds_for_all_together(tmp_path: Path):
    arms = {"of": {"method": "aCCE"}, "against": {"method": "benchmark"}}
    time = {"expect": "equal", "measure": "seconds", "contrasts": [arms]}
    settings = settings_of(
        tmp_path, {"expect": "lower", "contrasts": [arms]}, {**time, "margin": 0.1}, {**time, "margin": 0.04}
    )
    runs, seconds = [], []
    for network in ("unet", "swin_unet"):
        for seed in range(3):
            for method in ("benchmark", "aCCE"):
                dice = 0.7 if (network, method) == ("unet", "aCCE") else 0.9
                cell = {"method": method, "network": network, "seed": seed}
                runs.append((cell, {(TARGET, "left_atrium"): dice}))
                seconds.append(1.05 if method == "aCCE" else 1.0)
    table = judge_claims(results_of(runs, seconds), settings)
    assert list(zip(table["claim"], table["network"], table["n"], table["verdict"], strict=True)) == [
        ("claim0", "swin_unet", 12, "does not hold"),
        ("claim0", "unet", 12, "holds"),
        ("claim1", "all", 6, "holds"),
        ("claim2", "all", 6, "does not hold"),
    ]
    assert table["effect"].iloc[2] == pytest.approx(0.05)
    few = results_of([runs[0], runs[1], *runs[6:8]], [1.0, 1.05, 1.0, 1.05])
    reasons = judge_claims(few, settings)[["verdict", "reason"]].to_numpy().tolist()
    assert (
        reasons
        == [["undecided", "one seed; three are needed"]] * 2
        + [
            ["undecided", "two seeds; three are needed"]  # one of each network
        ]
        * 2
    )


def test_a_name_stands_for_the_first_dataset_that_defines_the_class(tmp_path: Path):
    cell = {"method": "aCCE", "network": "unet", "seed": 0}
    results = results_of([(cell, {("unity", "lv_cavity"): 0.9, (TARGET, "left_atrium"): 0.9})])
    settings = settings_of(tmp_path)
    assert dataset_of("target", results, settings) == "unity"
    assert dataset_of("target", results, settings, "left_atrium") == TARGET
    assert dataset_of("target", results, settings, "lv_myocardium") == "target"
    assert dataset_of("camus", results, settings) == "camus"


def test_a_contrast_without_runs_has_a_row_without_results(inter_domain: Results, tmp_path: Path):
    contrasts = [{"of": {"method": "focal"}, "against": {"method": "benchmark"}}]
    settings = settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts})
    for results in (inter_domain, None):
        table = judge_claims(results, settings)
        assert list(table["verdict"]) == ["no results"]
        assert list(table["contrast"]) == ["focal against benchmark"]
        assert list(table["reason"]) == ["focal: not trained" if results else ""]


def test_dataset_and_class_are_shown_once_if_all_contrasts_share_them(three_seeds: Results, tmp_path: Path):
    arms = {"of": {"method": "CCE"}, "against": {"method": "benchmark"}}
    shared = {"expect": "lower", "contrasts": [arms]}
    apart = {"expect": "lower", "contrasts": [arms, {**arms, "class": "lv_cavity"}]}
    settings = settings_of(tmp_path, shared, apart)
    shown = claims_shown(judge_claims(three_seeds, settings), settings, three_seeds, "claims.csv", "make it")
    first, second = shown.claims
    assert first.caption == "left atrium of unity_like; n: patients"
    assert [contrast for contrast, _ in first.contrasts] == ["CCE against benchmark: lower"]
    assert second.caption == "n: patients"
    assert [contrast for contrast, _ in second.contrasts] == [
        "CCE against benchmark, left atrium of unity_like: lower",
        "CCE against benchmark, LV cavity of unity_like: lower",
    ]
    assert first.contrasts[0][1][0][:3] == ["unet", "12", "3"]
    assert shown.note == "scale demo, data checksum 0123456789ab; p-values are corrected for 3 tests by Holm's method."


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.verdicts: list[str] = []
        self.text = ""
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "span" and (dict(attrs).get("class") or "").startswith("verdict")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.inside:
            self.verdicts.append(data)
            self.inside = False


@pytest.mark.slow
def test_the_command_prints_every_claim_and_writes_page_and_table(
    inter_domain_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    bundles = [INTER, ROOT / "bundles" / "echo_intra_domain", ROOT / "bundles" / "sector_segmentation"]
    claims(bundles, "demo", inter_domain_store)
    printed = " ".join(capsys.readouterr().out.split())
    assert "The aCCE loss falls behind training on all labels. undecided" in printed
    assert "one seed; three are needed" in printed
    assert "Plain cross entropy fails on the structure whose labels are missing. no results" in printed
    assert f"make them with: python -m common.experiments run {bundles[1]} --scale demo" in printed
    assert "figure 5; Islam et al., 2024; margin 0.03 Dice; left atrium of unity_like; n: patients" in printed
    assert "2 of 17 runs are missing." in printed
    assert "aBCE, unet, seed 2, label_dropout 1.0: FAILED" in printed
    assert "camus_like, unity_like are phantoms" in printed
    page = Page((tmp_path / "runs" / "claims-demo.html").read_text())
    assert {"undecided", "no results"} <= set(page.verdicts)
    assert "one seed; three are needed" in page.text
    assert f"python -m common.experiments run {bundles[1]} --scale demo" in page.text
    assert "never taken for equality" in page.text
    with (tmp_path / "runs" / "claims-demo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["experiment"] for row in rows} == {"echo_inter_domain", "echo_intra_domain"}
    assert {row["verdict"] for row in rows if row["experiment"] == "echo_intra_domain"} == {"no results"}


def test_an_unknown_scale_is_refused_with_the_names_of_all(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected a scale of \['smoke', 'demo', 'anatomy', 'paper'\], got 'nope'"):
        claims([INTER], "nope", f"sqlite:///{tmp_path}/none.db")


def test_bundles_without_claims_are_refused():
    with pytest.raises(ValueError, match=r"none of .*sector_segmentation.* has a configs/report.yaml with claims"):
        claims([ROOT / "bundles" / "sector_segmentation"], "demo", "sqlite:///nowhere.db")
