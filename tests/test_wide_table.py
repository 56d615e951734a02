"""Tables of many columns keep every name and number at the width of a terminal."""

import pytest
from rich.console import Console
from rich.table import Table

from common.tracking import dice_table
from common.wide_table import fit


def printed(table: Table, width: int) -> str:
    console = Console(width=width, record=True, file=None)
    with console.capture() as capture:
        console.print(fit(table, console))
    return capture.get()


@pytest.mark.parametrize("width", [80, 200])
def test_every_class_and_number_of_a_wide_table_is_printed(width: int):
    classes = [f"structure_{number}" for number in range(18)]
    metrics = {
        f"dice/site_{site}/{name}": (site * 100 + index) / 1000 for site in (1, 2) for index, name in enumerate(classes)
    }
    text = printed(dice_table(metrics, "Dice", ["background", *classes]), width)
    assert "…" not in text
    assert text.count("Dice") == 1
    assert max(map(len, text.splitlines())) <= width
    for name in (*classes, "mean"):
        assert text.count(f" {name} ") == 1
    for value in metrics.values():
        assert f" {value:.3f} " in text
    assert text.count("site_1") == text.count("dataset") > 1, "each part names its rows"


def test_a_table_that_fits_is_one_table():
    text = printed(dice_table({"dice/camus/lv": 0.5}, "Dice", ["background", "lv"]), 80)
    assert text.count("dataset") == 1
    assert len(text.splitlines()) == 6
