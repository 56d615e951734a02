"""What defines a training: every entry that a chosen one leads to, and nothing that cannot be stated."""

from functools import partial
from typing import Any

import pytest
import torch

from common.identity import changes, training_settings
from common.losses import MarginalDiceCELoss

ENTRIES = {"ce": {"reduction": "mean"}, "dice": {"reduction": "mean"}, "other": {"reduction": "mean"}}


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
    for built in (MarginalDiceCELoss(), lambda value: value, partial(torch.add, torch.ones(1))):
        with pytest.raises(
            ValueError, match=r"^losses::both(::1)? is a built \w+, .*: \{_target_: \.\.\., \.\.\.\}\.$"
        ):
            settings(built)
    for stated in (torch.float32, torch.add, MarginalDiceCELoss, partial(torch.add, alpha=2)):
        assert "0x" not in str(settings(stated))
    assert settings(settings)["losses::both"] == "test_identity.settings"
