"""Dice of annotated classes, compared with MONAI's Dice and with cases computed by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.engines import SupervisedEvaluator
from monai.metrics import compute_dice
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader

from common.label_set_map import drop_classes
from common.label_sets import LabelSets
from common.metrics import DatasetDice, annotated_dice, false_positives, summarise

CLASSES = ["background", "lv", "myocardium", "la"]
FULL = [[name] for name in CLASSES]
SETS = {
    "full": FULL,
    "lv_only": [["background", "myocardium", "la"], ["lv"]],
    "with_ignored": [*FULL, CLASSES],
}
LABELS = LabelSets(CLASSES, SETS)
FULL_CODES, LV_CODES = (LABELS.encode(torch.arange(len(SETS[name]))[None], name) for name in ("full", "lv_only"))


def maps(seed: int, count: int = 3, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    prediction, truth = torch.randint(classes, (2, count, 6, 7), generator=generator)
    return prediction, truth


def encode(values: torch.Tensor, dataset: str) -> torch.Tensor:
    return torch.stack([LABELS.encode(value[None], dataset) for value in values])


@given(seed=st.integers(0, 1000), present=st.integers(1, 4))
def test_with_full_annotation_it_is_monais_dice(seed: int, present: int):
    prediction, truth = maps(seed, classes=present)  # classes beyond `present` are absent and not predicted
    expected = compute_dice(
        *(one_hot(values, 4).movedim(-1, 1) for values in (prediction, truth)), include_background=True
    ).double()
    for column in range(4):
        absent = (truth != column).flatten(1).all(1) & (prediction != column).flatten(1).all(1)
        expected[absent, column] = math.nan
    # MONAI computes in float32
    torch.testing.assert_close(
        annotated_dice(prediction, encode(truth, "full"), 4), expected, equal_nan=True, rtol=1e-6, atol=1e-7
    )


@given(seed=st.integers(0, 1000))
def test_ignored_pixels_count_as_if_they_were_cropped(seed: int):
    prediction, truth = maps(seed)
    target, columns = encode(truth, "full"), slice(2, 5)
    target[..., columns] = 0
    kept = [column for column in range(7) if column not in range(2, 5)]
    cropped = annotated_dice(prediction[..., kept], target[..., kept], 4)
    torch.testing.assert_close(annotated_dice(prediction, target, 4), cropped, equal_nan=True)
    assert annotated_dice(prediction, torch.zeros_like(target), 4).isnan().all(), "nothing is measured where all is"


@given(seed=st.integers(0, 1000))
def test_a_class_without_annotation_is_undefined_and_others_are_untouched(seed: int):
    prediction, truth = maps(seed)
    full = encode(truth, "full")
    drop = torch.tensor([[False, False, True, True]]).expand(3, 4)
    dice = annotated_dice(prediction, drop_classes(full, drop), 4)
    assert dice[:, [0, 2, 3]].isnan().all(), "background hides what was dropped"
    assert torch.equal(dice[:, 1], annotated_dice(prediction, full, 4)[:, 1])


def test_an_absent_class_scores_0_where_predicted_and_nothing_where_not():
    truth = torch.zeros(2, 4, 4, dtype=torch.int64)
    prediction = truth.clone()
    prediction[0, 0, 0] = 1
    dice = annotated_dice(prediction, encode(truth, "lv_only"), 4)
    assert dice[0, 1] == 0
    assert dice[1, 1].isnan()
    full = annotated_dice(prediction, encode(truth, "full"), 4)
    assert full[0].tolist() == pytest.approx([2 * 15 / 31, 0, math.nan, math.nan], nan_ok=True)
    assert full[1].tolist() == pytest.approx([1, math.nan, math.nan, math.nan], nan_ok=True)


def test_a_class_that_a_super_class_may_contain_is_not_absent():
    """Right or left kidney: nobody said which, and a prediction outside of them does not make both wrong."""
    classes = ["background", "left", "right", "liver"]
    sets = {"site": {0: "background", 1: "left", 2: "right", 3: ["left", "right"], 4: "liver", 254: classes}}
    labels = LabelSets(classes, sets)
    target = labels.encode_batch(
        torch.tensor([[[0, 3, 3, 4]], [[0, 0, 4, 254]], [[0, 1, 3, 4]]]), torch.zeros(3).long()
    )
    prediction = torch.tensor([[1, 1, 2, 3]] * 3)
    dice = annotated_dice(prediction, target, 4)
    nan = math.nan
    expected = [nan, nan, 1, 0, 0, 0, 2 / 3, nan, 1]
    assert dice[:, 1:].flatten().tolist() == pytest.approx(expected, nan_ok=True)
    wrong = false_positives(prediction, target, 4, torch.arange(3))["false_positives"][:, 1:]
    expected = [nan, nan, nan, 1, 1, nan, nan, nan, nan]
    assert wrong.flatten().tolist() == pytest.approx(expected, nan_ok=True), "an unlabelled region does not count"


def test_ignored_pixels_do_not_count():
    truth = torch.tensor([[0, 1, 1, 2, 4, 4, 4]])
    for ignored in range(4):
        prediction = torch.tensor([[0, 1, 2, 2, *[ignored] * 3]])
        dice = annotated_dice(prediction, encode(truth, "with_ignored"), 4)
        # over the first four pixels: background 1 of 1; lv 1 of 2 and 1; myocardium 1 of 1 and 2; la nowhere
        assert dice[0].tolist() == pytest.approx([1, 2 / 3, 2 / 3, math.nan], nan_ok=True)


def test_a_missing_class_may_be_predicted_anywhere_outside_annotated_structures():
    truth = torch.tensor([[0, 0, 0, 1, 1]])
    anything = annotated_dice(torch.tensor([[0, 2, 3, 1, 1]]), encode(truth, "lv_only"), 4)
    assert anything[0, 1] == 1
    wrong = annotated_dice(torch.tensor([[0, 2, 1, 1, 2]]), encode(truth, "lv_only"), 4)
    assert wrong[0, 1] == pytest.approx(2 * 1 / (2 + 2))


@pytest.mark.parametrize("spatial", [(5,), (4, 5), (3, 4, 5)])
def test_any_number_of_spatial_dimensions(spatial: tuple[int, ...]):
    generator = torch.Generator().manual_seed(0)
    prediction, truth = torch.randint(4, (2, 2, *spatial), generator=generator)
    flat = annotated_dice(prediction.flatten(1), encode(truth.flatten(1), "full"), 4)
    torch.testing.assert_close(annotated_dice(prediction, encode(truth, "full"), 4), flat, equal_nan=True)


def test_means_are_by_dataset_and_foreground_class():
    nan = math.nan
    dice = torch.tensor([[1.0, 0.5, nan], [1.0, 0.7, nan], [1.0, nan, 0.2]], dtype=torch.float64)
    table = summarise(dice, torch.tensor([2, 2, 0]), ["a", "absent", "c"], ["background", "lv", "la"])
    assert list(table) == ["a", "c"]
    assert table["c"]["lv"] == pytest.approx(0.6)
    assert math.isnan(table["c"]["la"])
    assert table["a"] == pytest.approx({"lv": nan, "la": 0.2}, nan_ok=True)
    assert "background" not in table["a"]


class Images(torch.utils.data.Dataset):
    """Annotations of three datasets; the image encodes the prediction of an evaluator's network."""

    def __init__(self, datasets: list[str], label_codes: dict[str, torch.Tensor], seed: int = 0) -> None:
        prediction, truth = maps(seed, len(datasets))
        self.prediction = prediction
        truth = torch.stack([values % len(SETS[name]) for values, name in zip(truth, datasets, strict=True)])
        self.label = torch.stack([label_codes[name][:, values] for values, name in zip(truth, datasets, strict=True)])
        self.dataset = [list(SETS).index(name) for name in datasets]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> dict[str, object]:
        image = one_hot(self.prediction[index], 4).movedim(-1, 0).float()
        return {"image": image, "label": self.label[index], "dataset": self.dataset[index], "index": index}


