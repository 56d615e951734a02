"""Whole volumes pass through the sliding window and the metrics in their own size and spacing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_volumes import numbered, write_volume
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

from common.datasets import Intensity, WholeVolumes
from common.engines import inferer_for
from common.label_sets import LabelSets
from common.metrics import DatasetDice, ImageScores, SurfaceDistances
from common.tracking import Examples
from common.transforms import EncodeLabelSetsd

CLASSES = ["background", "one", "two"]
LABELS = LabelSets(CLASSES, {"full": [["background"], ["one"], ["two"]], "one_only": [["background", "two"], ["one"]]})
INTENSITY = Intensity([-100, 100], mean=0.0, sd=100.0)
SIZES = [(16, 14, 9), (12, 15, 20)]


def annotation(shape: tuple[int, ...]) -> np.ndarray:
    label = np.zeros(shape, np.uint8)
    label[2:7, 3:9, 2:6] = 1
    label[8:11, 2:12, 3:8] = 2
    return label


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, Any]]:
    """Images whose value is 60 times the class that the truth annotates; one_only does not annotate `two`."""
    items = []
    for name, shape in zip(("full", "one_only"), SIZES, strict=True):
        truth = annotation(shape)
        label = truth if name == "full" else truth * (truth == 1)
        items.append(write_volume(tmp_path, name, 60.0 * truth - 50, label, name, (1.0, 1.5, 3.0), fold="validation"))
    return items


class Thresholds(torch.nn.Module):
    """Segment such images perfectly, or shifted by some voxels along x."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        classes = ((image + 0.5) / 0.6).roll(self.shift, 2)
        return torch.cat([-((classes - value) ** 2) for value in range(3)], dim=1)


def test_a_volume_is_what_its_files_hold(tmp_path: Path):
    image = numbered((4, 3, 5)) - 30
    item = write_volume(tmp_path, "p", image, image % 2, "one_only", unlabelled=["one"])
    batch = WholeVolumes([item], LABELS, Intensity(None, 10.0, 4.0)).__getitems__([0])
    np.testing.assert_allclose(batch["image"][0, 0], (image - 10) / 4)
    np.testing.assert_array_equal(batch["label"][0, 0], image % 2)
    assert batch["label"].dtype == torch.uint8
    assert batch["unlabelled"].tolist() == [[False, True, False]]
    assert (batch["dataset"].tolist(), batch["index"].tolist()) == ([1], [0])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_an_evaluator_measures_whole_volumes_of_different_sizes(data: list[dict[str, Any]], activation: str):
    dataset = WholeVolumes(data, LABELS, INTENSITY)
    examples = Examples(CLASSES, list(LABELS.label_sets))
    distances = ImageScores(SurfaceDistances(dataset.spacing.tolist()), CLASSES, list(LABELS.label_sets))
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1, collate_fn=EncodeLabelSetsd(LABELS)),
        network=Thresholds() if activation == "softmax" else _Sigmoids(),
        inferer=inferer_for(activation, patch_size=(8, 8, 8), outside=INTENSITY.padding),
        key_val_metric={"mean_dice": DatasetDice(CLASSES, list(LABELS.label_sets))},
        additional_metrics={"hd95_mm": distances},
        decollate=False,
        val_handlers=[examples],
    )
    evaluator.run()
    metrics = evaluator.state.metrics
    assert {name: value for name, value in metrics.items() if name.startswith("dice/")} == {
        "dice/full/one": 1.0,
        "dice/full/two": 1.0,
        "dice/one_only/one": 1.0,
    }
    assert metrics["hd95_mm"] == 0
    kept = examples.kept[0][0]
    assert kept["image"].shape == kept["truth"].shape == kept["prediction"].shape == (14, 16), "rows y, columns x"
    np.testing.assert_array_equal(kept["truth"], kept["prediction"])
    middle = annotation(SIZES[0])[:, :, 4]  # both structures are in the slices 3 to 5
    np.testing.assert_array_equal(kept["truth"], middle.T[::-1, ::-1])
    assert (kept["image"].min(), kept["image"].max()) == (0, 1)


class _Sigmoids(Thresholds):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        classes = (image + 0.5) / 0.6
        return torch.cat([torch.full_like(classes, 99.0), *(0.25 - (classes - value) ** 2 for value in (1, 2))], dim=1)


def test_examples_of_different_sizes_are_saved_and_drawn(data: list[dict[str, Any]], tmp_path: Path):
    examples = Examples(CLASSES, list(LABELS.label_sets))
    dataset = WholeVolumes(data, LABELS, INTENSITY)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1, collate_fn=EncodeLabelSetsd(LABELS)),
        network=Thresholds(shift=1),
        decollate=False,
        val_handlers=[examples],
    )
    evaluator.run()
    examples.save(tmp_path / "kept.npz", data)
    with np.load(tmp_path / "kept.npz") as kept:
        assert kept["image"].shape == (2, 15, 16)
        assert kept["name"].tolist() == ["full.nii", "one_only.nii"]
        assert not kept["truth"][0, 14].any()
    examples.draw(tmp_path / "examples.png")
    assert (tmp_path / "examples.png").is_file()


def test_what_lies_outside_is_the_lowest_value_of_the_window_or_the_mean():
    assert (INTENSITY.outside, INTENSITY.padding) == (-100, -1.0)
    plain = Intensity(None, mean=12.4, sd=2.0)
    assert plain.outside == 12
    assert str(plain) == "(value, minus 12.4) / 2.0"


def test_volumes_of_different_sizes_do_not_form_a_batch(data: list[dict[str, Any]]):
    with pytest.raises(
        ValueError, match=r"\[\(12, 15, 20\), \(16, 14, 9\)\] do not form a batch; use a batch size of 1"
    ):
        WholeVolumes(data, LABELS, INTENSITY).__getitems__([0, 1])


def test_what_is_wrong_with_a_file_is_said_at_the_start(data: list[dict[str, Any]]):
    fewer = LabelSets(CLASSES, {"full": [["background"], ["one"]], "one_only": [["background"], ["one"]]})
    with pytest.raises(ValueError, match=r"annotation of 'full' holds the values \[2\]"):
        WholeVolumes(data, fewer, INTENSITY)


def test_a_volume_that_is_replaced_after_the_start_is_refused_by_any_worker(data: list[dict[str, Any]], tmp_path: Path):
    dataset = WholeVolumes(data, LABELS, INTENSITY)
    assert dataset.__getitems__([1])["label"].any()
    write_volume(tmp_path, "one_only", np.zeros(SIZES[0]), np.zeros(SIZES[0]), "one_only")  # of another size
    message = rf"one_only\.nii was changed after this run had started; keep {tmp_path} as it is while it is used, and "
    with pytest.raises(ValueError, match=message):
        dataset.__getitems__([1])
    with pytest.raises(ValueError, match=message):
        list(DataLoader(dataset, num_workers=1, collate_fn=lambda batch: batch, sampler=[1]))
    assert dataset.__getitems__([0])["label"].any()
