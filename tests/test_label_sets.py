"""The vocabulary: encoding, dropping, withholding, describing."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.label_set_map import admitted, annotated, drop_classes, known_classes, known_masks
from common.label_sets import IGNORE, LabelSets, by_value, describe

CLASSES = ["background", "lv_cavity", "lv_myocardium", "left_atrium"]
FULL = [["background"], ["lv_cavity"], ["lv_myocardium"], ["left_atrium"]]
HEART = LabelSets(
    CLASSES,
    {
        "camus": FULL,
        "echonet_dynamic": [["background", "lv_myocardium", "left_atrium"], ["lv_cavity"]],
        "whole_ventricle": [["background"], ["lv_cavity", "lv_myocardium"], ["left_atrium"]],
        "with_ignored": [*FULL, CLASSES],
    },
)


@st.composite
def label_sets(draw, most_classes=12):
    """Draw a vocabulary with a complete dataset and one whose values have arbitrary label sets."""
    classes = ["background", *(f"class_{c}" for c in range(1, draw(st.integers(2, most_classes))))]
    one_set = st.lists(st.sampled_from(classes), min_size=1, unique=True)
    partial = draw(st.lists(one_set, min_size=1, max_size=6))
    return LabelSets(classes, {"full": [[name] for name in classes], "partial": partial})


@st.composite
def mapped(draw):
    """Draw a dataset whose values have gaps and may be ignored, and the same dataset with values 0, 1, 2, ..."""
    classes = ["background", *(f"class_{c}" for c in range(1, draw(st.integers(2, 12))))]
    one_set = st.just([IGNORE]) | st.lists(st.sampled_from(classes), min_size=1, unique=True)
    sets = draw(st.lists(one_set, min_size=1, max_size=6))
    values = draw(st.lists(st.integers(0, 255), min_size=len(sets), max_size=len(sets), unique=True))
    meaning = dict(zip(values, sets, strict=True))
    return LabelSets(classes, {"gaps": meaning, "plain": sets})


def codes(*values):
    return torch.tensor(values, dtype=torch.uint8)


def test_a_complete_dataset_admits_the_stored_class_and_annotates_all():
    encoded = HEART.encode(torch.tensor([[[0, 1], [2, 3]]]), "camus")
    assert torch.equal(encoded, codes([[1, 2], [4, 8]], [[15, 15], [15, 15]]))


def test_a_partial_dataset_admits_the_missing_classes_in_its_background():
    encoded = HEART.encode(torch.tensor([[0, 1]]), "echonet_dynamic")
    assert torch.equal(encoded, codes([1 + 4 + 8, 2], [2, 2]))


def test_a_superclass_annotates_the_other_classes_only():
    encoded = HEART.encode(torch.tensor([[0, 1, 2]]), "whole_ventricle")
    assert torch.equal(encoded, codes([1, 2 + 4, 8], [1 + 8, 1 + 8, 1 + 8]))


def test_a_value_for_every_class_marks_an_ignored_pixel_and_no_other():
    encoded = HEART.encode(torch.tensor([[1, 4]]), "with_ignored")
    assert torch.equal(encoded, codes([2, 15], [15, 0]))


@pytest.mark.parametrize(
    ("num_classes", "dtype"),
    [
        (2, torch.uint8),
        (8, torch.uint8),
        (9, torch.int16),
        (15, torch.int16),
        (16, torch.int32),
        (31, torch.int32),
        (32, torch.int64),
        (63, torch.int64),
    ],
)
def test_the_smallest_dtype_that_holds_all_classes_is_used_to_its_last_bit(num_classes, dtype):
    classes = ["background", *(f"class_{c}" for c in range(1, num_classes))]
    sets = LabelSets(classes, {"full": [[name] for name in classes]})
    label = torch.arange(num_classes)[None]
    encoded = sets.encode(label, "full")
    assert encoded.dtype == dtype
    assert torch.equal(admitted(encoded[None], num_classes)[0], torch.eye(num_classes, dtype=torch.bool))
    assert bool(annotated(encoded[None], num_classes).all())
    dropped = drop_classes(encoded[None], torch.arange(num_classes)[None] == num_classes - 1)
    last_and_background = admitted(dropped, num_classes)[0].sum(dim=0)
    assert last_and_background.tolist() == [2] + [1] * (num_classes - 2) + [2]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_annotations_of_any_integer_dtype_are_encoded(dtype):
    label = torch.tensor([[0, 1]], dtype=dtype)
    assert torch.equal(HEART.encode(label, "camus"), codes([1, 2], [15, 15]))
    assert torch.equal(HEART.encode_batch(label[None], torch.tensor([0])), codes([1, 2], [15, 15])[None])


def test_a_batch_of_several_datasets_equals_the_samples_encoded_one_by_one():
    generator = torch.Generator().manual_seed(0)
    dataset = torch.tensor([3, 0, 1, 2, 1])
    names = list(HEART.label_sets)
    counts = torch.tensor([len(HEART.label_sets[names[d]]) for d in dataset.tolist()])
    label = torch.randint(0, 1000, (5, 1, 6, 7), generator=generator) % counts.reshape(-1, 1, 1, 1)
    expected = torch.stack([HEART.encode(one, names[d]) for one, d in zip(label, dataset.tolist(), strict=True)])
    assert torch.equal(HEART.encode_batch(label, dataset), expected)
    volume = HEART.encode_batch(label.unsqueeze(2), dataset)
    assert torch.equal(volume, expected.unsqueeze(2))


def test_cropping_before_or_after_encoding_is_the_same():
    label = torch.randint(0, 2, (1, 8, 9), generator=torch.Generator().manual_seed(0))
    encoded = HEART.encode(label, "echonet_dynamic")
    for crop in ((slice(None), slice(2, 5), slice(3, 4)), (slice(None), slice(0, 1), slice(0, 1))):
        assert torch.equal(HEART.encode(label[crop], "echonet_dynamic"), encoded[crop])


def test_encoding_keeps_the_geometry_of_a_meta_tensor():
    monai_data = pytest.importorskip("monai.data")
    label = monai_data.MetaTensor(torch.zeros(1, 4, 4, dtype=torch.uint8), affine=2 * torch.eye(4))
    encoded = HEART.encode(label, "camus")
    assert isinstance(encoded, monai_data.MetaTensor)
    assert torch.equal(encoded.affine, label.affine)


def test_encoding_survives_copies_and_worker_processes():
    label = torch.tensor([[0, 1]])
    for twin in (copy.deepcopy(HEART), pickle.loads(pickle.dumps(HEART))):
        assert torch.equal(twin.encode(label, "camus"), HEART.encode(label, "camus"))


def test_the_arguments_are_kept_under_their_names():
    sets = {"camus": FULL}
    assert LabelSets(CLASSES, sets).label_sets is sets
    assert LabelSets(CLASSES, sets).classes is CLASSES


def test_coverage_lists_the_annotated_classes_of_each_dataset():
    assert HEART.annotated("echonet_dynamic") == ["lv_cavity"]
    assert HEART.annotated("whole_ventricle") == ["background", "left_atrium"]
    assert HEART.coverage()["echonet_dynamic"] == {
        "background": False,
        "lv_cavity": True,
        "lv_myocardium": False,
        "left_atrium": False,
    }
    assert list(HEART.coverage()) == list(HEART.label_sets)


def test_the_description_has_a_row_per_dataset_and_the_counts_last():
    lines = describe(HEART, dict.fromkeys(HEART.label_sets, 7)).splitlines()
    assert [line.split()[0] for line in lines] == ["dataset", *HEART.label_sets]
    assert lines[2].split()[1:] == ["-", "yes", "-", "-", "7"]
    assert len({len(line) for line in lines}) == 1
    assert "images" not in describe(HEART)


def test_the_description_aligns_its_columns_and_marks_classes_that_some_images_annotate():
    sets = {"everything": FULL, "one": [["background", "lv_myocardium", "left_atrium"], ["lv_cavity"]]}
    heart = LabelSets(CLASSES, sets, partly={"everything": ["left_atrium"]})
    assert describe(heart, {"everything": 12345678, "one": 9}).splitlines() == [
        "dataset     background  lv_cavity  lv_myocardium  left_atrium    images",
        "everything  yes         yes        yes            some         12345678",
        "one         -           yes        -              -                   9",
    ]
    assert describe(heart).splitlines()[1:] == [
        "everything  yes         yes        yes            some",
        "one         -           yes        -              -",
    ]


def test_a_name_given_twice_in_a_label_set_counts_once():
    sets = LabelSets(["background", "lv"], {"a": [["background"], ["lv", "lv"], ["lv", "background"]]})
    assert sets.annotated("a") == ["background", "lv"]
    assert torch.equal(sets.encode(torch.tensor([[0, 1, 2]]), "a"), codes([1, 2, 3], [3, 3, 0]))


def test_background_needs_no_dataset_that_annotates_it():
    sets = LabelSets(
        ["background", "lv", "la"], {"a": [["background", "la"], ["lv"]], "b": [["background", "lv"], ["la"]]}
    )
    assert sets.partially_labelled() == ["lv", "la"]
    assert HEART.partially_labelled() == ["lv_cavity", "lv_myocardium", "left_atrium"]
    assert LabelSets(CLASSES, {"camus": FULL}).partially_labelled() == []


def test_maps_are_encoded_on_the_device_of_the_annotation():
    label = torch.zeros(2, 1, 3, 4, dtype=torch.uint8, device="meta")
    heart = copy.deepcopy(HEART)
    for _ in range(2):
        encoded = heart.encode_batch(label, torch.tensor([0, 1]))
        assert (encoded.device.type, encoded.dtype, encoded.shape) == ("meta", torch.uint8, (2, 2, 3, 4))
    assert heart.encode(torch.zeros(1, 2, dtype=torch.uint8), "camus").device.type == "cpu"


def test_an_empty_annotation_has_an_empty_map():
    assert HEART.encode(torch.zeros(1, 0, 5, dtype=torch.uint8), "camus").shape == (2, 0, 5)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_known_classes_are_those_that_are_admitted_alone_and_annotated(data):
    sets = data.draw(label_sets())
    num_classes = len(sets.classes)
    encoded = sets.encode(torch.arange(len(sets.label_sets["partial"])).view(1, 1, -1), "partial")[None]
    pixels = as_sets(encoded, num_classes)[0]
    truth = [known if len(known) == 1 and known <= decided else set() for known, decided in pixels]
    masks = known_masks(encoded, num_classes)
    assert [set(pixel.nonzero().flatten().tolist()) for pixel in masks[0, :, 0].T] == truth
    assert known_classes(encoded, num_classes)[0, 0].tolist() == [sum(known) for known in truth]


def test_names_are_compared_by_value():
    """A name from a configuration file is another object than the literal in the code."""
    names = ["".join(list(name)) for name in ("background", "lv")]
    sets = LabelSets(["background", "lv"], {"a": [[names[0]], [names[1]]]})
    assert LabelSets(names, sets.label_sets).withhold({}).classes == ["background", "lv"]
    assert torch.equal(sets.encode(torch.tensor([[0, 1]]), "a"), codes([1, 2], [3, 3]))


# Values with gaps, and ignored pixels


def test_a_mapping_names_values_one_by_one():
    sets = LabelSets(["background", "lv", "la"], {"a": {0: ["background", "la"], 128: "lv", 255: "ignore"}})
    encoded = sets.encode(torch.tensor([[0, 128, 255]]), "a")
    assert torch.equal(encoded, codes([1 + 4, 2, 0], [2, 2, 0])), "zero in both channels: ignored"
    assert torch.equal(sets.encode_batch(torch.tensor([[[255, 0, 128]]]), torch.tensor([0]))[0], encoded[:, [2, 0, 1]])
    assert sets.annotated("a") == ["lv"]
    assert sets.coverage() == {"a": {"background": False, "lv": True, "la": False}}
    assert describe(sets).splitlines()[1].split() == ["a", "-", "yes", "-"]


def test_the_border_that_augmentation_fills_with_zero_is_ignored_without_a_value_zero():
    sets = LabelSets(["background", "lv"], {"a": {1: "background", 2: "lv"}})
    assert sets.encode_batch(torch.tensor([[[0, 1, 2]]]), torch.tensor([0])).tolist() == [[[0, 1, 2], [0, 3, 3]]]
    with pytest.raises(ValueError, match=r"holds the values \[0\], which are not among \[1, 2\]"):
        sets.encode(torch.tensor([[0]]), "a")


def test_an_ignored_value_does_not_change_what_is_annotated():
    for sets in ({0: "background", 1: "lv", 9: "ignore"}, [["background"], ["lv"], ["ignore"]]):
        labels = LabelSets(["background", "lv"], {"a": sets})
        assert labels.annotated("a") == ["background", "lv"]
        assert labels.partially_labelled() == []


def test_a_vocabulary_may_have_classes_that_no_dataset_annotates():
    sets = LabelSets(["background", "lv", "la"], {"a": [["background", "la"], ["lv"]]})
    assert sets.annotated("a") == ["lv"]
    assert sets.withhold({"a": ["lv"]}).annotated("a") == []


@settings(deadline=None, max_examples=60)
@given(mapped())
def test_the_meaning_of_a_value_does_not_depend_on_its_number(sets):
    values = by_value(sets.label_sets["gaps"])
    gaps, plain = torch.tensor(list(values))[None], torch.arange(len(values))[None]
    assert torch.equal(sets.encode(gaps, "gaps"), sets.encode(plain, "plain"))
    both = sets.encode_batch(torch.stack([gaps, plain]), torch.tensor([0, 1]))
    assert torch.equal(both[0], both[1])
    assert sets.annotated("gaps") == sets.annotated("plain")


@settings(deadline=None, max_examples=60)
@given(mapped(), st.data())
def test_withholding_keeps_values_and_ignored_pixels(sets, data):
    withheld = data.draw(st.lists(st.sampled_from(sets.classes[1:]), unique=True))
    drop = torch.tensor([[name in withheld for name in sets.classes]])
    result = sets.withhold({"gaps": withheld})
    before = by_value(sets.label_sets["gaps"])
    values = torch.tensor(list(before))[None]
    encoded = sets.encode(values, "gaps")
    assert torch.equal(result.encode(values, "gaps"), drop_classes(encoded[None], drop)[0])
    ignored = [value for value, names in result.label_sets["gaps"].items() if names == [IGNORE]]
    assert ignored == [value for value, names in before.items() if names == [IGNORE]]
    assert (encoded == 0).all(dim=0).tolist() == [value in ignored for value in before]


# Dropping and withholding


def plainly_dropped(truth, decided, dropped, num_classes):
    """Apply the rule to one pixel with sets: return the admitted and the annotated classes after dropping."""
    if not dropped:
        return truth, decided
    decided = decided - dropped - {0}
    ambiguous = {0} | (set(range(num_classes)) - decided)
    return (truth | ambiguous if truth & ambiguous else truth), decided


def as_sets(encoded, num_classes):
    unpacked = torch.stack([admitted(encoded, num_classes), annotated(encoded, num_classes)], dim=1).flatten(3)
    return [
        [
            tuple(set(unpacked[b, k, :, i].nonzero().flatten().tolist()) for k in (0, 1))
            for i in range(unpacked.shape[3])
        ]
        for b in range(unpacked.shape[0])
    ]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_dropping_follows_the_rule_pixel_by_pixel(data):
    sets = data.draw(label_sets())
    num_classes = len(sets.classes)
    values = [len(sets.label_sets[name]) for name in ("full", "partial")]
    label = torch.arange(max(values)).expand(2, 1, -1) % torch.tensor(values).reshape(2, 1, 1)
    encoded = sets.encode_batch(label, torch.tensor([0, 1]))
    drop = torch.tensor(data.draw(st.lists(st.booleans(), min_size=2 * num_classes, max_size=2 * num_classes)))
    drop = drop.reshape(2, num_classes)
    drop[:, 0] = False
    before = encoded.clone()
    result = drop_classes(encoded, drop)
    assert torch.equal(encoded, before)
    assert result.dtype == encoded.dtype
    expected = [
        [plainly_dropped(*pixel, set(drop[b].nonzero().flatten().tolist()), num_classes) for pixel in pixels]
        for b, pixels in enumerate(as_sets(encoded, num_classes))
    ]
    assert as_sets(result, num_classes) == expected


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_withholding_a_class_equals_dropping_it_after_encoding(data):
    sets = data.draw(label_sets())
    withheld = data.draw(st.lists(st.sampled_from(sets.classes[1:]), unique=True))
    values = torch.arange(len(sets.label_sets["partial"]))[None]
    drop = torch.tensor([[name in withheld for name in sets.classes]])
    expected = drop_classes(sets.encode(values, "partial")[None], drop)[0]
    result = sets.withhold({"partial": withheld})
    assert torch.equal(result.encode(values, "partial"), expected)
    assert result.label_sets["full"] == sets.label_sets["full"]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_dropping_twice_or_in_another_order_changes_nothing(data):
    sets = data.draw(label_sets())
    encoded = sets.encode(torch.arange(len(sets.label_sets["partial"]))[None], "partial")[None]
    classes = st.lists(st.sampled_from(range(1, len(sets.classes))), unique=True)
    one, other = (torch.zeros(1, len(sets.classes), dtype=torch.bool) for _ in range(2))
    one[0, data.draw(classes)] = True
    other[0, data.draw(classes)] = True
    once = drop_classes(encoded, one)
    assert torch.equal(drop_classes(once, one), once)
    assert torch.equal(drop_classes(once, other), drop_classes(drop_classes(encoded, other), one))
    assert torch.equal(drop_classes(once, other), drop_classes(encoded, one | other))


def test_dropping_a_hidden_class_changes_nothing():
    encoded = HEART.encode(torch.tensor([[0, 1]]), "echonet_dynamic")[None]
    assert torch.equal(drop_classes(encoded, torch.tensor([[False, False, True, True]])), encoded)


def test_dropping_every_class_leaves_nothing_to_learn():
    encoded = HEART.encode(torch.tensor([[0, 1, 2, 3]]), "camus")[None]
    dropped = drop_classes(encoded, torch.tensor([[False, True, True, True]]))
    assert torch.equal(dropped[0], codes([15] * 4, [0] * 4))


def test_withholding_keeps_what_only_some_images_annotate():
    partly = {"camus": ["left_atrium"]}
    sets = LabelSets(CLASSES, {"camus": FULL, "other": FULL}, partly)
    assert sets.withhold({"other": ["lv_cavity"]}).partly == partly


def test_each_sample_loses_its_own_classes_only():
    encoded = HEART.encode(torch.tensor([[0, 1, 2, 3]]), "camus").expand(3, -1, -1)
    drop = torch.tensor([[False] * 4, [False, True, False, False], [False, False, False, True]])
    dropped = drop_classes(encoded, drop)
    assert dropped[:, 0].tolist() == [[1, 2, 4, 8], [3, 3, 4, 8], [9, 2, 4, 9]]
    assert dropped[:, 1].tolist() == [[15] * 4, [12] * 4, [6] * 4]


@pytest.mark.parametrize("meaning", [{0: "background", 1: "lv"}, [["background"], ["lv"]]], ids=["mapping", "list"])
def test_a_class_that_a_dataset_never_mentions_is_hidden_in_its_background(meaning):
    classes = ["background", "lv", "la"]
    silent, spelt = (LabelSets(classes, {"a": one}) for one in (meaning, [["background", "la"], ["lv"]]))
    label = torch.tensor([[0, 1]])
    assert torch.equal(silent.encode(label, "a"), spelt.encode(label, "a"))
    assert silent.coverage() == spelt.coverage() == {"a": {"background": False, "lv": True, "la": False}}
    mentioned = LabelSets(classes, {"a": {0: "background", 1: "lv", 2: "la"}})  # absent where no pixel has value 2
    assert mentioned.encode(label, "a").tolist() == [[1, 2], [7, 7]]
