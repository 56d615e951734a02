"""Made-up releases of Unity Imaging for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.datasets.prepared.source import Source
from common.datasets.readers.unity.curves import annotation, structures_of
from common.datasets.readers.unity.reader import unity

SHAPE = (240, 320)  # rows, columns
ENDO, EPI, ATRIUM = "curve-lv-endo", "curve-lv-epi", "curve-la-endo"
OFF, BLURRED = ({"type": kind, "x": "", "y": ""} for kind in ("off", "blurred"))


def curve(rows: np.ndarray, columns: np.ndarray, **more: Any) -> dict[str, Any]:
    return {
        "type": "curve",
        **{key: " ".join(f"{v:.3f}" for v in axis) for key, axis in (("x", columns), ("y", rows))},
        **more,
    }


def arch(height: float, width: float, nodes: int = 21, **more: Any) -> dict[str, Any]:
    """Half an ellipse over the annulus at row 140 around column 160; a negative height puts it below."""
    angle = np.linspace(0, np.pi, nodes)
    return curve(140 - height * np.sin(angle), 160 - width * np.cos(angle), **more)


VENTRICLE, WALL, CHAMBER = arch(100, 40), arch(112, 54), arch(-60, 35)
LOW_WALL = curve(
    np.array([150.0, 100, 28, 100, 150]), np.array([106.0, 110, 160, 210, 214])
)  # ends 10 rows below the ventricle


def mask(labels: dict[str, Any], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return annotation(structures_of(labels), shape)


def name_of(video: int, frame: int = 7, prefix: str = "01-") -> str:
    return f"{prefix}{video:064x}-{frame:04d}.png"


def write_image(root: Path, name: str, grey: int = 90, mode: str = "L") -> Path:
    bare = name.removeprefix("01-")
    path = root / "png-cache" / "01" / bare[:2] / bare[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", SHAPE[::-1], grey).convert(mode).save(path)
    return path


def write_labels(root: Path, which: str, entries: dict[str, Any]) -> Path:
    path = root / "labels" / f"labels-{which}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: {"labels": labels} for name, labels in entries.items()}))
    return path


def release(root: Path, **lists: dict[str, Any]) -> Path:
    for which, entries in lists.items():
        write_labels(root, which, entries)
        for name in entries:
            write_image(root, name)
    return root


def one(root: Path, labels: dict[str, Any]) -> Source:
    return unity(release(root, train={name_of(1): labels}))
