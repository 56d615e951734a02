"""One run of a grid, carried out: pseudo-labels if it has a teacher, the training, its evaluation."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import run as run_bundle

from ..configuration import resolve
from .store import mark_evaluated

__all__ = ["Job", "carry_out"]

NOT_CONTENT = ("bundle_root", "runs_dir", "data", "resume", "run_name", "output_dir", "tracking_uri", "tags")


@dataclass(frozen=True)
class Job:
    """A training that is ready to be carried out anywhere.

    Args:
        bundle: its folder, absolute.
        settings: of the bundle, that differ from its configuration.
        data: prepared folders, absolute.
        checksum: of their content.
        folder: of the training, absolute.
        tags: of its MLflow run.
        uri: tracking URI, absolute.
        teacher: settings and folder of the teacher, or None.
    """

    bundle: Path
    settings: Mapping[str, Any]
    data: Sequence[str]
    checksum: str
    folder: Path = Path()
    tags: Mapping[str, str] | None = None
    uri: str = ""
    teacher: Job | None = None

    @cached_property
    def hash(self) -> str:
        """What identifies the training: its whole configuration, the content of its data, and its teacher."""
        config = resolve(self._config("train"), self.settings)
        content = {name: value for name, value in config.items() if name not in NOT_CONTENT}
        parts = [content, self.checksum, self.teacher.hash if self.teacher else ""]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def placed(self, root: Path, name: str, tags: Mapping[str, str], uri: str) -> Job:
        """Return the job with its folder, which its hash makes unique, and its place in MLflow."""
        return replace(self, folder=root / f"{name}-{self.hash[:8]}", tags=tags, uri=uri)

    def _config(self, workflow: str) -> Path:
        return self.bundle / "configs" / f"{workflow}.yaml"

    def _known(self, workflow: str) -> dict[str, Any]:
        """Return those settings that a workflow has."""
        config = yaml.safe_load(self._config(workflow).read_text())
        return {name: value for name, value in self.settings.items() if name.split("::")[0] in config}

    def _place(self) -> dict[str, Any]:
        return {"bundle_root": str(self.bundle), "data": list(self.data), "output_dir": str(self.folder)}

    def train(self) -> dict[str, Any]:
        """Return the configuration of the training."""
        place = self._place()
        tracked = {"run_name": self.folder.name, "tracking_uri": self.uri, "tags": dict(self.tags or {})}
        settings = {**self.settings, **place, **tracked, "resume": True}
        if self.teacher is not None:  # its data come with every class annotated
            classes = resolve(self._config("train"), self.settings)
            complete = {name: [[label] for label in classes["classes"]] for name in classes["label_sets"]}
            settings |= {"data": str(self._pseudo_labels), "label_sets": complete, "withheld": {}, "images": {}}
        return resolve(self._config("train"), settings)

    def evaluate(self) -> dict[str, Any]:
        """Return the configuration of the evaluation: the test fold with all its annotation."""
        known = {
            name: value for name, value in self._known("evaluate").items() if name not in ("withheld", "label_sets")
        }
        place = self._place()
        return resolve(self._config("evaluate"), {**known, **place})

    def pseudo_label(self) -> dict[str, Any]:
        """Return the configuration of the teacher's work."""
        if self.teacher is None:
            raise ValueError(f"{self.folder.name} has no teacher.")
        place = {"bundle_root": str(self.bundle), "data": list(self.data), "out": str(self._pseudo_labels)}
        teacher = {"checkpoint": str(self.teacher.folder / "model.pt"), "loss": self.teacher.settings["loss"]}
        return resolve(self._config("pseudo_label"), {**self._known("pseudo_label"), **place, **teacher})

    @property
    def _pseudo_labels(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.pseudo_labels")


def carry_out(job: Job) -> str:
    """Train and evaluate; an interrupted training goes on where it was.

    Returns:
        The id of the MLflow run.

    Raises:
        RuntimeError: says what stopped it; `log.txt` in the folder has everything.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with (job.folder / "log.txt").open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            if job.teacher is not None and not job._pseudo_labels.exists():
                _run(job, "pseudo_label", job.pseudo_label())
            _run(job, "train", job.train())
            _run(job, "evaluate", job.evaluate())
        except Exception as error:
            traceback.print_exc()
            root: BaseException = error
            while root.__cause__ is not None:  # MONAI wraps an error in the names of components
                root = root.__cause__
            raise RuntimeError(f"{type(root).__name__}: {root}") from None
        shutil.rmtree(job._pseudo_labels, ignore_errors=True)
    return mark_evaluated(job.folder)


def _run(job: Job, workflow: str, config: Mapping[str, Any]) -> None:
    path = job.folder / ("config.yaml" if workflow == "train" else f"{workflow}.yaml")
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False, width=120))
    before = list(sys.path)
    try:
        configs = job.bundle / "configs"
        run_bundle(
            run_id="run",
            config_file=str(path),
            meta_file=str(configs / "metadata.json"),
            logging_file=str(configs / "logging.conf"),
        )
    finally:
        sys.path[:] = before  # the runner puts the bundle's folder there
