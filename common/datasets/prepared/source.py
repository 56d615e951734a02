"""Interface between readers and preparation: a dataset as a list of images still to be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...label_sets import IGNORE, Meaning

__all__ = ["Frame", "Job", "Source", "check_case", "spacing_of", "values_in"]


def check_case(names: Iterable[str], culprit: str) -> None:
    """Refuse names that are "background" or "ignore" but for their case: they would be structures.

    Example:
        >>> check_case(["Ignore"], "value 255")
        Traceback (most recent call last):
        ...
        ValueError: value 255 is 'Ignore', which would be a structure; write 'ignore'.
    """
    for name in names:
        if name.lower() in ("background", IGNORE) and name != name.lower():
            raise ValueError(f"{culprit} is {name!r}, which would be a structure; write {name.lower()!r}.")


def spacing_of(lengths: Any) -> tuple[float, float]:
    """Check a spacing, mm per pixel, (row, column), that a person wrote as numbers or text.

    Example:
        >>> spacing_of(["0.3", 0.15])
        (0.3, 0.15)
    """
    try:
        row, column = (float(length) for length in lengths)
    except (TypeError, ValueError):
        row = column = 0.0
    if not (0 < row < math.inf and 0 < column < math.inf):
        raise ValueError(f"spacing is {str(lengths)[:50]}, expected two positive numbers: mm per pixel, [row, column].")
    return row, column


def values_in(label: NDArray[np.uint8]) -> list[int]:
    """Return the values that occur in an annotation, in order; on a volume this is ten times as fast as sorting.

    Example:
        >>> values_in(np.array([[3, 0], [0, 3]], np.uint8))
        [0, 3]
    """
    present = np.zeros(256, bool)
    present[label.ravel(order="K")] = True
    return np.flatnonzero(present).tolist()


@dataclass(frozen=True)
class Frame:
    """One annotated image in native geometry.

    Args:
        image: grey values 0 to 255, uint8, (rows, columns).
        label: the dataset's own annotation values, uint8, (rows, columns).
        spacing: mm per pixel, (row, column), or None if unknown.
        motion: standard deviation of each pixel over the clip, grey values, (rows, columns); None for a still.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    spacing: tuple[float, float] | None
    motion: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.image.shape != self.label.shape:
            raise ValueError(f"image {self.image.shape} and annotation {self.label.shape} differ in shape.")

    def resized(self, size: int) -> Frame:
        """Squash the frame to (size, size) and adapt the spacing, so that physical areas are kept.

        Example:
            >>> frame = Frame(np.zeros((40, 20), np.uint8), np.zeros((40, 20), np.uint8), (0.5, 0.5))
            >>> frame.resized(10).spacing
            (2.0, 1.0)
        """
        rows, columns = self.image.shape
        spacing = None if self.spacing is None else (self.spacing[0] * rows / size, self.spacing[1] * columns / size)
        # Pillow's bilinear filter widens with the scale, so reduction does not alias; annotations keep their values.
        image = Image.fromarray(self.image).resize((size, size), Image.Resampling.BILINEAR)
        label = Image.fromarray(self.label).resize((size, size), Image.Resampling.NEAREST)
        return Frame(np.asarray(image), np.asarray(label), spacing)


@dataclass(frozen=True)
class Job:
    """One image still to be read.

    Args:
        id: file name of the prepared image, unique in the dataset: letters, digits, "_", "-" and ".".
        item: fields for the datalist: dataset, patient, view, phase, fold (None: preparation assigns it), and what else
            is known. `unlabelled` lists classes that this image does not annotate although its dataset does.
        read: reads the image (a `Frame`, or a `Volume`), in any process, so it is picklable (functools.partial). Paths
            among its arguments are the files whose changes preparation notices. Raises ValueError or OSError, with a
            message that names the file, if the image cannot be used.
    """

    id: str
    item: Mapping[str, Any]
    read: Callable[[], Any]


@dataclass(frozen=True)
class Source:
    """A dataset as its reader found it.

    Args:
        name: of the dataset or the collection.
        jobs: the images to read.
        licence: its terms in one line.
        citation: what users must cite.
        label_sets: for each dataset, the classes that each annotation value may stand for (`LabelSets`). A class that
            they never mention is not annotated: it may be wherever they say background.
        skipped: what is left out, name -> reason.
        facts: further entries of provenance.json.
    """

    name: str
    jobs: Sequence[Job]
    licence: str
    citation: str
    label_sets: Mapping[str, Meaning]
    skipped: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
