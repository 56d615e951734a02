"""Write pictures and clips that show what was segmented and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..atomic import whole_file
from .caption import caption_band, legend_band
from .drawing import Axis, Canvas, draw_anatomy
from .film import write_film

__all__ = ["Display", "Moment", "overlay_mp4", "overlay_png"]

FRAME_RATE = 25.0  # where it is unknown
FILM_LEAST = 256  # pixels: minimum height of a film; players enlarge it
GAP = 12  # pixels between moments side by side


@dataclass(frozen=True)
class Moment:
    """One frame and what was found in it.

    Args:
        frame: grey values 0 to 255, (rows, columns).
        labels: class of each pixel, (rows, columns).
        title: one line above the image, such as "still" or "frame 12".
        axes: that were measured in it.
    """

    frame: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    title: str = ""
    axes: Sequence[Axis] = ()


@dataclass(frozen=True)
class Display:
    """What all moments of a recording share.

    Args:
        names: of the classes, as they are shown, background first.
        seen: where the image may be shown, (rows, columns); everything else stays black, including burnt-in names.
        spacing: mm per pixel, (row, column), for proportions and a scale bar; None shows square pixels and no bar.
        caption: lines below the images, such as measurements.

    Raises:
        ValueError: if `seen` marks no pixel.
    """

    names: Sequence[str]
    seen: NDArray[np.bool_]
    spacing: tuple[float, float] | None
    caption: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.seen.any():
            raise ValueError("expected a non-empty mask as seen, got no pixel; mark the ultrasound sector.")


def overlay_png(moments: Sequence[Moment], display: Display, out: Path) -> Path:
    """Write moments side by side; return the path, `out` with `_overlay.png`.

    Raises:
        ValueError: if there are no moments, or one differs in shape from `display.seen`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> moment = Moment(np.zeros((112, 112), np.uint8), np.zeros((112, 112), np.uint8), "frame 3")
        >>> display = Display(["background"], np.ones((112, 112), bool), None)
        >>> with TemporaryDirectory() as folder:
        ...     overlay_png([moment, moment], display, Path(folder) / "a").name
        'a_overlay.png'
    """
    path = out.with_name(f"{out.name}_overlay.png")
    canvas = Canvas(display.seen, display.spacing)
    row = _row(moments, display, canvas)
    picture = np.concatenate([row, _below(display, canvas, row.shape[1])])
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, compress_level=3)  # as small as 6, in half the time
    return path


def overlay_mp4(moments: Iterable[Moment], display: Display, frame_rate: float | None, out: Path) -> Path:
    """Write a clip of classes that browsers play, at 25 frames per second if the rate is None; return the path.

    Raises:
        ValueError: if there are no moments, one differs in shape from `display.seen`, or the rate is not positive.
    """
    rate = Fraction(FRAME_RATE if frame_rate is None else frame_rate).limit_denominator(1000)
    if rate <= 0:
        raise ValueError(
            f"expected a positive frame_rate, frames per second, got {frame_rate}; None plays {FRAME_RATE}."
        )
    path = out.with_name(f"{out.name}_overlay.mp4")
    canvas = Canvas(display.seen, display.spacing, FILM_LEAST)
    width = canvas.size[1]
    above, below = caption_band([""], width), _below(display, canvas, width)
    frames = ((moment.frame, moment.labels) for moment in _checked(moments, display))
    with whole_file(path) as partial:
        write_film(frames, canvas, above, below, rate, partial)
    return path


def _row(moments: Sequence[Moment], display: Display, canvas: Canvas) -> NDArray[np.uint8]:
    """Draw moments side by side, each under its title, (height, width, 3)."""
    parts: list[NDArray[np.uint8]] = []
    for moment in _checked(moments, display):
        image = draw_anatomy(canvas, moment.frame, moment.labels, moment.axes)
        column = np.concatenate([caption_band([moment.title], image.shape[1]), image])
        parts += [np.zeros((len(column), GAP, 3), np.uint8), column]
    return np.concatenate(parts[1:], axis=1)


def _checked(moments: Iterable[Moment], display: Display) -> Iterator[Moment]:
    moment = None
    for moment in moments:
        if not moment.frame.shape == moment.labels.shape == display.seen.shape:
            raise ValueError(
                f"expected frame, labels and seen of one shape (rows, columns), got {moment.frame.shape}, "
                f"{moment.labels.shape} and {display.seen.shape}."
            )
        yield moment
    if moment is None:
        raise ValueError("expected at least one moment to show, got none.")


def _below(display: Display, canvas: Canvas, width: int) -> NDArray[np.uint8]:
    """Draw the band below the moments, (height, width, 3)."""
    mm = None
    if display.spacing:
        mm = display.spacing[1] * display.seen[canvas.box].shape[1] / canvas.size[1]
    return np.concatenate([legend_band(display.names, width, mm), caption_band(display.caption, width)])
