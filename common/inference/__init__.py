"""Turn files of scanners and archives into label maps, for any bundle."""

from .scan_dataset import Scans, one_scan

__all__ = ["Scans", "one_scan"]
