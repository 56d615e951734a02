"""Run the grid of a bundle on Ray, on this computer or on a cluster: skip finished trainings, repeat failed ones.

Each training takes one core, or one GPU if there are any. On a cluster the project, its environment, the data and the
tracking server must have the same paths on every node (a shared file system).
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from ..configuration import resolve
from ..datasets import checksum
from ..datasets.phantom.atrium_dataset import atria
from ..datasets.phantom.dataset import phantom
from ..datasets.phantom.pelvis_dataset import WINDOW, pelves
from ..datasets.prepared.preparation import prepare
from ..datasets.prepared.selection import NAMING, check_names
from ..datasets.volumes.form import prepare_volumes
from ..identity import digest
from ..tracking import tracking_uri
from .check_runs import check_data, check_runs
from .grid import Run, read_grid
from .store import Store
from .training import Job, carry_out

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported
import ray

__all__ = ["Outcome", "run_grid"]

ENDING = 15  # seconds that interrupted trainings have to end
VOLUMES = {"pelvis": (pelves, WINDOW), "atria": (atria, None)}  # drawn volumes -> by what, and their window


@dataclass(frozen=True)
class Outcome:
    """The outcome of a grid.

    Args:
        finished: number of trainings with results.
        skipped: number of them that were finished before.
        failed: name of a training -> the cause of its failure and the path of its log.
    """

    finished: int
    skipped: int
    failed: Mapping[str, str]


def run_grid(
    bundle: Path,
    scale: str,
    data: Sequence[Path],
    workers: int,
    address: str | None,
    settings: Mapping[str, Any] | None = None,
    fold: str = "test",
) -> Outcome:
    """Carry out all unfinished runs of the grid of a bundle.

    Args:
        bundle: folder of the bundle.
        scale: of its experiments.yaml.
        data: prepared folders; none draws the phantom of the scale.
        workers: trainings in parallel on this computer; 0 takes one per core.
        address: of a Ray cluster ("ray://host:10001", "auto"); None starts Ray on this computer.
        settings: of the bundle, for every training whose cell does not state its own.
        fold: that is evaluated, "test" or "validation".

    Raises:
        FileNotFoundError: if the scale draws no phantom and no data are given.
        ValueError: if a setting is unknown, cannot be, has no effect, or names a dataset that is not in the data; or if
            the trainings would refuse the data.
        RuntimeError: if another process runs the grid.
    """
    settings = settings or {}
    grid = read_grid(bundle, scale, settings)
    if not data and not grid.phantom:
        raise FileNotFoundError(f"scale {scale!r} of {bundle.name} draws no phantom; name data with --data.")
    check_runs(bundle / "configs" / "train.yaml", grid.runs)
    folders = [folder.resolve() for folder in data] or [_phantom(**grid.phantom)]
    config = resolve(bundle / "configs" / "train.yaml", settings)
    check_names(folders, {name: settings[name] for name in NAMING if name in settings})
    check_data(bundle / "configs" / "train.yaml", grid.runs, folders, fold)
    uri = _absolute(tracking_uri("sqlite:///runs/mlflow.db"))
    content = checksum(folders)
    stated = {**settings} if fold == "test" else {**settings, "fold": fold}
    identity = {
        "grid": scale,
        "bundle": bundle.absolute().name,
        "data_checksum": content,
        "settings": _identified(stated),
    }
    given = [f"--{name} {shlex.quote(str(value))}" for name, value in stated.items()]
    named = [f"--data {shlex.join(map(str, data))}"] if data else []
    facts = {"data": " ".join([", ".join(map(os.path.relpath, folders)), *given]), "fold": fold}
    facts |= {"given": " ".join([*named, *given])}
    base = Job(bundle.resolve(), {}, [str(folder) for folder in folders], content, fold)
    runs = [*_by_hash([_job(base, run) for run in grid.runs], grid.runs).values()]
    root = Path(config["runs_dir"]).resolve() / scale
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root), _ends_on_sigterm(), _shuts_down():
        store = Store(uri, config["experiment"], identity, facts)
        work = _Work(store, base, root, uri, partial(_start, workers, address))
        if work.is_unfinished(runs):
            work.begin()  # first: on SIGTERM Ray ends a process in which it starts, and MLflow would not know
        before = set(work.finished)
        status = "KILLED"
        try:
            known = [run for run in runs if all(work.job(one).hash in work.finished for one in run.candidates)]
            work.plan(known, len(runs))  # results of an earlier form of the grid do not count from now on
            work.carry_out([work.job(one) for run in runs for one in run.candidates], "search")
            results = work.plan(runs, len(runs))
            work.carry_out(results, f"{bundle.name} {scale}")
            work.leave_out([job for job in results if job.hash not in before])
            status = "FAILED" if work.failed else "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            store.close(status)
    finished, skipped = (sum(job.hash in done for job in results) for done in (work.finished, before))
    return Outcome(finished, skipped, work.failed)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder of a grid."""
    lock = FileLock(root / "grid.lock", timeout=1)
    try:
        lock.acquire()
    except Timeout as error:
        raise RuntimeError(f"another process runs this grid in {root}; wait for it, or stop it.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _shuts_down() -> Iterator[None]:
    """Shut Ray down at the end of the block."""
    try:
        yield
    finally:
        if ray.is_initialized():
            ray.shutdown()


@contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C; only the main thread of a process receives signals."""
    before = signal.getsignal(signal.SIGTERM)
    _interrupt_on_sigterm()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _interrupt_on_sigterm() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: object) -> None:
    """As Ctrl-C, also where a script in the background ignores SIGINT."""
    raise KeyboardInterrupt


def _job(base: Job, run: Run, chosen: Mapping[str, Any] | None = None) -> Job:
    """Return the job of a run, without its place, with the settings that a search has chosen."""
    teacher = _job(base, run.teacher, chosen) if run.teacher else None
    return replace(base, settings={**run.settings, **(chosen or {})}, teacher=teacher)


def _by_hash(jobs: Sequence[Job], runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by the hashes of their jobs; refuse two cells with the same settings, which share their training."""
    found: dict[str, Run] = {}
    for job, run in zip(jobs, runs, strict=True):
        other = found.setdefault(job.hash, run)
        if sorted(map(str, other.cell.items())) != sorted(map(str, run.cell.items())):
            raise ValueError(
                f"{other.name} and {run.name} have the same settings, so one training would be the result of both; "
                "change the settings of one, or leave it out of the grid."
            )
    return found


def _identified(content: Any) -> str:
    return digest(json.dumps(content, sort_keys=True))[:16]


def _phantom(patients: int, size: int = 0, spacing: float = 4.0, of: str = "pelvis") -> Path:
    """Draw hearts of `size` pixels a side, or without a size volumes (`VOLUMES`) with voxels of `spacing` mm."""
    folder = Path(f"data/phantom_{patients}x{size}" if size else f"data/{of}_{patients}x{spacing:g}mm").resolve()
    if not folder.exists() and size:
        prepare(phantom(size, patients), folder, size)
    elif not folder.exists():
        draw, window = VOLUMES[of]
        prepare_volumes(draw(patients, spacing), folder, (spacing,) * 3, window)
    return folder


def _absolute(uri: str) -> str:
    path = uri.removeprefix("sqlite:///")
    return f"sqlite:///{Path(path).resolve()}" if path != uri else uri


def _start(workers: int, address: str | None) -> None:
    given = os.environ.get("PYTHONPATH")
    own = map(os.path.abspath, given.split(os.pathsep) if given else ())  # workers run elsewhere
    path = os.pathsep.join([str(Path(__file__).parents[2]), *own])
    environment = {"env_vars": {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}}
    quiet: dict[str, Any] = {"log_to_driver": False, "runtime_env": environment}
    if address is None:
        # "local" never joins a cluster that happens to run on this computer
        cores = workers or os.cpu_count()
        ray.init("local", num_cpus=cores, include_dashboard=False, logging_level=logging.ERROR, **quiet)
        return
    try:
        ray.init(address=address, **quiet)
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {address} ({error}); is it running, and with Ray {ray.__version__}? "
            "If it asks for a token, set RAY_AUTH_MODE=token (and RAY_AUTH_TOKEN)."
        ) from error


