"""Datasets: readers, the phantom, the prepared layout, and the resident set that training reads."""

from .prepared.labels import coverage_table, labels_in, labels_of, stated_label_sets
from .prepared.layout import check_unchanged, checksum, read_datalist
from .prepared.remarks import check_annotation, check_meaning, check_unseen, seen_images, trained_meaning
from .prepared.resident import ResidentDataset
from .prepared.selection import select
from .volumes.intensity import Intensity, intensity_of, stated_normalisation
from .volumes.resident import ResidentVolumes
from .volumes.spacings import stated_spacing
from .volumes.whole import WholeVolumes

__all__ = [
    "Intensity",
    "ResidentDataset",
    "ResidentVolumes",
    "WholeVolumes",
    "check_annotation",
    "check_meaning",
    "check_unchanged",
    "check_unseen",
    "checksum",
    "coverage_table",
    "intensity_of",
    "labels_in",
    "labels_of",
    "read_datalist",
    "seen_images",
    "select",
    "stated_label_sets",
    "stated_normalisation",
    "stated_spacing",
    "trained_meaning",
]
