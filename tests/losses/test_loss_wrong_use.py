"""Wrong use raises an error that names the culprit."""

import math

import pytest
import torch

from common.losses import AdaptiveCrossEntropyLoss, MarginalDiceLoss, MarginalLoss, SumLoss

LOGITS = torch.zeros(2, 3, 4, 5)
TARGET = torch.ones(2, 2, 4, 5, dtype=torch.uint8)
NOTHING_ADMITTED = torch.cat([TARGET[:, :1] * 0, TARGET[:, 1:]], dim=1)


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (LOGITS.long(), TARGET, TypeError, r"expected floating-point logits as input, got torch.int64"),
        (LOGITS, TARGET.half(), TypeError, r"of exact integers in float32 or float64, as target, got torch.float16"),
        (LOGITS, TARGET.bfloat16(), TypeError, r"expected a label-set map of dtype .*, got torch.bfloat16"),
        (LOGITS, TARGET + 0.5, RuntimeError, r"not a label-set map: it holds numbers that are not integers"),
        (LOGITS, TARGET * torch.nan, RuntimeError, r"not a label-set map: it holds numbers that are not integers"),
        (LOGITS, TARGET * 8, RuntimeError, r"the label-set map has classes beyond the 3 of the logits"),
        (LOGITS, TARGET.short() * 8, RuntimeError, r"the label-set map has classes beyond the 3 of the logits"),
        (LOGITS, -TARGET.long(), RuntimeError, r"the label-set map has classes beyond the 3 of the logits"),
        (LOGITS, TARGET * torch.inf, RuntimeError, r"the label-set map has classes beyond the 3 of the logits"),
        (LOGITS, NOTHING_ADMITTED, RuntimeError, r"pixels that admit no class, but annotate some"),
        (LOGITS, TARGET.bool(), TypeError, r"expected a label-set map of dtype .* as target, got torch.bool"),
        (LOGITS[:, :, 0, 0], TARGET, ValueError, r"expected logits \(B, C, \*spatial\) as input, got \(2, 3\)"),
        (
            LOGITS,
            TARGET[:, :1],
            ValueError,
            r"expected a label-set map \(2, 2, 4, 5\) for logits \(2, 3, 4, 5\), got a target of \(2, 1, 4, 5\)",
        ),
        (LOGITS, TARGET[:1], ValueError, r"got a target of \(1, 2, 4, 5\)"),
        (LOGITS, TARGET[..., :4], ValueError, r"got a target of \(2, 2, 4, 4\)"),
        (LOGITS, TARGET.repeat(1, 2, 1, 1), ValueError, r"got a target of \(2, 4, 4, 5\)"),
        (LOGITS, TARGET[..., None], ValueError, r"got a target of \(2, 2, 4, 5, 1\)"),
        (torch.zeros(2, 9, 4, 5), TARGET, ValueError, r"torch.uint8 holds 8 classes, but the logits have 9"),
        (torch.zeros(2, 16, 4, 5), TARGET.short(), ValueError, r"torch.int16 holds 15 classes, but the logits have 16"),
        (torch.zeros(2, 25, 4, 5), TARGET.float(), ValueError, r"torch.float32 holds 24 classes, but .* have 25"),
        (torch.zeros(2, 54, 4, 5), TARGET.double(), ValueError, r"torch.float64 holds 53 classes, but .* have 54"),
    ],
)
def test_logits_and_label_set_map_must_agree(logits, target, error, message):
    with pytest.raises(error, match=message):
        MarginalLoss()(logits, target)


def test_an_unknown_reduction_is_refused():
    for word in ("average", "mode", "no", "zzz"):
        with pytest.raises(ValueError, match=f"expected reduction 'mean', 'annotated_mean', 'sum' or .*, got '{word}'"):
            MarginalLoss(word)(LOGITS, TARGET)
        with pytest.raises(ValueError, match=f"expected reduction 'mean', 'sum' or 'none', got '{word}'"):
            MarginalDiceLoss(reduction=word)(LOGITS, TARGET)


def test_an_unknown_reading_is_refused():
    for word in ("masked", "aaa", "lit", "m", "zzz"):
        with pytest.raises(ValueError, match=f"'annotated_foreground' or 'literal', got '{word}'"):
            AdaptiveCrossEntropyLoss(word)(LOGITS, TARGET)


@pytest.mark.parametrize(
    ("num_classes", "dtype"),
    [
        (8, torch.uint8),
        (15, torch.int16),
        (31, torch.int32),
        (63, torch.int64),
        (24, torch.float32),
        (53, torch.float64),
    ],
)
def test_as_many_classes_as_the_target_has_bits_are_accepted(num_classes, dtype):
    logits = torch.zeros(1, num_classes, 1)
    target = torch.tensor([[[2 ** (num_classes - 1)], [2**num_classes - 1]]]).to(dtype)  # the last class, all annotated
    torch.testing.assert_close(MarginalLoss()(logits, target), torch.tensor(float(num_classes)).log())


def test_options_are_compared_by_value():
    """A word from a configuration file is another object than the literal in the code."""
    zeros, logits = LOGITS[:1, :1].sum(dim=1), LOGITS[:1]
    words = {word: "".join(list(word)) for word in ("mean", "sum", "none", "masked_softmax", "annotated_foreground")}
    assert MarginalLoss(words["mean"])(logits, TARGET[:1]).item() == pytest.approx(math.log(3))
    assert MarginalLoss(words["sum"])(logits, TARGET[:1]).item() == pytest.approx(20 * math.log(3))
    torch.testing.assert_close(MarginalLoss(words["none"])(logits, TARGET[:1]), zeros + math.log(3))
    # annotated 1: background only, so the other classes leave the softmax, or the pixel is dropped
    for reading in ("masked_softmax", "annotated_foreground"):
        assert AdaptiveCrossEntropyLoss(words[reading])(logits, TARGET[:1]).item() == 0
    literal = AdaptiveCrossEntropyLoss("".join(list("literal")))
    assert literal(logits, TARGET[:1]).item() == pytest.approx(math.log(3))


def test_a_sum_needs_a_weight_for_each_loss():
    with pytest.raises(ValueError, match="expected one weight per loss, got 1 losses and 2 weights"):
        SumLoss([MarginalLoss()], [1.0, 1.0])
    with pytest.raises(ValueError, match="got 2 losses and 1 weights"):
        SumLoss([MarginalLoss(), MarginalLoss()], [1.0])
    with pytest.raises(ValueError, match="got 0 losses and 0 weights"):
        SumLoss([], [])
