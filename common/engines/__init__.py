"""What MONAI's engines lack: resumable checkpoints, per-epoch seeds, a history, prediction rules."""

from common.engines.checkpoint import BestAndLast, Resume, save_atomically
from common.engines.history import History
from common.engines.inferer import BackgroundReferenceInferer, FramesInferer, ShiftedInferer, inferer_for
from common.engines.run_folder import require_checkpoint, run_folder
from common.engines.seeding import SeedEachEpoch

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
    "save_atomically",
]
