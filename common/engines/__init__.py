"""Engine handlers that MONAI lacks: resumable checkpoints, per-epoch seeds, a history, inferers."""

from .checkpoint import BestAndLast, Resume
from .history import History
from .inferer import BackgroundReferenceInferer, FramesInferer, ShiftedInferer, inferer_for
from .run_folder import require_checkpoint, run_folder
from .seeding import SeedEachEpoch

__all__ = [
    "BackgroundReferenceInferer",
    "BestAndLast",
    "FramesInferer",
    "History",
    "Resume",
    "SeedEachEpoch",
    "ShiftedInferer",
    "inferer_for",
    "require_checkpoint",
    "run_folder",
]
