"""Losses for partially labelled images: `loss(input, target)` with logits and a label-set map.

Every loss takes logits (B, C, *spatial) and the integer label-set map (B, 2, *spatial) of `common.label_sets`, and
learns only what the annotation says.
"""

from common.losses.adaptive_bce import AdaptiveBCELoss
from common.losses.adaptive_cross_entropy import AdaptiveCrossEntropyLoss
from common.losses.categorical_cross_entropy import CategoricalCrossEntropyLoss
from common.losses.exclusion import ExclusionLoss
from common.losses.leaf_dice import LeafDiceLoss
from common.losses.marginal import MarginalLoss
from common.losses.marginal_dice import MarginalDiceLoss
from common.losses.set_cross_entropy import set_cross_entropy
from common.losses.sum import SumLoss

__all__ = [
    "AdaptiveBCELoss",
    "AdaptiveCrossEntropyLoss",
    "CategoricalCrossEntropyLoss",
    "ExclusionLoss",
    "LeafDiceLoss",
    "MarginalDiceLoss",
    "MarginalLoss",
    "SumLoss",
    "set_cross_entropy",
]
