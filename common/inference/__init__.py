"""From files to label maps, for any bundle: files as scanners and archives write them, as a dataset."""

from .scan_dataset import Scans, one_scan

__all__ = ["Scans", "one_scan"]
