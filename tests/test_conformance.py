"""The laws that every loss on partial labels must obey, over every loss that a module of `common.losses` defines.

Each exception states its reason and is tested itself: its test fails if the loss obeys the law.
"""

import copy
import inspect
import pickle
from fnmatch import fnmatch

import monai.data
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, CLASSES, LOSSES, ORDINARY, VARIANTS, build, missing, ordinary
from torch.nn import functional

import common.losses
from common.label_set_map import drop_classes
from common.label_sets import LabelSets
from common.losses import CategoricalCrossEntropyLoss, MarginalLoss

FULL = [[name] for name in CLASSES]
SETS = LabelSets(
    CLASSES,
    {
        "full": FULL,
        "partial": [["background", "two", "three"], ["one"]],
        "superclass": [["background"], ["one", "two"], ["three"]],
        "ignoring": [*FULL, CLASSES],
    },
)


def law(exceptions=None):
    """Run a law over every case; those that match an exception must break it."""

    def marks(case):
        reasons = [reason for pattern, reason in (exceptions or {}).items() if fnmatch(case, pattern)]
        return [pytest.mark.xfail(reason=reasons[0], strict=True, raises=AssertionError)] if reasons else []

    return pytest.mark.parametrize("case", [pytest.param(case, marks=marks(case), id=case) for case in CASES])


TEACHES_BACKGROUND = "takes the lowest admitted class as the truth: the flaw that the other losses avoid"
SIGMOID = "one sigmoid a class: logits are not relative to each other"
SIZES = "a Dice is a fraction of sizes, which depend on the distribution of probability"


