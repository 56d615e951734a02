"""Run a function in two connected processes, forks of the tests: torchrun takes ten seconds to start."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import distributed


def in_two_processes(function: Callable[[int], Any], folder: Path) -> list[Any]:
    """Return what `function` returns in each process, given its number: tensors and primitives."""
    context = get_context("fork")
    processes = [context.Process(target=_run, args=(function, rank, folder), daemon=True) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def _run(function: Callable[[int], Any], rank: int, folder: Path) -> None:
    torch.set_num_threads(1)  # threads do not survive a fork
    os.environ.update(RANK=str(rank), WORLD_SIZE="2")
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(function(rank), folder / f"{rank}.pt")
    distributed.barrier()
    os._exit(0)  # the rest of the tests belongs to the parent
