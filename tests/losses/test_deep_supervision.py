"""MONAI's DeepSupervisionLoss resizes the label-set map to each output: in floating point, as exact integers."""

import pytest
import torch
from monai.losses import DeepSupervisionLoss

from common.label_sets import LabelSets
from common.losses import MarginalDiceLoss, MarginalLoss, SumLoss

CLASSES = ["background", *(f"organ_{number}" for number in range(1, 14))]
SETS = LabelSets(
    CLASSES,
    {
        "abdomen": [[name] for name in CLASSES],
        "kidneys": [["background", *CLASSES[3:]], ["organ_1"], ["organ_2"]],
    },
)


@pytest.mark.parametrize("spatial", [(12, 8), (12, 8, 4)])
@pytest.mark.parametrize("loss", [MarginalLoss(), SumLoss([MarginalLoss(), MarginalDiceLoss()], [1.0, 0.5])])
def test_fourteen_classes_under_deep_supervision(spatial, loss):
    generator = torch.Generator().manual_seed(0)
    label = torch.stack([torch.randint(0, n, (1, *spatial), generator=generator) for n in (14, 3)])
    target = SETS.encode_batch(label, torch.tensor([0, 1]))
    assert target.dtype == torch.int16
    outputs = [
        torch.randn(2, 14, *(side // step for side in spatial), generator=generator, requires_grad=True)
        for step in (1, 2, 4)
    ]
    value = DeepSupervisionLoss(loss)(outputs, target.float())
    by_hand = 0.0
    for output, step, weight in zip(outputs, (1, 2, 4), (1.0, 0.5, 0.25), strict=True):
        middle = [slice(step // 2, None, step)] * len(spatial)  # the pixel at the centre of each step
        by_hand = by_hand + weight * loss(output, target[(..., *middle)])
    torch.testing.assert_close(value, by_hand)
    expected = torch.autograd.grad(by_hand, outputs)
    for gradient, other in zip(torch.autograd.grad(value, outputs), expected, strict=True):
        torch.testing.assert_close(gradient, other)


def test_integer_maps_are_refused_by_torch_itself():
    """The reason for `target.float()`."""
    outputs = [torch.zeros(1, 14, side, side) for side in (4, 2)]
    with pytest.raises(RuntimeError, match="not implemented for 'Short'"):
        DeepSupervisionLoss(MarginalLoss())(outputs, torch.ones(1, 2, 4, 4, dtype=torch.int16))
