"""The phantom in the on-disk formats of real datasets, so that their readers run end to end without a download."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from .camus_layout import write_camus, write_camus_2019
from .echonet_layout import write_echonet_dynamic
from .left_atrium_layout import write_left_atrium
from .open_kbp_layout import write_open_kbp
from .unity_layout import write_unity

__all__ = ["LAYOUTS"]

NOTE = "PHANTOM.txt"


def _write(layout: str, write: Callable[[Path, int, int], None], out: Path, patients: int, seed: int = 0) -> None:
    """Write a whole folder or none: the work is in OUT.partial until it is complete."""
    if out.exists():
        raise FileExistsError(f"{out} exists; remove it or choose another folder.")
    if patients < 10:
        raise ValueError(f"{patients} phantom patients leave a fold empty; at least 10 are needed.")
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}.")
    unfinished = out.with_name(f"{out.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write(unfinished, patients, seed)
    (unfinished / NOTE).write_text(f"Phantom: drawn by a program, shows no person; in the layout of {layout}.\n")
    unfinished.rename(out)


# name -> function of the folder to make, the number of patients (10 or more) and the seed
LAYOUTS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "camus": partial(_write, "CAMUS, the NIfTI release", write_camus),
        "camus-2019": partial(_write, "CAMUS, the release of 2019", write_camus_2019),
        "echonet-dynamic": partial(_write, "EchoNet-Dynamic", write_echonet_dynamic),
        "left-atrium": partial(_write, "Left Atrium 2018, the release of UA-MT", write_left_atrium),
        "open-kbp": partial(_write, "OpenKBP", write_open_kbp),
        "unity": partial(_write, "Unity Imaging", write_unity),
    }
)
