"""Wrong use raises an error that names the culprit."""

import pytest
import torch

from common.losses import AdaptiveCrossEntropyLoss, MarginalLoss, SumLoss

LOGITS = torch.zeros(2, 3, 4, 5)
TARGET = torch.ones(2, 2, 4, 5, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (LOGITS.long(), TARGET, TypeError, r"expected floating-point logits as input, got torch.int64"),
        (LOGITS, TARGET.float(), TypeError, r"expected a label-set map of dtype .* as target, got torch.float32"),
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
        (torch.zeros(2, 9, 4, 5), TARGET, ValueError, r"torch.uint8 holds 8 classes, but the logits have 9"),
        (torch.zeros(2, 16, 4, 5), TARGET.short(), ValueError, r"torch.int16 holds 15 classes, but the logits have 16"),
    ],
)
def test_logits_and_label_set_map_must_agree(logits, target, error, message):
    with pytest.raises(error, match=message):
        MarginalLoss()(logits, target)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="expected reduction 'mean', 'sum' or 'none', got 'average'"):
        MarginalLoss("average")(LOGITS, TARGET)


def test_an_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="'annotated_foreground' or 'literal', got 'masked'"):
        AdaptiveCrossEntropyLoss("masked")(LOGITS, TARGET)


def test_a_sum_needs_a_weight_for_each_loss():
    with pytest.raises(ValueError, match="expected one weight per loss, got 1 losses and 2 weights"):
        SumLoss([MarginalLoss()], [1.0, 1.0])
    with pytest.raises(ValueError, match="got 0 losses and 0 weights"):
        SumLoss([], [])