def evaluate(images: Images, batch_size: int = 4) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(images, batch_size=batch_size),
        network=torch.nn.Identity(),
        key_val_metric={"mean_dice": DatasetDice(CLASSES, list(SETS))},
        decollate=False,
    )
    evaluator.run()
    return evaluator


def test_an_evaluator_receives_the_mean_every_cell_and_the_rows():
    images = Images(["full", "lv_only", "full", "lv_only", "lv_only"], {"full": FULL_CODES, "lv_only": LV_CODES})
    state = evaluate(images).state
    rows = annotated_dice(images.prediction, images.label, 4)
    by_hand = {
        "dice/full/lv": rows[[0, 2], 1].mean().item(),
        "dice/full/myocardium": rows[[0, 2], 2].mean().item(),
        "dice/full/la": rows[[0, 2], 3].mean().item(),
        "dice/lv_only/lv": rows[[1, 3, 4], 1].mean().item(),
    }
    assert state.metrics == pytest.approx({"mean_dice": sum(by_hand.values()) / 4, **by_hand})
    details = state.metric_details["mean_dice"]
    torch.testing.assert_close(details["dice"], rows, equal_nan=True)
    assert details["index"].tolist() == [0, 1, 2, 3, 4]
    assert details["dataset"].tolist() == images.dataset
    assert state.best_metric == state.metrics["mean_dice"]


