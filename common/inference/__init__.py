"""Turn files of scanners and archives into label maps and measurements, for any bundle."""

from .algorithm import algorithm_of
from .areas import Areas
from .files.inputs import check_inputs, input_files
from .files.plan import Plan
from .results import Results
from .scan_dataset import Scans, one_scan

__all__ = ["Areas", "Plan", "Results", "Scans", "algorithm_of", "check_inputs", "input_files", "one_scan"]