def example(*datasets, size=4, seed=0, scale=2.0, dtype=torch.float32):
    """Draw logits (B, C, size, size) and annotations of some datasets; return logits, label-set map, annotations."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(len(datasets), len(CLASSES), size, size, generator=generator, dtype=dtype)
    names = list(SETS.label_sets)
    label = torch.stack(
        [torch.randint(0, len(SETS.label_sets[d]), (1, size, size), generator=generator) for d in datasets]
    )
    target = SETS.encode_batch(label, torch.tensor([names.index(d) for d in datasets]))
    return logits, target, label


EVERY_KIND = ("full", "partial", "superclass", "ignoring")
UNLABELLED = drop_classes(example("full", "full")[1], torch.tensor([[False, True, True, True]] * 2))


def value_and_gradient(loss, logits, target):
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, target)
    value.sum().backward()
    return value.detach(), leaf.grad


def test_the_losses_are_discovered():
    assert len(LOSSES) >= 9
    assert len(CASES) >= 13
    assert set(VARIANTS) | set(ORDINARY) <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_states_all_that_training_and_this_suite_need(name):
    needed = missing(LOSSES[name])
    assert not needed, f"{name} is not complete. " + "; ".join(needed)


def test_what_a_new_loss_lacks_is_said_in_words():
    class ToyLoss(torch.nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

    export, activation, reduction, variants, ordinary_loss = missing(ToyLoss)
    assert "add 'from .test_conformance import ToyLoss' and 'ToyLoss' in __all__ to losses/__init__.py" in export
    assert 'activation = "softmax" (classes exclude each other) or activation = "sigmoid"' in activation
    assert 'the argument reduction: str = "mean"' in reduction
    assert 'VARIANTS["ToyLoss"] = [{"weight": ...}] in tests/loss_cases.py' in variants
    assert 'ORDINARY in tests/loss_cases.py "ToyLoss": lambda logits, truth: ...' in ordinary_loss


@law({"AdaptiveBCELoss*": SIGMOID})
def test_law_1_adding_a_constant_to_all_logits_changes_nothing(case):
    logits, target, _ = example(*EVERY_KIND)
    expected = value_and_gradient(build(case), logits, target)
    shift = torch.tensor([7.0, -3.0, 40.0, -40.0]).reshape(4, 1, 1, 1)
    # the shift costs the last digits of the logits
    torch.testing.assert_close(value_and_gradient(build(case), logits + shift, target), expected, atol=1e-5, rtol=1e-4)


@law()
def test_law_2_complete_labels_give_the_ordinary_loss(case):
    logits, target, label = example("full", "full", "full")
    leaf = logits.clone().requires_grad_()
    expected = ordinary(case, leaf, label)
    torch.testing.assert_close(build(case)(logits, target), expected)
    (gradient,) = torch.autograd.grad(expected, leaf)
    torch.testing.assert_close(value_and_gradient(build(case), logits, target)[1], gradient)


@law({"CategoricalCrossEntropyLoss": TEACHES_BACKGROUND, "AdaptiveCrossEntropyLoss-literal": TEACHES_BACKGROUND})
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["usual", "huge"])
def test_law_3_nothing_annotated_costs_exactly_nothing(case, scale):
    logits = example("full", "full", scale=scale)[0].requires_grad_()
    loss = build(case)(logits, UNLABELLED)
    assert loss.requires_grad
    loss.backward()
    assert loss.item() == 0
    assert bool((logits.grad == 0).all())


@law()
def test_law_4_the_order_of_a_batch_changes_nothing(case):
    logits, target, _ = example(*EVERY_KIND, "partial")
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(build(case)(logits[order], target[order]), build(case)(logits, target))


@law()
def test_law_4_the_splitting_of_a_batch_changes_nothing(case):
    logits, target, _ = example(*EVERY_KIND)
    loss = build(case, "sum")
    whole = value_and_gradient(loss, logits, target)
    parts = [value_and_gradient(loss, logits[i : i + 1], target[i : i + 1]) for i in range(len(target))]
    torch.testing.assert_close(whole[0], torch.stack([value for value, _ in parts]).sum())
    torch.testing.assert_close(whole[1], torch.cat([gradient for _, gradient in parts]))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000), drop=st.lists(st.booleans(), min_size=3, max_size=3))
@law()
def test_law_5_the_stored_value_among_unannotated_classes_changes_nothing(case, seed, drop):
    logits, target, label = example("full", "full", seed=seed)
    dropped = torch.tensor([[False, *drop]]).expand(2, -1)
    ambiguous = torch.tensor([True, *drop])
    stored = torch.where(ambiguous[label], 0, label)
    other = SETS.encode_batch(stored, torch.zeros(2, dtype=torch.int64))
    loss = build(case)
    assert torch.equal(loss(logits, drop_classes(target, dropped)), loss(logits, drop_classes(other, dropped)))


def moved(logits, target, seed):
    """Redistribute the probability of each pixel's label set among its classes."""
    generator = torch.Generator().manual_seed(seed)
    member = (target[:, :1].long() >> torch.arange(logits.shape[1]).reshape(1, -1, 1, 1)) & 1 == 1
    shares = torch.randn(logits.shape, generator=generator, dtype=logits.dtype)
    inside = logits.masked_fill(~member, -torch.inf).logsumexp(dim=1, keepdim=True)
    return torch.where(member, inside + shares.masked_fill(~member, -torch.inf).log_softmax(dim=1), logits)


@law(
    {
        "CategoricalCrossEntropyLoss": TEACHES_BACKGROUND,
        "AdaptiveCrossEntropyLoss-literal": TEACHES_BACKGROUND,
        "AdaptiveCrossEntropyLoss-masked_softmax": "background is not merged with classes that left the softmax",
        "ExclusionLoss": SIZES,
    }
)
def test_law_6_moving_probability_within_a_label_set_changes_nothing(case):
    logits, target, _ = example(*EVERY_KIND, dtype=torch.float64)
    loss = build(case)
    for seed in range(3):
        torch.testing.assert_close(loss(moved(logits, target, seed), target), loss(logits, target))


@law(
    {
        "CategoricalCrossEntropyLoss": TEACHES_BACKGROUND,
        "AdaptiveCrossEntropyLoss-literal": TEACHES_BACKGROUND,
        "AdaptiveCrossEntropyLoss-masked_softmax": "a dropped class becomes background, which still competes",
        "ExclusionLoss": SIZES,
    }
)
def test_law_7_more_classes_admitted_never_cost_more(case):
    loss = build(case, "sum")
    for seed in range(25):
        logits, target, _ = example("full", "superclass", "ignoring", size=2, seed=seed, dtype=torch.float64)
        dropped = torch.rand(3, 4, generator=torch.Generator().manual_seed(seed)) < 0.5
        dropped[:, 0] = False
        assert loss(logits, drop_classes(target, dropped)) <= loss(logits, target) + 1e-12


