"""One run of a grid: pseudo-labels if it has a teacher, the training, and its evaluation."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import run as run_bundle

from ..configuration import resolve
from ..engines import read_record
from ..engines.run_folder import mark, release
from ..identity import digest, settings_digest, training_settings
from ..tracking import handed_in
from ..tracking.delivery import backlog, cause
from ..tracking.outbox import read_outbox

__all__ = ["OF_GRID", "Job", "carry_out"]

OF_GRID = (  # settings that a grid decides for each training
    *("bundle_root", "data", "dataset_dir", "data_checksum", "output_dir", "run_name", "tracking_uri", "tags"),
    *("resume", "resuming", "configuration", "settings", "digest"),
    "experiment",  # reports read it from train.yaml
)
OF_WEIGHTS = ("activation", "classes", "image_size", "loss", "network", "networks")  # their record says them


@dataclass(frozen=True)
class Job:
    """A training with everything that is needed to run it on any machine.

    Args:
        bundle: its folder, absolute.
        settings: of the bundle, that differ from its configuration.
        data: prepared folders, absolute.
        checksum: of the prepared folders.
        fold: that is evaluated.
        folder: of the training, absolute.
        tags: of its MLflow run.
        uri: tracking URI, absolute.
        teacher: job of the teacher, or None.
    """

    bundle: Path
    settings: Mapping[str, Any]
    data: Sequence[str]
    checksum: str
    fold: str = "test"
    folder: Path = Path()
    tags: Mapping[str, str] | None = None
    uri: str = ""
    teacher: Job | None = None

    @cached_property
    def hash(self) -> str:
        """Digest of all settings that change the result, as the training computes it (`training_settings`)."""
        config = resolve(self._config("train"), self.settings)
        settings = training_settings(config, self._data_checksum, config["initial_weights"])
        return settings_digest(settings)

    @property
    def _data_checksum(self) -> str:
        """Checksum of the data that this job trains on; pseudo-labels follow from the data and the teacher."""
        if self.teacher is None:
            return self.checksum
        among = resolve(self._config("pseudo_label"), {})["pseudo_labels_among"]
        return digest(self.checksum, self.teacher.hash, self.settings.get("pseudo_labels_among", among))

    def place(self, root: Path, name: str, tags: Mapping[str, str], uri: str) -> Job:
        """Return the job with its folder, which its hash makes unique, and its tags and URI of MLflow."""
        return replace(self, folder=root / f"{name}-{self.hash[:8]}", tags=tags, uri=uri)

    def _config(self, workflow: str) -> Path:
        return self.bundle / "configs" / f"{workflow}.yaml"

    def _resolve(self, workflow: str, **more: Any) -> dict[str, Any]:
        """Return a workflow with the settings that it knows, but those that its weights know."""
        known = yaml.safe_load(self._config(workflow).read_text(encoding="utf-8")).keys() - {*OF_WEIGHTS}
        settings = {name: value for name, value in self.settings.items() if name.split("::")[0] in known}
        place = {"bundle_root": str(self.bundle), "data": list(self.data)}
        return resolve(self._config(workflow), {**settings, **place, **more})

    def train(self) -> dict[str, Any]:
        """Return the configuration of the training."""
        settings = {**self.settings, "bundle_root": str(self.bundle), "data": list(self.data), "resume": True}
        settings |= {"output_dir": str(self.folder), "run_name": self.folder.name}
        settings |= {"tracking_uri": self.uri, "tags": dict(self.tags or {})}
        if self.teacher is not None:
            settings |= {"data": str(self.pseudo_labels), "data_checksum": self._data_checksum}
        return resolve(self._config("train"), settings)

    def evaluate(self) -> dict[str, Any]:
        """Return the configuration of the evaluation: a fold with its whole annotation."""
        weights = str(self.folder / "model.pt")
        return self._resolve("evaluate", checkpoint=weights, tracking_uri=self.uri, fold=self.fold)

    def pseudo_label(self) -> dict[str, Any]:
        """Return the configuration that makes the pseudo-labels."""
        if self.teacher is None:
            raise ValueError(f"{self.folder.name} has no teacher.")
        checkpoint = str(self.teacher.folder / "model.pt")
        return self._resolve("pseudo_label", checkpoint=checkpoint, out=str(self.pseudo_labels))

    @property
    def pseudo_labels(self) -> Path:
        """Folder of the pseudo-labels while the training needs them."""
        return self.folder.with_name(f"{self.folder.name}.pseudo_labels")

    @property
    def lost_teacher(self) -> Job | None:
        """Job of the teacher if its weights are missing and the pseudo-labels have to be made; otherwise None."""
        if self.teacher is None or self.pseudo_labels.exists() or (self.teacher.folder / "model.pt").is_file():
            return None
        return self.teacher


def carry_out(job: Job) -> str:
    """Train and evaluate; continue an interrupted training.

    Returns:
        The id of the MLflow run.

    Raises:
        RuntimeError: with the cause of a failure; `log.txt` in the folder has the whole output.
    """
    begun = int(1000 * time.time())
    mark(job.folder)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with (
        (job.folder / "log.txt").open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            if job.teacher is not None and not job.pseudo_labels.exists():
                _run(job, "pseudo_label", job.pseudo_label())
            _run(job, "train", job.train())
            _check_trained(job)
            _run(job, "evaluate", job.evaluate())
        except Exception as error:
            traceback.print_exc()
            root: BaseException = error
            while root.__cause__ is not None:  # MONAI wraps an error in the names of components
                root = root.__cause__
            raise RuntimeError(f"{type(root).__name__}: {root}") from None
        shutil.rmtree(job.pseudo_labels, ignore_errors=True)
    lacking, run_id = _lacking(job.folder, job.uri, begun), handed_in(job.folder)
    if lacking or run_id is None:
        reason = lacking or f"MLflow lacks results that are complete in {job.folder}; run the grid again."
        raise RuntimeError(reason)
    return run_id


def _lacking(folder: Path, uri: str, begun: int) -> str:
    """Hand in what MLflow lacks of a training and of its evaluation; return why it still does, empty if it has both.

    Args:
        folder: of the training.
        uri: tracking URI.
        begun: when the training began, ms since 1970; other evaluations in its folder do not count.
    """
    for place, error in dict(backlog(folder, uri)).items():
        outbox = read_outbox(place)
        if error is not None and (place == folder or (outbox is not None and outbox.started >= begun)):
            return cause(error)
    return ""


def _check_trained(job: Job) -> None:
    """Refuse the result of another training than was planned: code or data were edited while the grid ran."""
    weights = job.folder / "model.pt"
    trained = read_record(weights).get("training") if weights.is_file() else None
    if trained not in (None, job.hash):
        raise RuntimeError(f"code or data changed while the grid ran; remove {job.folder}, and run the grid again.")


def _run(job: Job, workflow: str, config: Mapping[str, Any]) -> None:
    before = list(sys.path)
    configs = job.bundle / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "logging_file": str(configs / "logging.conf")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{workflow}.yaml"
        path.write_text(yaml.safe_dump(dict(config), sort_keys=False, width=120), encoding="utf-8")
        try:
            run_bundle(run_id="run", config_file=str(path), **files)
        finally:
            sys.path[:] = before  # the runner adds the folder of the bundle
            release(job.folder)  # Ray keeps this process for other jobs
