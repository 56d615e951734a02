"""Engine handlers that MONAI lacks: resumable checkpoints, per-epoch seeds, a history, inferers, records of weights."""

from ..losses.contract import activation_of
from .architecture import architecture_of, check_explicit_network, network_of, with_weights
from .checkpoint import BestAndLast, Resume
from .find_weights import find_weights
from .fine_tuning import FineTuning
from .history import History
from .inferer import BackgroundReferenceInferer, FramesInferer, ShiftedInferer, inferer_for
from .initial_weights import initial_weights
from .run_folder import run_folder
from .seeding import SeedEachEpoch
from .weights import check_fit, load_weights
from .weights_record import read_record, weights_record

__all__ = [
    "BackgroundReferenceInferer",
    "BestAndLast",
    "FineTuning",
    "FramesInferer",
    "History",
    "Resume",
    "SeedEachEpoch",
    "ShiftedInferer",
    "activation_of",
    "architecture_of",
    "check_explicit_network",
    "check_fit",
    "find_weights",
    "inferer_for",
    "initial_weights",
    "load_weights",
    "network_of",
    "read_record",
    "run_folder",
    "weights_record",
    "with_weights",
]
