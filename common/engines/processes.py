"""Train in the processes that torchrun starts: what each has, and which of them writes."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "check_processes",
    "data_parallel",
    "divides_equally",
    "handlers_of_process",
    "join_processes",
    "number_of_processes",
    "rank",
    "share_of_batch",
    "wait_for_others",
]


def number_of_processes() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process, from 0; process 0 writes. A `RANK` without others to share with is not one."""
    return int(os.environ.get("RANK", "0")) if number_of_processes() > 1 else 0


def check_processes(shares: bool) -> None:
    """Refuse several processes that would each do the same, and a workflow for several that is not given them.

    Args:
        shares: whether the workflow shares its work among processes.

    Raises:
        ValueError: with the right command.
    """
    if number_of_processes() > 1 and not shares:
        raise ValueError(
            f"torchrun started {number_of_processes()} processes that would each do the same; run this without "
            "torchrun, or train with --config_file \"['.../train.yaml','.../multi_gpu_train.yaml']\"."
        )
    if shares and "RANK" not in os.environ:
        raise ValueError("multi_gpu_train.yaml is for torchrun: torchrun --nproc_per_node 2 -m monai.bundle run ...")


def share_of_batch(batch_size: int) -> int:
    """Return the images of a batch that each process takes.

    Raises:
        ValueError: if the images cannot be shared equally.

    Example:
        >>> share_of_batch(16)  # one process
        16
    """
    share, rest = divmod(batch_size, number_of_processes())
    if rest or not share:
        raise ValueError(
            f"--batch_size is the number of images over all {number_of_processes()} processes; expected a multiple "
            f"of that, got {batch_size}."
        )
    return share


def divides_equally(images: int, batch_size: int) -> bool:
    """Return True, for a sampler that leaves no image to one process alone; refuse a single batch that does not divide.

    Raises:
        ValueError: if all images are one batch, of which the processes cannot take the same number.

    Example:
        >>> divides_equally(5, batch_size=8)  # one process
        True
    """
    if images < batch_size and images % number_of_processes():
        raise ValueError(
            f"{images} training images are one batch, which {number_of_processes()} processes cannot share equally; "
            "train in one process, or add images."
        )
    return True


def join_processes(batch_size: int) -> torch.device:
    """Connect this process with the others and return its device; all but process 0 become silent.

    Args:
        batch_size: over all processes, to be refused before the others are waited for.
    """
    share_of_batch(batch_size)
    gpus = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if gpus else "gloo")
    atexit.register(_leave)
    if rank():
        logging.disable(logging.INFO)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    return device


def wait_for_others() -> None:
    """Wait until all processes of a training are done: torchrun stops those that still write when one exits early."""
    if number_of_processes() > 1 and distributed.is_initialized():
        distributed.barrier()


def _leave() -> None:
    """Disconnect; gloo's threads first need a moment, or may abort a process whose interpreter ends."""
    time.sleep(1)
    distributed.destroy_process_group()


def data_parallel(network: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Average the gradients of a network over the processes; its weights are those of process 0 from the start.

    Batch norm takes its statistics from the whole batch on GPUs, and from the images of one process on CPUs, where
    torch cannot exchange them.
    """
    if device.type == "cuda":
        together = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(together, device_ids=[device])
    return DistributedDataParallel(network)


class _Together:
    """Give all processes the same running statistics before each validation, and the loss of the whole batch."""

    def __init__(self, network: DistributedDataParallel) -> None:
        self.network = network

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._average_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._copy_buffers)

    def _average_loss(self, engine: Engine) -> None:
        loss: Tensor = engine.state.output["loss"].detach().clone()
        distributed.all_reduce(loss)
        engine.state.output["loss"] = loss / number_of_processes()

    def _copy_buffers(self, _: Engine) -> None:
        for buffer in self.network.module.buffers():
            distributed.broadcast(buffer, src=0)


def handlers_of_process(handlers: Sequence[Any], network: DistributedDataParallel) -> list[Any]:
    """Return the handlers of a trainer that run in this process: those that only write run in process 0.

    Args:
        handlers: of the training; a class states `main_process_only = True` if others do not need it.
        network: that is trained.
    """
    own = [one for one in handlers if rank() == 0 or not getattr(one, "main_process_only", False)]
    return [_Together(network), *own]