class _Work:
    """Jobs for Ray, which share `base`, and their results; `start` starts Ray."""

    def __init__(self, store: Store, base: Job, root: Path, uri: str, start: Callable[[], None]) -> None:
        self.store, self.base, self.root, self.uri, self.start = store, base, root, uri, start
        self.finished = store.finished()
        self.failed: dict[str, str] = {}
        self.folders: dict[str, Path] = {}  # of each hash: a teacher may be a result, too

    def is_unfinished(self, runs: Sequence[Run]) -> bool:
        """Return whether a training is left to carry out."""
        jobs = [_job(self.base, one, self.best(one)) for run in runs for one in [*run.candidates, run]]
        return any(job.hash not in self.finished for job in jobs)

    def begin(self) -> None:
        """Start Ray, unless it runs."""
        if not ray.is_initialized():
            try:
                self.start()
            except SystemExit as error:  # of its handler of SIGTERM
                raise KeyboardInterrupt from error
            _interrupt_on_sigterm()  # Ray would end everything at once

    def job(self, run: Run, chosen: Mapping[str, Any] | None = None) -> Job:
        """Return the job of a run with the settings that a search has chosen."""
        job = _job(self.base, run, chosen)
        if run.teacher:
            job = replace(job, teacher=self.job(run.teacher, chosen))
        placed = job.place(self.root, run.name, self.store.tags(run.cell, run.role, job.hash), self.uri)
        there = [path for path in self.root.glob(f"*-{job.hash[:8]}") if path.is_dir()]
        return replace(placed, folder=self.folders.setdefault(job.hash, min(there, default=placed.folder)))

    def plan(self, runs: Sequence[Run], total: int) -> list[Job]:
        """Return the jobs of runs whose search is over, as MLflow knows them from now on."""
        jobs = [self.job(run, self.best(run)) for run in runs]
        self.store.plan({one: run.cell for one, run in _by_hash(jobs, runs).items()}, total)
        return jobs

    def best(self, run: Run) -> dict[str, Any]:
        """Return the searched settings of the candidate that was best on the validation fold."""
        scores = {}
        for candidate in run.candidates:
            job_hash = _job(self.base, candidate).hash
            if job_hash in self.finished:
                history = self.store.client.get_metric_history(self.finished[job_hash], "mean_dice")
                scores[max(entry.value for entry in history)] = candidate
        return {name: scores[max(scores)].settings[name] for name in run.search} if scores else {}

    def carry_out(self, jobs: Sequence[Job], title: str) -> None:
        """Train and evaluate the unfinished jobs: teachers and jobs without a teacher first, then the others.

        A finished teacher whose folder was deleted trains again if an unfinished job needs its weights.
        """
        teachers = [job.teacher for job in jobs if job.teacher is not None]
        for job in jobs:
            if job.hash not in self.finished and (lost := job.lost_teacher) is not None:
                self.finished.pop(lost.hash, None)
        wanted = {job.hash for job in [*jobs, *teachers]}
        if not wanted - self.finished.keys():
            return
        self.begin()
        with tqdm(desc=title, unit=" trainings", total=len(wanted), initial=len(wanted & self.finished.keys())) as bar:
            self._wave([*teachers, *(job for job in jobs if job.teacher is None)], bar)
            self._wave([job for job in jobs if job.teacher is not None], bar)

    def leave_out(self, jobs: Sequence[Job]) -> None:
        """Count trainings as failed whose MLflow run continues in an experiment where no report looks for it."""
        for job in jobs:
            if job.hash in self.finished and (other := self.store.other_experiment(self.finished[job.hash])):
                del self.finished[job.hash]
                self.failed[job.folder.name] = (
                    f"its MLflow run is in the experiment '{other}', where it began: give that its name back, or "
                    f"remove {job.folder} to train anew"
                )

    def _wave(self, jobs: Sequence[Job], bar: tqdm[Any]) -> None:
        gpus = min(1, ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=1, retry_exceptions=True)(carry_out)
        waiting = {job.hash: job for job in jobs if job.hash not in self.finished}
        running = {task.remote(job): job for job in waiting.values()}
        try:
            while running:
                (done,), _ = ray.wait(list(running), num_returns=1)
                job = running.pop(done)
                try:
                    self.finished[job.hash] = ray.get(done)
                    bar.update()
                except ray.exceptions.RayError as error:
                    reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
                    self.failed[job.folder.name] = f"{reason} ({job.folder / 'log.txt'})"
                    bar.set_postfix(failed=len(self.failed))
        finally:
            for left in running:  # interrupted: trainings end as on Ctrl-C, and MLflow knows it
                ray.cancel(left)
            if running:
                ray.wait(list(running), num_returns=len(running), timeout=ENDING)
