"""Datasets: readers, the phantom, the prepared layout, and the resident set that training reads."""

from common.datasets.labels import checksum, coverage_table, labels_of
from common.datasets.prepared import read_datalist
from common.datasets.resident import ResidentDataset
from common.datasets.selection import select

__all__ = [
    "ResidentDataset",
    "checksum",
    "coverage_table",
    "labels_of",
    "read_datalist",
    "select",
]
