"""A validation that processes share has the result of one process, also if their shares differ or overlap."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from two_processes import in_two_processes

from common.label_sets import LabelSets
from common.metrics import CalibrationError, DatasetDice, ImageScores, SurfaceDistances

CLASSES = ["background", "lv", "la"]
SETS = LabelSets(CLASSES, {"all": [[name] for name in CLASSES], "lv": [["background", "la"], ["lv"]]})


def batches(images: list[int]) -> Iterator[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, 6, 6, generator=generator)
    label = torch.randint(2, (7, 1, 6, 6), generator=generator)
    dataset = torch.arange(7) % 2
    target = SETS.encode_batch(label, dataset)
    for image in images:
        batch = {"pred": logits, "label": target, "dataset": dataset, "index": torch.arange(7)}
        yield {name: value[image : image + 1] for name, value in batch.items()}


def dice(images: list[int]) -> dict[str, object]:
    metric = DatasetDice(CLASSES, list(SETS.label_sets))
    for batch in batches(images):
        metric.update(batch)
    mean = metric.compute()
    details = list(metric.kept().values())
    return {"mean": mean, "again": metric.compute(), "details": details}


@pytest.mark.parametrize("shares", [([0, 2, 4, 6], [1, 3, 5, 0]), ([3], [0, 1, 2, 4, 5, 6])], ids=["padded", "uneven"])
def test_every_process_has_the_result_of_all_images(tmp_path: Path, shares: tuple[list[int], list[int]]):
    expected = dice(list(range(7)))
    assert not math.isnan(expected["mean"])
    assert dice(shares[0])["mean"] != expected["mean"]
    for result in in_two_processes(lambda rank: dice(shares[rank]), tmp_path):
        assert result["mean"] == result["again"] == expected["mean"]
        torch.testing.assert_close(result["details"], expected["details"], equal_nan=True)


def others(images: list[int]) -> dict[str, float]:
    """Return the other metrics of an evaluator's state."""
    datasets, engine = list(SETS.label_sets), Engine(lambda _, batch: batch)
    engine.state.metric_details = {}
    ImageScores(SurfaceDistances([(1.0, 1.0)] * 7), CLASSES, datasets).attach(engine, "hd95_mm")
    CalibrationError(CLASSES, datasets, "softmax").attach(engine, "ece")
    engine.run(list(batches(images)))
    return {name: float(value) for name, value in engine.state.metrics.items()}


@pytest.mark.parametrize("shares", [([0, 2, 4, 6], [1, 3, 5, 0]), ([3], [0, 1, 2, 4, 5, 6])], ids=["padded", "uneven"])
def test_other_metrics_are_of_all_images_too(tmp_path: Path, shares: tuple[list[int], list[int]]):
    expected = others(list(range(7)))
    assert expected["hd95_mm_images/all/lv"] == 4
    assert {"ece/all", "ece/lv", "asd_mm/all/lv"} <= expected.keys()
    assert others(shares[0]) != expected
    for result in in_two_processes(lambda rank: others(shares[rank]), tmp_path):
        assert result == pytest.approx(expected, rel=1e-12)
