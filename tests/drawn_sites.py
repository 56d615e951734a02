"""Folders of drawn PNG as hospitals export them: each site outlines some structures, with values 128, 64, ..., 255."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import forked
import numpy as np
import yaml
from PIL import Image

SIDE = 32  # pixels
DRAWN = {"lv_cavity": 128, "lv_myocardium": 64, "left_atrium": 200}  # class -> value in the masks
IGNORED = 255
FOLDS = ("training",) * 8 + ("validation",) * 2 + ("test",) * 2


def draw(outlined: Sequence[str], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three bright discs below each other, and a mask of those that are outlined; three columns are ignored."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image, mask = rng.integers(0, 40, (SIDE, SIDE)).astype(np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for position, name in enumerate(DRAWN):
        disc = (rows - 6 - 10 * position) ** 2 + (columns - 16 - rng.integers(-4, 5)) ** 2 < 16
        image[disc] = 90 + 60 * position
        if name in outlined:
            mask[disc] = DRAWN[name]
    mask[:, :3] = IGNORED
    return image, mask


def prepare_sites(folder: Path, sites: Mapping[str, Sequence[str]]) -> list[str]:
    """Draw, describe and prepare a folder for each site (name -> what it outlines); return their paths in `folder`."""
    for number, (name, outlined) in enumerate(sites.items()):
        source = folder / f"{name}_source"
        source.mkdir()
        rows = ["image,label,patient,fold"]
        for patient, fold in enumerate(FOLDS):
            for part, pixels in zip(("i", "m"), draw(outlined, 100 * number + patient), strict=True):
                Image.fromarray(pixels).save(source / f"{part}{patient}.png")
            rows.append(f"i{patient}.png,m{patient}.png,p{patient},{fold}")
        (source / "cases.csv").write_text("\n".join(rows))
        values = {0: "background", IGNORED: "ignore", **{DRAWN[structure]: structure for structure in outlined}}
        about = {"dataset": name, "licence": "drawn", "modality": "OT", "values": values, "table": "cases.csv"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(about))
        options = ["--description", f"{name}.yaml", "--size", str(SIDE), "--workers", "1"]
        done = forked.run(["common.datasets", "folder", f"{name}_source", f"data/{name}", *options], cwd=folder)
        assert done.returncode == 0, done.stderr
    return [f"data/{name}" for name in sites]
