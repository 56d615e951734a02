"""From a scan to measurements: files as scanners and archives write them, segmented, measured and shown."""

from common.measurement.ejection_fraction_error import EjectionFractionError
from common.measurement.results import Results, fingerprint
from common.measurement.scans import Scans, one_scan

__all__ = ["EjectionFractionError", "Results", "Scans", "fingerprint", "one_scan"]
