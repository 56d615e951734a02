"""What defines a training: every entry that a chosen one leads to, and nothing that cannot be stated."""

from collections.abc import Callable
from datetime import date
from functools import partial, wraps
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import relu

from common.identity import changes, training_settings
from common.losses import MarginalDiceCELoss

ENTRIES = {"ce": {"reduction": "mean"}, "dice": {"reduction": "mean"}, "other": {"reduction": "mean"}}


def closure(value: int) -> Callable[[], int]:
    @wraps(closure)
    def inner() -> int:
        return value

    return inner


def local() -> type:
    class Local:
        """Of this call alone."""

    return Local


def settings(entry: Any, **others: Any) -> dict[str, Any]:
    configuration = {
        "loss": "both",
        "losses": {**ENTRIES, "both": entry, **others},
        "mine": "@losses::dice",
        "train": {"loss": "$@losses[@loss]"},
    }
    return training_settings(configuration, data="c0ffee")


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        ({"losses": ["@losses::ce", "@losses#dice"]}, ["ce", "dice"]),
        ("%losses::ce", ["ce"]),
        ("@losses::middle", ["ce"]),
        ("$@losses::dice if 1 else @mine", ["dice"]),
        ("@mine", ["dice"]),
        ("$@losses['ce']", ["ce", "dice", "other"]),
        ({"losses": ["@##ce"]}, ["ce", "dice", "other"]),
        ({"reduction": "mean"}, []),
    ],
)
def test_what_a_chosen_entry_refers_to_is_part_of_the_training(entry: Any, counts: list[str]):
    before = settings(entry, middle="@losses::ce")
    for name in ENTRIES:
        now = settings(entry, middle="@losses::ce", **{name: {"reduction": "sum"}})
        line = f"losses::{name}::reduction: 'mean' then, 'sum' now" if name in counts else ""
        assert changes(before, now) == line


def test_a_built_object_is_refused_and_what_its_name_states_is_not():
    for built in (
        MarginalDiceCELoss(),
        lambda value: value,
        partial(relu, {1: 2}.get),
        {1: 2}.get,
        closure(1),
        local(),
    ):
        with pytest.raises(ValueError, match=r"^losses::both(::1)? is a built \w+, .*: \{_target_: \.\.\., \.\.\.\}"):
            settings(built)
    plain = (torch.float32, torch.channels_last, np.dtype("float32"), np.float32(2), date(2026, 1, 2), None, range(3))
    for stated in (*plain, torch.ones(2), {"b", "a"}, torch.add, relu, MarginalDiceCELoss, partial(torch.add, alpha=2)):
        assert "0x" not in str(settings(stated))
    assert settings({"b", "a"})["losses::both"] == ["a", "b"]
    assert settings(torch.ones(2))["losses::both"] == [1, 1]


def test_the_code_of_a_function_from_python_counts_wherever_it_stands():
    for value in (
        closure,
        partial(closure, value=2),
        {"_target_": "Sum", "of": [closure]},
        {"_target_": closure},
        {closure},
    ):
        assert "code of test_identity.py" in settings(value)
    assert settings(closure)["losses::both"] == "test_identity.closure"
