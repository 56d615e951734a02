"""Run the jobs of a preparation in worker processes, a few at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

__all__ = ["each"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def each(
    write: Callable[[Task], Result], tasks: Sequence[Task], names: Sequence[str], workers: int
) -> Iterator[Result]:
    """Run tasks in worker processes and yield results as they are ready.

    Args:
        write: does one task; picklable.
        tasks: picklable.
        names: of the tasks, for the error.
        workers: processes; 1 works in this process.

    Raises:
        RuntimeError: if a worker process died.
    """
    if workers == 1:
        yield from map(write, tasks)
        return
    rest = iter(zip(tasks, names, strict=True))
    running: dict[Future[Result], str] = {}
    pool = ProcessPoolExecutor(workers, initializer=_leave_with_parent)
    try:
        while True:
            for task, name in islice(rest, 4 * workers - len(running)):
                running[pool.submit(write, task)] = name
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield future.result()
                del running[future]
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a worker process died (out of memory?) while reading one of {sorted(running.values())}; "
            "finished images are kept; run the same command again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """Exit when the main process is killed; only the main process reacts to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
