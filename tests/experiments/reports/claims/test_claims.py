"""Claims on results with known verdicts."""

import csv
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from synthetic_grid import TARGET, results_of

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
def table(inter_domain: Results) -> pd.DataFrame:
    return judge_claims(inter_domain, read_settings(INTER))


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
        "same_time": "holds",
    }


def test_an_effect_is_the_mean_difference_of_patients_averaged_over_seeds(table: pd.DataFrame):
    row = table[table["claim"] == "acce_drops"].iloc[0]
    assert list(table.columns) == COLUMNS
    assert row["effect"] == pytest.approx(0.6 - 0.85, abs=1e-4)
    assert row["low"] < row["effect"] < row["high"]
    assert (row["n"], row["seeds"], row["network"], row["dataset"]) == (12, 2, "unet", "unity_like")
    assert row["lowest_seed"] == pytest.approx(-0.25, abs=1e-4)
    assert row["highest_seed"] == pytest.approx(-0.25, abs=1e-4)
    assert row["contrast"] == "aCCE, label dropout 0 against benchmark"


def test_p_values_are_corrected_for_all_tests_of_the_experiment(table: pd.DataFrame):
    tested = table.dropna(subset=["p"])
    assert len(tested) == 15
    assert tested["corrected_p"].min() == pytest.approx(15 * tested["p"].min())
    assert (tested["corrected_p"] >= tested["p"]).all()


def test_contrasts_show_levels_as_numbers_and_common_settings_once(table: pd.DataFrame):
    assert set(table[table["claim"] == "dropout_best_in_the_middle"]["contrast"]) == {
        "label dropout 0.2/0.4/0.6/0.8 against label dropout 0 (aCCE)",
        "label dropout 0.2/0.4/0.6/0.8 against label dropout 1 (aCCE)",
    }


def test_contradicted_claims_do_not_hold_and_uncertain_ones_are_undecided(inter_domain: Results, tmp_path: Path):
    acce = {"of": {"method": "aCCE", "label_dropout": 0.0}, "against": {"method": "benchmark"}}
    settings = settings_of(
        tmp_path,
        {"expect": "higher", "contrasts": [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]},
        {"expect": "equal", "contrasts": [acce]},
        {"expect": "lower", "contrasts": [{"of": {"method": "benchmark"}, "against": {"method": "benchmark"}}]},
        {"expect": "equal", "contrasts": [acce], "margin": 0.25},  # which is the effect
    )
    verdicts = ["does not hold", "does not hold", "does not hold", "undecided"]
    assert list(judge_claims(inter_domain, settings)["verdict"]) == verdicts


def test_few_patients_leave_every_claim_undecided(tmp_path: Path):
    cell = {"network": "unet", "seed": 0}
    means = {"benchmark": 0.9, "CCE": 0.1}
    runs = [({**cell, "method": method}, {(TARGET, "left_atrium"): dice}) for method, dice in means.items()]
    contrasts = [{"of": {"method": "CCE"}, "against": {"method": "benchmark"}}]
    settings = settings_of(tmp_path, {"expect": "lower", "contrasts": contrasts})
    row = judge_claims(results_of(runs, patients=4), settings).iloc[0]
    assert row["effect"] == pytest.approx(-0.8, abs=0.01)
    assert (row["n"], row["verdict"]) == (4, "undecided")
    assert pd.isna(row["p"])


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


def test_dataset_and_class_are_shown_once_if_all_contrasts_share_them(inter_domain: Results, tmp_path: Path):
    arms = {"of": {"method": "CCE"}, "against": {"method": "benchmark"}}
    shared = {"expect": "lower", "contrasts": [arms]}
    apart = {"expect": "lower", "contrasts": [arms, {**arms, "class": "lv_cavity"}]}
    settings = settings_of(tmp_path, shared, apart)
    shown = claims_shown(judge_claims(inter_domain, settings), settings, inter_domain, "demo", "claims.csv")
    first, second = shown.claims
    assert first.caption == "left atrium of unity_like; n: patients"
    assert [contrast for contrast, _ in first.contrasts] == ["CCE against benchmark: lower"]
    assert second.caption == "n: patients"
    assert [contrast for contrast, _ in second.contrasts] == [
        "CCE against benchmark, left atrium of unity_like: lower",
        "CCE against benchmark, LV cavity of unity_like: lower",
    ]
    assert first.contrasts[0][1][0][:3] == ["unet", "12", "2"]
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
    assert "The aCCE loss falls behind training on all labels. holds" in printed
    assert "Plain cross entropy fails on the structure whose labels are missing. no results" in printed
    assert "make them with: python -m common.experiments run bundles/echo_intra_domain --scale demo" in printed
    assert "figure 5; Islam et al., 2024; margin 0.03 Dice; left atrium of unity_like; n: patients" in printed
    assert "2 of 17 runs are missing." in printed
    assert "aBCE, unet, seed 2, label_dropout 1.0: FAILED" in printed
    assert "camus_like, unity_like are phantoms" in printed
    page = Page((tmp_path / "runs" / "claims-demo.html").read_text())
    assert {"holds", "no results"} <= set(page.verdicts)
    assert "python -m common.experiments run bundles/echo_intra_domain --scale demo" in page.text
    assert "never taken for equality" in page.text
    with (tmp_path / "runs" / "claims-demo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["experiment"] for row in rows} == {"echo_inter_domain", "echo_intra_domain"}
    assert {row["verdict"] for row in rows if row["experiment"] == "echo_intra_domain"} == {"no results"}


def test_bundles_without_claims_are_refused():
    with pytest.raises(ValueError, match=r"none of .*sector_segmentation.* has a configs/report.yaml with claims"):
        claims([ROOT / "bundles" / "sector_segmentation"], "demo", "sqlite:///nowhere.db")
