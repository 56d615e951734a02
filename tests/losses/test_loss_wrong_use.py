"""Wrong use raises once, and names the culprit."""

import pytest
import torch

from common.losses import AdaptiveCrossEntropyLoss, MarginalLoss, SumLoss

LOGITS = torch.zeros(2, 3, 4, 5)
TARGET = torch.ones(2, 2, 4, 5, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (LOGITS.long(), TARGET, TypeError, r"input has dtype torch.int64, must be floating-point logits"),
        (LOGITS, TARGET.float(), TypeError, r"target has dtype torch.float32, must be a label-set map"),
        (LOGITS, TARGET.bool(), TypeError, r"target has dtype torch.bool, must be a label-set map"),
        (LOGITS[:, :, 0, 0], TARGET, ValueError, r"input has shape \(2, 3\), must be \(B, C, \*spatial\)"),
        (
            LOGITS,
            TARGET[:, :1],
            ValueError,
            r"target has shape \(2, 1, 4, 5\), must be the label-set map \(2, 2, 4, 5\)",
        ),
        (LOGITS, TARGET[:1], ValueError, r"target has shape \(1, 2, 4, 5\)"),
        (LOGITS, TARGET[..., :4], ValueError, r"target has shape \(2, 2, 4, 4\)"),
        (torch.zeros(2, 9, 4, 5), TARGET, ValueError, r"torch.uint8 holds 8 classes, but the logits have 9"),
        (torch.zeros(2, 16, 4, 5), TARGET.short(), ValueError, r"torch.int16 holds 15 classes, but the logits have 16"),
    ],
)
def test_logits_and_label_set_map_must_agree(logits, target, error, message):
    with pytest.raises(error, match=message):
        MarginalLoss()(logits, target)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="reduction is 'average', must be 'mean', 'sum' or 'none'"):
        MarginalLoss("average")(LOGITS, TARGET)


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="reading is 'masked', must be 'masked_softmax'"):
        AdaptiveCrossEntropyLoss("masked")(LOGITS, TARGET)


def test_a_sum_needs_a_weight_for_each_loss():
    with pytest.raises(ValueError, match="1 losses come with 2 weights"):
        SumLoss([MarginalLoss()], [1.0, 1.0])
    with pytest.raises(ValueError, match="0 losses come with 0 weights"):
        SumLoss([], [])
