"""A training whose record would be false does not start."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from common.datasets import ResidentDataset
from common.engines import check_record, inferer_for
from common.engines.weights_record import NORMALISATION
from common.label_sets import LabelSets

RECORD = {
    "activation": "softmax",
    "classes": ["background", "lv"],
    "image_size": 64,
    "normalisation": "grey value / 255",
}


def dataset(image_size: int = 64, classes: tuple[str, ...] = ("background", "lv")) -> Any:
    known = {"normalisation": RECORD["normalisation"], "spacing": torch.tensor([[2.0, 3.0], [2.0, 3.0]])}
    return SimpleNamespace(image_size=image_size, label_sets=LabelSets(classes, {"clinic": {0: classes[0]}}), **known)


RANGE = {"pixdim": [2, 3], "min_pixdim": [1, 2], "max_pixdim": [3, 4]}


@pytest.mark.parametrize("spacing", [None, [2, 3], [2.0000001, 3.0], RANGE])
def test_the_spacing_of_the_data_or_none_is_true(spacing: list[float] | None):
    check_record(RECORD | {"spacing": spacing}, {"initial_weights": None}, None, {"train": dataset()}, {})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"datasets": {"train": dataset(32)}},
            r"^train::dataset has image_size 32, but the record would say 64; "
            r"set --image_size instead of --train::dataset::image_size\.$",
        ),
        ({"datasets": {"train": dataset(), "validate": dataset(96)}}, r"^validate::dataset has image_size 96, but"),
        ({"datasets": {"train": dataset(classes=("background", "la"))}}, r"has classes \['background', 'la'\], but"),
        (
            {"inferers": {"validate": inferer_for("sigmoid")}},
            r"^validate::inferer has activation sigmoid, but ",
        ),
        ({"inferers": {"train": inferer_for("sigmoid", amp=True)}}, r"; leave out --train::inferer\.$"),
        (
            {"record": RECORD | {"activation": "sigmoid"}, "inferers": {"train": SimpleInferer()}},
            r"^train::inferer has activation softmax, but the record would say sigmoid",
        ),
        (
            {"record": RECORD | {"normalisation": "grey value / 127"}},
            r"^train::dataset has normalisation grey value / 255, but the record would say grey value / 127; state the",
        ),
        (
            {"record": RECORD | {"spacing": [1.0, 1.0]}},
            r"^train::dataset has spacing \[\[2\.0, 3\.0\]\], but the record would say \[1\.0, 1\.0\]; state the spac",
        ),
        ({"record": RECORD | {"spacing": [2, 3, 4]}}, r"has spacing \[\[2\.0, 3\.0\]\], but .* say \[2, 3, 4\]"),
        ({"initial_digest": "b" * 64}, r"^the file of --initial_weights changed while this training started; start it"),
    ],
)
def test_a_false_record_is_refused(own: dict[str, Any], message: str):
    right: dict[str, Any] = {"record": RECORD, "settings": {"initial_weights": "a" * 16}, "initial_digest": "a" * 64}
    right |= {"datasets": {"train": dataset(), "validate": dataset()}}
    right |= {"inferers": {"train": inferer_for("softmax", amp=True), "validate": inferer_for("softmax")}}
    check_record(**right)
    with pytest.raises(ValueError, match=message):
        check_record(**{**right, **own})


def test_pictures_are_normalised_as_their_weights_say():
    assert ResidentDataset.normalisation == NORMALISATION


def test_what_components_of_your_own_do_not_state_is_not_compared():
    check_record(RECORD, {"initial_weights": None}, None, {"train": [1, 2]}, {"train": SlidingWindowInferer((32, 32))})
