"""Losses for partially labelled images: `loss(input, target)` with logits and a label-set map.

Every loss takes logits (B, C, *spatial) and the integer label-set map (B, 2, *spatial) of `label_sets`. Zero in both
channels, which padding writes, is an ignored pixel: it costs nothing and has no gradient. A mean "over all pixels"
counts it all the same; a mean over images and classes does not.

Every loss states how the logits that it trains are read, as its attribute `activation`: "softmax" (classes exclude each
other) or "sigmoid" (one sigmoid per foreground class, background logit 0).
"""

from .adaptive_bce import AdaptiveBCELoss
from .adaptive_cross_entropy import AdaptiveCrossEntropyLoss
from .categorical_cross_entropy import CategoricalCrossEntropyLoss
from .exclusion import ExclusionLoss
from .leaf_dice import LeafDiceLoss
from .marginal import MarginalLoss
from .marginal_dice import MarginalDiceLoss
from .set_cross_entropy import set_cross_entropy
from .sum import SumLoss

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
