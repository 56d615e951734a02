"""Transforms of whole batches, on their device; `SimulateScannerd` alone works on one item."""

from common.transforms.encode_label_sets import EncodeLabelSetsd
from common.transforms.rand_augment import RandAugmentd
from common.transforms.rand_label_dropout import RandLabelDropoutd
from common.transforms.simulate_scanner import SimulateScannerd

__all__ = ["EncodeLabelSetsd", "RandAugmentd", "RandLabelDropoutd", "SimulateScannerd"]
