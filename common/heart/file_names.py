"""What the name of a file tells: view, phase, and which files belong together."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..datasets.views import PHASES, VIEW_WORDS

__all__ = ["recognise"]

SUFFIX = re.compile(r"\.(nii\.gz|[a-z0-9]{2,5})$", re.IGNORECASE)


def recognise(path: PurePath) -> tuple[str, str, str]:
    """Return study, view and phase that the parts of a file's name tell, as in `patient0001_4CH_ED.nii.gz`.

    Views are 2CH, A2C, AP2 and 4CH, A4C, AP4; phases ED and ES; upper or lower case, between `_`, `-`, `.` or spaces.

    Args:
        path: of the file; its folder is part of the study.

    Returns:
        The study: folder and name without view and phase; the view, "2CH" or "4CH", and the phase, "ED" or "ES", ""
        where the name does not tell.

    Example:
        >>> recognise(PurePath("a/patient0001_4CH_ED.nii.gz")), recognise(PurePath("a/clip.dcm"))
        (('a/patient0001', '4CH', 'ED'), ('a/clip', '', ''))
    """
    words = re.split(r"([_\-. ]+)", SUFFIX.sub("", path.name))
    found = {"view": "", "phase": ""}
    kept = []
    for word in words:
        told = word.upper()
        if told in VIEW_WORDS:
            found["view"] = VIEW_WORDS[told]
        elif told in PHASES:
            found["phase"] = told
        else:
            kept.append(word)
    study = re.sub(r"([_\-. ])[_\-. ]+", r"\1", "".join(kept)).strip("_-. ")
    return str(path.parent / study) if study else str(path.parent), found["view"], found["phase"]