@law({"AdaptiveBCELoss*": SIGMOID})
def test_law_8_gradients_sum_to_zero_over_the_classes(case):
    logits, target, _ = example(*EVERY_KIND, dtype=torch.float64)
    _, gradient = value_and_gradient(build(case, "sum"), logits, target)
    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(4, 4, 4, dtype=torch.float64))


@law(
    {
        "MarginalDiceLoss*": "a Dice is flat where the softmax is saturated",
        "LeafDiceLoss": "a Dice is flat where the softmax is saturated",
        "ExclusionLoss": "a Dice is flat where the softmax is saturated",
    }
)
def test_law_8_a_logit_gap_of_200_still_has_a_gradient(case):
    logits = torch.zeros(1, 4, 1, 1)
    logits[0, 1], logits[0, 2] = -100.0, 100.0
    _, gradient = value_and_gradient(build(case, "sum"), logits, SETS.encode(torch.tensor([[[1]]]), "full")[None])
    torch.testing.assert_close(gradient[0, 1:3, 0, 0], torch.tensor([-1.0, 1.0]))


@law(
    {
        "MarginalDiceLoss": "an absent class has Dice 0 whatever is predicted",
        "LeafDiceLoss": "ambiguous pixels do not take part",
        "AdaptiveCrossEntropyLoss-annotated_foreground": "background of incomplete images is dropped: its flaw",
    }
)
def test_law_9_an_annotated_class_that_is_absent_is_penalised_when_predicted(case):
    target = SETS.encode(torch.zeros(1, 3, 3, dtype=torch.uint8), "partial")[None]
    logits = example("partial", size=3)[0]
    predicted = logits.clone()
    predicted[:, 1] += 2
    assert build(case)(predicted, target) > build(case)(logits, target) + 1e-3
    assert bool((value_and_gradient(build(case), logits, target)[1][:, 1] > 0).all())


@law(
    {
        "CategoricalCrossEntropyLoss": TEACHES_BACKGROUND,
        "AdaptiveCrossEntropyLoss-literal": TEACHES_BACKGROUND,
        "ExclusionLoss": SIZES,
    }
)
def test_law_10_padding_with_nothing_annotated_changes_nothing(case):
    logits, target, _ = example(*EVERY_KIND, dtype=torch.float64)
    padding = torch.tensor([15, 0], dtype=torch.uint8).reshape(1, 2, 1, 1).expand(4, 2, 2, 4)
    padded = torch.cat([target, padding], dim=2)
    more = torch.cat([logits, 3 * logits[:, :, :2]], dim=2)
    loss = build(case, "sum")
    torch.testing.assert_close(loss(more, padded), loss(logits, target))


@law()
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_law_10_padding_with_zeros_changes_nothing(case, dtype):
    logits, target, _ = example(*EVERY_KIND, dtype=torch.float64)
    more = functional.pad(logits, (0, 0, 2, 1))
    more[:, ::2, :2], more[:, 1::2, :2], more[:, 1, -1:] = 6e4, -6e4, 6e4  # up to the largest number of float16
    logits, more = logits.to(dtype), more.to(dtype)
    loss = build(case, "sum")
    expected, expected_gradient = value_and_gradient(loss, logits, target)
    value, gradient = value_and_gradient(loss, more, functional.pad(target, (0, 0, 2, 1)))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient[:, :, 2:-1], expected_gradient)
    assert bool((gradient[:, :, [0, 1, -1]] == 0).all())


@law()
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_law_10_zeros_alone_cost_exactly_nothing(case, reduction):
    logits, target, _ = example(*EVERY_KIND, scale=1e4)
    value, gradient = value_and_gradient(build(case, reduction), logits, torch.zeros_like(target))
    assert value.item() == 0
    assert bool((gradient == 0).all())


@law()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_law_11_half_precision_gives_the_value_of_single_precision(case, dtype):
    logits, target, _ = example(*EVERY_KIND, size=16)
    logits = logits.to(dtype)
    expected, expected_gradient = value_and_gradient(build(case), logits.float(), target)
    value, gradient = value_and_gradient(build(case), logits, target)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value, expected, atol=0, rtol=1e-2)
    torch.testing.assert_close(gradient.float(), expected_gradient, atol=1e-5, rtol=1e-2)


