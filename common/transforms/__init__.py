"""Transforms of whole batches, on their device."""

from common.transforms.encode_label_sets import EncodeLabelSetsd
from common.transforms.rand_augment import RandAugmentd
from common.transforms.rand_label_dropout import RandLabelDropoutd

__all__ = ["EncodeLabelSetsd", "RandAugmentd", "RandLabelDropoutd"]
