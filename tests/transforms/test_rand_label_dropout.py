"""Label dropout drops the classes that some dataset lacks, at the given rate, and nothing else."""

import pytest
import torch

from common.label_set_map import admitted, annotated
from common.label_sets import LabelSets
from common.transforms import EncodeLabelSetsd, RandLabelDropoutd

CLASSES = ["background", "lv", "myocardium", "la"]
FULL = [[name] for name in CLASSES]
SETS = {"north": FULL, "lv_only": [["background", "myocardium", "la"], ["lv"]], "south": FULL}
LABELS = LabelSets(CLASSES, SETS)


def batch(count: int = 8, labels: LabelSets = LABELS) -> dict[str, torch.Tensor]:
    """Images of "north" and "lv_only" in turn, with all of their annotation values."""
    dataset = torch.arange(count) % 2
    values = torch.randint(4, (count, 1, 6, 6), generator=torch.Generator().manual_seed(0))
    values = torch.where(dataset.view(-1, 1, 1, 1) == 1, values % 2, values)
    return EncodeLabelSetsd(labels)({"label": values, "dataset": dataset})


def dropped(prob: float, data: dict[str, torch.Tensor], labels: LabelSets = LABELS, seed: int = 0) -> torch.Tensor:
    dropout = RandLabelDropoutd(labels, prob)
    dropout.set_random_state(seed=seed)
    return dropout(data)["label"]


def test_without_dropout_the_batch_is_unchanged():
    data = batch()
    assert dropped(0.0, data) is data["label"]


def test_certain_dropout_equals_withholding_the_partial_classes_everywhere():
    withheld = LABELS.withhold({"north": ["myocardium", "la"], "lv_only": ["myocardium", "la"]})
    assert torch.equal(dropped(1.0, batch()), batch(labels=withheld)["label"])


def test_only_classes_that_some_dataset_lacks_are_dropped():
    result = dropped(1.0, batch())
    remaining = annotated(result, 4).flatten(start_dim=2).any(dim=2)
    assert remaining[:, 1].all(), "every dataset annotates the left ventricle"
    assert not remaining[:, 2:].any()
    assert torch.equal(admitted(result, 4)[:, 1], admitted(batch()["label"], 4)[:, 1])


def test_a_class_that_a_dataset_does_not_outline_is_not_dropped_with_its_super_classes():
    sets = {"complete": FULL, "ventricle": {0: "background", 5: ["lv", "myocardium"]}}
    labels = LabelSets(CLASSES, sets)
    data = {"label": torch.tensor([0, 5]).expand(4000, 1, 2), "dataset": torch.ones(4000, dtype=torch.int64)}
    result = dropped(0.4, EncodeLabelSetsd(labels)(data), labels)[:, 0]
    kept = (result == torch.tensor([0b1001, 0b0110])).all(dim=1)
    opened = (result == torch.tensor([0b1111, 0b1111])).all(dim=1)
    assert (kept | opened).all()
    assert float(opened.float().mean()) == pytest.approx(1 - 0.6**2, abs=0.03), "one of two classes, not of three"


def test_nothing_is_dropped_where_every_dataset_is_complete():
    complete = LabelSets(CLASSES, {"north": FULL, "south": FULL})
    values = torch.randint(4, (4, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    data = EncodeLabelSetsd(complete)({"label": values, "dataset": torch.tensor([0, 1, 0, 1])})
    assert torch.equal(dropped(1.0, data, complete), data["label"])


def test_the_rate_is_as_given_and_classes_are_drawn_independently():
    data = batch(2000)
    remaining = annotated(dropped(0.3, data), 4).flatten(start_dim=2).any(dim=2)[::2]  # the images of "north"
    lost = ~remaining
    # the standard deviation of a fraction of 0.3 of 1000 images is 0.014
    assert lost[:, 2].double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert lost[:, 3].double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (lost[:, 2] & lost[:, 3]).double().mean().item() == pytest.approx(0.09, abs=0.04)
    assert not lost[:, 1].any()


def test_the_draw_follows_the_seed_alone():
    data, kept = batch(64), batch(64)
    torch.manual_seed(1)
    first = dropped(0.5, data)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(dropped(0.5, data), first)
    assert not torch.equal(dropped(0.5, data, seed=1), first)
    assert torch.equal(data["label"], kept["label"]), "the input is left alone"
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is not used"


@pytest.mark.parametrize("prob", [-0.1, 1.01, float("nan")])
def test_a_probability_outside_0_to_1_is_refused(prob: float):
    with pytest.raises(ValueError, match=r"expected a label dropout probability from 0 to 1, got (-0\.1|1\.01|nan)"):
        RandLabelDropoutd(LABELS, prob)


def test_a_class_that_only_some_images_annotate_is_dropped_too():
    some = LabelSets(CLASSES, {"north": FULL, "south": FULL}, partly={"south": ["la"]})
    values = torch.randint(4, (4, 1, 5, 5), generator=torch.Generator().manual_seed(0))
    data = EncodeLabelSetsd(some)({"label": values, "dataset": torch.tensor([0, 1, 0, 1])})
    remaining = annotated(dropped(1.0, data, some), 4).flatten(start_dim=2).any(dim=2)
    assert remaining.tolist() == [[False, True, True, False]] * 4


@pytest.mark.parametrize("prob", [0.5, 1.0])
def test_ignored_pixels_stay_ignored(prob: float):
    data = batch()
    data["label"][..., :2] = 0
    result = dropped(prob, data)
    assert not torch.equal(result, data["label"])
    assert torch.equal(result == 0, data["label"] == 0)
