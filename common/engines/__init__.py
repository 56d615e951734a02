"""Engine handlers that MONAI lacks: resumable checkpoints, per-epoch seeds, a history, inferers, records of weights."""

from ..losses.contract import activation_of
from .architecture import architecture_of, check_explicit_network, network_of, with_weights
from .checkpoint import BestAndLast, Resume
from .ending import report_once, train
from .find_weights import find_weights
from .fine_tuning import FineTuning
from .history import History
from .image_size import check_image_size
from .inferer import BackgroundReferenceInferer, FramesInferer, MixedPrecisionInferer, ShiftedInferer, inferer_for
from .initial_weights import check_place, initial_weights
from .processes import (
    check_processes,
    data_parallel,
    divides_equally,
    handlers_of_process,
    join_processes,
    number_of_processes,
    rank,
    share_of_batch,
)
from .run_folder import RunFolder, run_folder, save_configuration
from .seeding import SeedEachEpoch, drawn_network
from .true_record import check_record
from .weights import check_fit, load_weights
from .weights_record import read_record, weights_record

__all__ = [
    "BackgroundReferenceInferer",
    "BestAndLast",
    "FineTuning",
    "FramesInferer",
    "History",
    "MixedPrecisionInferer",
    "Resume",
    "RunFolder",
    "SeedEachEpoch",
    "ShiftedInferer",
    "activation_of",
    "architecture_of",
    "check_explicit_network",
    "check_fit",
    "check_image_size",
    "check_place",
    "check_processes",
    "check_record",
    "data_parallel",
    "divides_equally",
    "drawn_network",
    "find_weights",
    "handlers_of_process",
    "inferer_for",
    "initial_weights",
    "join_processes",
    "load_weights",
    "network_of",
    "number_of_processes",
    "rank",
    "read_record",
    "report_once",
    "run_folder",
    "save_configuration",
    "share_of_batch",
    "train",
    "weights_record",
    "with_weights",
]
