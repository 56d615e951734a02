"""Scores of images become means of datasets and classes, with the number of images behind each."""

import math

import pytest
import torch
from ignite.engine import Engine
from torch.nn.functional import one_hot

from common.label_sets import LabelSets
from common.metrics import CalibrationError, ImageScores, false_positives

NAMES = ["background", "lv", "la"]
SETS = {"full": [["background"], ["lv"], ["la"]], "lv_only": {0: "background", 1: "lv", 255: "ignore"}}
LABELS = LabelSets(NAMES, SETS)
# annotation, prediction, dataset
IMAGES = [
    ([0, 1, 1, 0], [2, 1, 1, 2], 0),  # la absent and predicted
    ([0, 1, 1, 0], [0, 1, 1, 0], 0),  # la absent, not predicted
    ([0, 0, 2, 0], [1, 0, 2, 0], 0),  # lv absent and predicted
    ([0, 1, 1, 0], [2, 2, 1, 2], 1),  # la not annotated
    ([0, 255, 0, 0], [2, 1, 0, 2], 1),  # lv absent; predicted where it is ignored
]


def run(metric: object, logits: torch.Tensor | None = None) -> Engine:
    values, predicted, dataset = (torch.tensor(part) for part in zip(*IMAGES, strict=True))
    batch = {
        "label": LABELS.encode_batch(values[:, None], dataset),
        "dataset": dataset,
        "index": torch.arange(len(IMAGES)),
    }
    pred = one_hot(predicted, 3).movedim(-1, 1).float() if logits is None else logits
    engine = Engine(lambda *_: {"pred": pred, "label": batch["label"]})
    engine.state.metric_details = {}
    metric.attach(engine, "metric")
    engine.run([batch])
    return engine


def test_false_positives_count_where_a_class_is_annotated_and_absent():
    engine = run(ImageScores(false_positives, NAMES, ["full", "lv_only"]))
    found = {name: value for name, value in engine.state.metrics.items() if "/" in name}
    assert found == {
        "false_positives/full/lv": 1.0,
        "false_positives_images/full/lv": 1.0,
        "false_positives/full/la": 0.5,
        "false_positives_images/full/la": 2.0,
        "false_positives/lv_only/lv": 0.0,
        "false_positives_images/lv_only/lv": 1.0,
    }
    assert engine.state.metrics["metric"] == engine.state.metrics["false_positives"] == pytest.approx(0.5)
    rows = engine.state.metric_details["metric"]["false_positives"]
    assert [[None if math.isnan(value) else value for value in row[1:]] for row in rows.tolist()] == [
        [None, 1], [None, 0], [1, None], [None, None], [0, None]
    ]  # fmt: skip


def test_a_cell_of_an_earlier_evaluation_disappears():
    metric = ImageScores(lambda *_: {"score": torch.full((5, 3), math.nan)}, NAMES, ["full", "lv_only"])
    engine = run(metric)
    assert list(engine.state.metrics) == ["metric", "score"]
    engine.state.metrics["score_images/full/lv"] = 3.0
    metric.completed(engine, "metric")
    assert list(engine.state.metrics) == ["metric", "score"]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_calibration_error_is_that_of_its_definition_over_decided_pixels(activation: str):
    logits = 2 * torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    if activation == "sigmoid":
        logits[:, 0] = 0
    engine = run(CalibrationError(NAMES, ["full", "lv_only"], activation), logits)
    expected = {}
    for position, dataset in enumerate(("full", "lv_only")):
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
        for (values, _, own), image in zip(IMAGES, logits.tolist(), strict=True):
            for pixel, value in enumerate(values if own == position else []):
                scores = [image[label][pixel] for label in range(3)]
                chosen = scores.index(max(scores))
                if activation == "softmax":
                    sure = math.exp(scores[chosen]) / sum(map(math.exp, scores))
                else:
                    inside = [1 / (1 + math.exp(-score)) for score in scores[1:]]
                    sure = inside[chosen - 1] if chosen else 1 - max(inside)
                decided = value != 255 and (own == 0 or chosen == 1)  # lv_only outlines lv, and nothing else
                if decided:
                    bins[min(14, int(sure * 15))].append((sure, chosen == value))
        pixels = sum(map(len, bins))
        expected[dataset] = sum(
            len(one) / pixels * abs(sum(right for _, right in one) / len(one) - sum(sure for sure, _ in one) / len(one))
            for one in bins
            if one
        )
    assert 0 < expected["lv_only"] != expected["full"] > 0
    assert {name: engine.state.metrics[f"ece/{name}"] for name in expected} == pytest.approx(expected)
    assert engine.state.metrics["metric"] == pytest.approx(sum(expected.values()) / 2)


def test_a_dataset_that_decides_no_predicted_class_has_no_calibration_error():
    logits = torch.zeros(5, 3, 4)
    logits[:, 2] = 1
    metrics = run(CalibrationError(NAMES, ["full", "lv_only"], "softmax"), logits).state.metrics
    assert "ece/lv_only" not in metrics
    assert metrics["metric"] == metrics["ece/full"]
