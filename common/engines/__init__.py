"""Engine handlers that MONAI lacks: resumable checkpoints, per-epoch seeds, a history, inferers, records of weights."""

from ..losses.activation import activation_of
from .checkpoint import BestAndLast, Resume
from .history import History
from .inferer import BackgroundReferenceInferer, FramesInferer, ShiftedInferer, inferer_for
from .run_folder import run_folder
from .seeding import SeedEachEpoch
from .weights_record import weights_record

__all__ = [
    "BackgroundReferenceInferer",
    "BestAndLast",
    "FramesInferer",
    "History",
    "Resume",
    "SeedEachEpoch",
    "ShiftedInferer",
    "activation_of",
    "inferer_for",
    "run_folder",
    "weights_record",
]
