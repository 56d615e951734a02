"""Errors of files that cannot be read: the reason and the remedy, without quoting the file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ...command import command

__all__ = ["MAX_BYTES", "Unreadable", "reading", "several_frames"]

MAX_BYTES = 2**30  # of a file; an uncompressed clip of 100 frames of 1024 x 768 in colour has 0.24 GB


class Unreadable(ValueError):
    """A reason that quotes no text of the file; `reading` puts the file's name before it."""


def several_frames(count: int) -> Unreadable:
    """Return the reason why a file of several frames, or slices, is not one image.

    Example:
        >>> print(several_frames(32))
        it has 32 frames; say which one. If these are slices of a volume, use 'python -m ...datasets volumes'.
    """
    remedy = command("datasets volumes")
    return Unreadable(f"it has {count} frames; say which one. If these are slices of a volume, use '{remedy}'.")


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Name the file and what it is read as (`kind`, such as "DICOM") in every error raised while it is read.

    Libraries quote what they fail on, which may be a patient's name. So their messages, warnings and logs are dropped
    with their tracebacks; only an `Unreadable` is passed on in full.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for anything that goes wrong, and if the file is larger than `MAX_BYTES`.

    Example:
        >>> with reading(Path(__file__), "DICOM"):
        ...     raise Unreadable("it is a module.")
        Traceback (most recent call last):
        ValueError: ...unreadable.py cannot be read as DICOM: it is a module.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or not a file.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {MAX_BYTES} are read. Export less of it.")
    logger = logging.getLogger("pydicom")
    level = logger.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            logger.setLevel(logging.CRITICAL + 1)
            yield
    except Unreadable as error:
        raise ValueError(f"{path} cannot be read as {kind}: {error}") from None
    except Exception as error:  # broken and hostile files make libraries raise nearly anything
        what = type(error).__name__
        raise ValueError(
            f"{path} cannot be read as {kind}: it is truncated, damaged or not {kind} ({what}). Export it again."
        ) from None
    finally:
        logger.setLevel(level)