@law(
    {
        "MarginalDiceLoss*": "a Dice is bounded",
        "LeafDiceLoss": "a Dice is bounded",
        "ExclusionLoss": "a Dice is bounded",
    }
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_law_11_there_are_no_false_zeros_and_no_infinities(case, dtype):
    for gap in (20.0, 30.0, 1e4):
        logits = torch.zeros(1, 4, 1, 1, dtype=dtype)
        logits[0, 2] = gap
        value, _ = value_and_gradient(build(case, "sum"), logits, SETS.encode(torch.tensor([[[1]]]), "full")[None])
        assert gap * 0.99 < value.item() < gap * 1.1 + 3


@law()
def test_law_12_a_plane_is_a_volume_of_one_slice(case):
    logits, target, _ = example(*EVERY_KIND)
    flat, flat_gradient = value_and_gradient(build(case), logits, target)
    deep, deep_gradient = value_and_gradient(build(case), logits.unsqueeze(2), target.unsqueeze(2))
    torch.testing.assert_close(deep, flat)
    torch.testing.assert_close(deep_gradient.squeeze(2), flat_gradient)


@law()
def test_law_13_the_gradient_is_right(case):
    logits, target, _ = example(*EVERY_KIND, size=2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: build(case)(z, target), logits.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize(
    "backend",
    [  # inductor takes half a minute; the cross entropy that all losses share is compiled with it in its own test
        pytest.param("aot_eager", marks=pytest.mark.slow),
        pytest.param("inductor", marks=pytest.mark.robust),
    ],
)
@law()
def test_law_14_compiled_equals_eager(case, backend):
    torch._dynamo.reset()
    logits, target, _ = example(*EVERY_KIND, size=9)
    target[:, :, :2] = 0  # ignored pixels
    logits[:, 1, 0] = 1e4
    loss = build(case)
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    expected = value_and_gradient(loss, logits, target)
    for form in (target, target.float()):
        torch.testing.assert_close(value_and_gradient(compiled, logits, form), expected)
    assert bool((expected[1][:, :, :2] == 0).all())


# Further properties of every loss


@law()
def test_simulated_partial_labels_cost_the_same_dropped_or_withheld(case):
    logits, target, label = example("full", "full")
    withheld = SETS.withhold({"ignoring": ["two", "three"]})
    dropped = drop_classes(target, torch.tensor([[False, False, True, True]] * 2))
    stored = withheld.encode_batch(label, torch.full((2,), 3))
    assert torch.equal(build(case)(logits, stored), build(case)(logits, dropped))


@law()
def test_inputs_and_loss_are_left_alone(case):
    logits, target, _ = example(*EVERY_KIND)
    loss = build(case)
    before = (logits.clone(), target.clone(), pickle.dumps(loss))
    first = value_and_gradient(loss, logits, target)
    second = value_and_gradient(copy.deepcopy(loss), logits, target)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])
    assert pickle.dumps(loss) == before[2]
    assert not list(loss.parameters())


@law()
def test_meta_tensors_give_the_values_of_plain_tensors(case):
    logits, target, _ = example(*EVERY_KIND)
    loss = build(case)
    held = monai.data.MetaTensor(logits).requires_grad_()
    value = loss(held, monai.data.MetaTensor(target))
    value.backward()
    assert type(value) is torch.Tensor
    torch.testing.assert_close((value.detach(), held.grad), value_and_gradient(loss, logits, target))


@law()
def test_label_set_maps_of_any_dtype_cost_the_same(case):
    logits, target, _ = example(*EVERY_KIND)
    for dtype in (torch.int16, torch.int32, torch.int64, torch.float32, torch.float64):
        assert torch.equal(build(case)(logits, target.to(dtype)), build(case)(logits, target))


@pytest.mark.parametrize("name", common.losses.__all__)
def test_every_public_name_is_documented_with_an_example(name):
    documentation = inspect.getdoc(getattr(common.losses, name))
    for section in ("Args:", "Example:", ">>> "):
        assert section in documentation


def test_the_laws_can_fail():
    """A loss that learns background where a structure may be fails laws 3, 6 and 7."""
    logits, target, _ = example("partial", dtype=torch.float64)
    wrong, right = CategoricalCrossEntropyLoss(), MarginalLoss()
    assert abs(wrong(moved(logits, target, 0), target) - wrong(logits, target)) > 1e-3
    assert abs(right(moved(logits, target, 0), target) - right(logits, target)) < 1e-12