def test_the_split_into_batches_does_not_matter():
    images = Images(["full", "lv_only"] * 5, {"full": FULL_CODES, "lv_only": LV_CODES})
    whole = evaluate(images, 10).state.metrics
    for batch_size in (1, 3, 4):
        assert evaluate(images, batch_size).state.metrics == pytest.approx(whole)


def test_datasets_are_weighted_equally_regardless_of_size():
    images = Images(["lv_only"] * 9 + ["full"], {"full": FULL_CODES, "lv_only": LV_CODES})
    rows = annotated_dice(images.prediction, images.label, 4)
    expected = (rows[:9, 1].mean() + rows[9, 1:].sum()) / 4
    assert evaluate(images).state.metrics["mean_dice"] == pytest.approx(expected.item())


def test_labels_that_training_lacked_are_scored_where_the_test_fold_has_them():
    datasets = ["with_ignored", "full", "with_ignored"]
    withheld = LABELS.withhold({"with_ignored": ["myocardium", "la"]})
    complete, hidden = (
        {name: sets.encode(torch.arange(len(SETS[name]))[None], name) for name in SETS} for sets in (LABELS, withheld)
    )
    validation, test = (
        evaluate(Images(datasets, hidden)).state.metrics,
        evaluate(Images(datasets, complete)).state.metrics,
    )
    assert set(test) - set(validation) == {"dice/with_ignored/myocardium", "dice/with_ignored/la"}
    assert validation["dice/with_ignored/lv"] == pytest.approx(test["dice/with_ignored/lv"])


def test_a_cell_that_is_no_longer_defined_disappears():
    images = Images(["full"], {"full": FULL_CODES})
    images.label[:] = FULL_CODES[:, 0].view(2, 1, 1)  # nothing but background
    images.prediction[:] = 0
    images.prediction[0, 0, 0] = 3
    evaluator = evaluate(images)
    assert evaluator.state.metrics == {"mean_dice": 0.0, "dice/full/la": 0.0}
    images.prediction[:] = 0
    evaluator.run()
    assert list(evaluator.state.metrics) == ["mean_dice"]
    assert math.isnan(evaluator.state.metrics["mean_dice"])


def test_each_evaluation_starts_anew():
    images = Images(["full", "full"], {"full": FULL_CODES})
    evaluator = evaluate(images)
    first = dict(evaluator.state.metrics)
    evaluator.run()
    assert evaluator.state.metrics == pytest.approx(first)
    assert len(evaluator.state.metric_details["mean_dice"]["dice"]) == 2
