"""Turn files of scanners and archives into label maps and measurements, for any bundle."""

from .algorithm import algorithm_of
from .areas import Areas
from .plan import Plan, require_files
from .results import Results
from .scan_dataset import Scans, one_scan

__all__ = ["Areas", "Plan", "Results", "Scans", "algorithm_of", "one_scan", "require_files"]
