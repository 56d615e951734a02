"""Batch-level dictionary transforms, run on the device of the batch."""

from .encode_label_sets import EncodeLabelSetsd
from .pseudo_labels import RandShiftedCropd, surroundings
from .rand_augment import RandAugmentd
from .rand_augment_volume import RandAugmentVolumed
from .rand_flip import RandFlipd
from .rand_label_dropout import RandLabelDropoutd

__all__ = [
    "EncodeLabelSetsd",
    "RandAugmentVolumed",
    "RandAugmentd",
    "RandFlipd",
    "RandLabelDropoutd",
    "RandShiftedCropd",
    "surroundings",
]
