"""From volumes of scanners and archives to label maps and millilitres, for any bundle."""

from .check_volumed import CheckVolumed
from .dataset import VolumeScans
from .results import VolumeResults
from .structure_volumes import Volumes

__all__ = ["CheckVolumed", "VolumeResults", "VolumeScans", "Volumes"]
