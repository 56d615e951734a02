"""The fused loss is the sum of the marginal loss and the marginal Dice, in value and gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.label_set_map import drop_classes
from common.label_sets import LabelSets
from common.losses import MarginalDiceCELoss, MarginalDiceLoss, MarginalLoss, SumLoss

CLASSES = ["background", "one", "two", "three", "four"]
FULL = [[name] for name in CLASSES]
SETS = LabelSets(
    CLASSES,
    {
        "full": FULL,
        "partial": [["background", "two", "three", "four"], ["one"]],
        "superclass": [["background"], ["one", "two"], ["three", "four"]],
        "ignoring": [*FULL, CLASSES],
        "nothing": [CLASSES],
    },
)


def both(logits, target, reduction="mean"):
    parts = [MarginalLoss(reduction), MarginalDiceLoss(reduction=reduction)]
    results = []
    for loss in (MarginalDiceCELoss(reduction), SumLoss(parts, [1.0, 1.0])):
        leaf = logits.detach().clone().requires_grad_()
        value = loss(leaf, target)
        (3 * value).backward()
        results.append((value.detach(), leaf.grad))
    return results


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    datasets=st.lists(st.sampled_from(list(SETS.label_sets)), min_size=1, max_size=4),
    spatial=st.sampled_from([(1,), (7,), (4, 5), (3, 2, 4)]),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1e3]),
    reduction=st.sampled_from(["mean", "sum"]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)
def test_it_equals_the_sum_of_its_parts(seed, datasets, spatial, scale, reduction, dtype):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(len(datasets), 5, *spatial, generator=generator, dtype=dtype)
    counts = [len(SETS.label_sets[name]) for name in datasets]
    label = torch.stack([torch.randint(0, count, (1, *spatial), generator=generator) for count in counts])
    target = SETS.encode_batch(label, torch.tensor([list(SETS.label_sets).index(name) for name in datasets]))
    target = drop_classes(target, torch.rand(len(datasets), 5, generator=generator) < torch.tensor([0, *[0.2] * 4]))
    target = target * (torch.rand(len(datasets), 1, *spatial, generator=generator) < 0.8)  # ignored pixels
    fused, parts = both(logits, target, reduction)
    torch.testing.assert_close(fused, parts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_half_precision_is_computed_in_single_precision(dtype, scale):
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(2, 5, 6, 6, generator=generator)).to(dtype)
    label = torch.randint(0, 2, (2, 1, 6, 6), generator=generator)
    target = SETS.encode_batch(label, torch.tensor([0, 1]))
    (value, gradient), (expected, expected_gradient) = both(logits, target)
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-4, rtol=1e-2)


def test_a_second_derivative_raises_instead_of_being_wrong():
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    loss = MarginalDiceCELoss()(logits, torch.ones(1, 2, 2, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="no second derivative; differentiate it without create_graph"):
        torch.autograd.grad(loss, logits, create_graph=True)


def test_pixels_and_classes_are_not_returned_together():
    with pytest.raises(ValueError, match="expected reduction 'mean', 'annotated_mean' or 'sum', got 'none'"):
        MarginalDiceCELoss("none")(torch.zeros(1, 3, 2), torch.ones(1, 2, 2, dtype=torch.uint8))
