"""Tables in the form of the papers."""

import pandas as pd
import pytest

from common.experiments.reports.tables import amounts_tables, scores_table

ORDER = {"method": ["aCCE", "marginal"], "network": ["unet", "swin_unet"]}


def test_amounts_are_tabulated_as_in_table_2():
    rows = [
        ("unet", "aCCE", 100, 0, 0.658, 0.06),
        ("unet", "aCCE", 1000, 0, 0.77, 0.01),
        ("unet", "marginal", 100, 0, 0.661, float("nan")),
        ("unet", "marginal", 1000, 400, 0.821, 0.02),
        ("swin_unet", "aCCE", 100, 0, 0.5, 0.0),
    ]
    cells = pd.DataFrame(rows, columns=["network", "method", "full", "partial", "median", "median_sd"])
    unet, swin = amounts_tables(cells, ORDER)
    assert (unet.caption, swin.caption) == ("Median Dice, unet", "Median Dice, swin unet")
    assert unet.header == ["partially labelled", "method", "100 fully labelled", "1000 fully labelled"]
    assert unet.rows == [
        ["0", "aCCE", "0.658 ± 0.06", "0.770 ± 0.01"],
        ["0", "marginal", "0.661", "-"],
        ["400", "aCCE", "-", "-"],
        ["400", "marginal", "-", "0.821 ± 0.02"],
    ]
    assert swin.rows[0] == ["0", "aCCE", "0.500 ± 0.00", "-"]


@pytest.fixture
def cells() -> pd.DataFrame:
    rows = [
        ("unet", "marginal", False, "lv", 0.9),
        ("unet", "marginal", False, "la", 0.7),
        ("unet", "aCCE", False, "lv", 0.8),
        ("swin_unet", "aCCE", True, "lv", 0.5),
    ]
    return pd.DataFrame(rows, columns=["network", "method", "balanced", "class", "mean"])


def test_scores_are_tabulated_as_in_table_3(cells: pd.DataFrame):
    table = scores_table(cells, ["lv", "la"], ORDER)
    assert table.header == ["network", "method", "balanced", "LV", "la", "mean"]
    assert table.rows == [
        ["unet", "aCCE", "False", "0.800", "-", "0.800"],
        ["unet", "marginal", "False", "0.900", "0.700", "0.800"],
        ["swin unet", "aCCE", "True", "0.500", "-", "0.500"],
    ]
    assert table.headings == 3


def test_a_setting_that_does_not_vary_is_not_a_heading(cells: pd.DataFrame):
    assert scores_table(cells.assign(balanced=False), ["lv"], ORDER).header == ["network", "method", "LV", "mean"]


def test_a_setting_that_some_runs_lack_is_a_dash(cells: pd.DataFrame):
    rows = scores_table(cells.assign(label_dropout=[0.4, 0.4, None, None]), ["lv"], ORDER).rows
    assert [row[3] for row in rows] == ["-", "0.4", "-"]


def test_a_further_metric_is_a_column_that_marks_missing_values(cells: pd.DataFrame):
    partly = scores_table(cells.assign(metric=[1.02, 1.02, None, 4.0]), ["lv"], ORDER, "EF error (%)")
    assert partly.header[-1] == "EF error (%)"
    assert [row[-1] for row in partly.rows] == ["- not measured yet", "1.02", "4.00"]
    nowhere = scores_table(cells, ["lv"], ORDER, "EF error (%)")
    assert {row[-1] for row in nowhere.rows} == {"- not measured yet"}
