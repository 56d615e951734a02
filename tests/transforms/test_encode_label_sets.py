"""A batch of several datasets is encoded as each image alone would be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.label_sets import LabelSets
from common.transforms import EncodeLabelSetsd

CLASSES = ["background", "lv", "myocardium", "la"]
SETS = {
    "full": [["background"], ["lv"], ["myocardium"], ["la"]],
    "lv_only": [["background", "myocardium", "la"], ["lv"]],
    "ventricle": [["background"], ["lv", "myocardium"], ["la"]],
}
LABELS = LabelSets(CLASSES, SETS)


@given(dataset=st.lists(st.sampled_from(range(3)), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_a_batch_is_encoded_image_by_image(dataset: list[int], seed: int):
    generator = torch.Generator().manual_seed(seed)
    names = [list(SETS)[index] for index in dataset]
    label = torch.stack([torch.randint(len(SETS[name]), (1, 3, 5), generator=generator) for name in names])
    data = {"image": torch.zeros(len(names), 1, 3, 5), "label": label, "dataset": torch.tensor(dataset)}
    encoded = EncodeLabelSetsd(LABELS)(data)
    assert encoded["label"].shape == (len(names), 2, 3, 5)
    for position, name in enumerate(names):
        assert torch.equal(encoded["label"][position], LABELS.encode(label[position], name))
    assert encoded["image"] is data["image"]
    assert data["label"] is label, "the input keeps its annotation"


def test_the_same_value_means_something_else_in_another_dataset():
    data = {"label": torch.ones(3, 1, 1, 1, dtype=torch.uint8), "dataset": torch.tensor([0, 1, 2])}
    admitted = EncodeLabelSetsd(LABELS)(data)["label"][:, 0].flatten().tolist()
    assert admitted == [0b0010, 0b0010, 0b0110]


def test_a_batch_without_its_datasets_is_refused():
    with pytest.raises(KeyError, match="dataset"):
        EncodeLabelSetsd(LABELS)({"label": torch.zeros(1, 1, 2, 2, dtype=torch.uint8)})


def test_unlabelled_classes_of_an_image_are_encoded_as_withheld():
    label = torch.randint(4, (2, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    unlabelled = torch.tensor([[False, False, True, True], [False] * 4])
    data = {"label": label, "dataset": torch.tensor([0, 0]), "unlabelled": unlabelled}
    encoded = EncodeLabelSetsd(LABELS)(data)["label"]
    more = LabelSets(CLASSES, {**SETS, "again": SETS["full"]}).withhold({"full": ["myocardium", "la"]})
    assert torch.equal(encoded[0], more.encode(label[0], "full"))
    assert torch.equal(encoded[1], LABELS.encode(label[1], "full"))


def test_values_with_gaps_and_ignored_pixels_are_encoded():
    sets = {"clinic": {0: "background", 128: "lv", 255: "ignore"}}
    labels = LabelSets(CLASSES, sets)
    data = {"label": torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8), "dataset": torch.tensor([0])}
    assert EncodeLabelSetsd(labels)(data)["label"].tolist() == [[[[13, 2, 0]], [[2, 2, 0]]]]
    unlabelled = torch.tensor([[False, True, False, False]])
    encoded = EncodeLabelSetsd(labels)({**data, "unlabelled": unlabelled})["label"]
    assert encoded[..., 2].tolist() == [[[0], [0]]], "an ignored pixel stays ignored"
