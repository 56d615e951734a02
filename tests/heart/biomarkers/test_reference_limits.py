"""The limits are those of the recommendations, and every value has exactly one grade."""

import math
from pathlib import Path

import pytest
import yaml

import common.heart.biomarkers.reference_limits as limits

TABLE = yaml.safe_load(Path(limits.__file__).with_suffix(".yaml").read_text())


@pytest.mark.parametrize("quantity", TABLE)
def test_grades_begin_where_normal_ends_and_get_worse(quantity: str):
    for sex in ("men", "women"):
        own = TABLE[quantity][sex]
        low, high = own["normal"]
        assert low < high
        below, above = list(own.get("below", {}).values()), list(own.get("above", {}).values())
        assert below == sorted(below, reverse=True)
        assert above == sorted(above)
        assert below[:1] in ([], [low])
        assert above[:1] in ([], [high])


@pytest.mark.parametrize(
    ("value", "men", "women"),
    [
        (72, "normal", "normal"),
        (73, "high", "normal"),
        (53, "normal", "mildly reduced"),
        (51, "mildly reduced", "mildly reduced"),
        (40, "moderately reduced", "moderately reduced"),
        (29, "severely reduced", "severely reduced"),
        (math.nan, "", ""),
    ],
)
def test_ejection_fraction_is_graded_as_in_the_recommendations(value: float, men: str, women: str):
    assert (limits.grade("ejection_fraction", value, "M"), limits.grade("ejection_fraction", value, "F")) == (
        men,
        women,
    )


def test_an_atrium_is_graded_upwards():
    found = [limits.grade("left_atrial_volume_index", value, "F") for value in (15, 30, 35, 42, 49)]
    assert found == ["low", "normal", "mildly enlarged", "moderately enlarged", "severely enlarged"]


def test_unknown_quantities_and_sexes_are_refused():
    with pytest.raises(ValueError, match=r"no reference limits for 'mass'; available: \["):
        limits.grade("mass", 1.0, "F")
    with pytest.raises(ValueError, match=r"expected sex to be one of \['F', 'M'\], got 'female'"):
        limits.grade("ejection_fraction", 60.0, "female")
