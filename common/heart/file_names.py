"""Parse view, phase and study from file names."""

from __future__ import annotations

import re
from pathlib import PurePath

from ..datasets.views import PHASE_WORDS, VIEW_WORDS
from ..inference.files.plan import SUFFIX

__all__ = ["recognise"]


def recognise(path: PurePath) -> tuple[str, str, str]:
    """Parse study, view and phase from a file name such as `patient0001_4CH_ED.nii.gz`.

    Views are 2CH, A2C, AP2 and 4CH, A4C, AP4; phases ED and ES; upper or lower case, between `_`, `-`, `.` or spaces.

    Args:
        path: of the file; its folder is part of the study.

    Returns:
        The study (folder and name without view and phase), the view ("2CH" or "4CH") and the phase ("ED" or "ES"); ""
        for what the name does not contain.

    Example:
        >>> recognise(PurePath("a/patient0001_4CH_ED.nii.gz")), recognise(PurePath("a/clip.dcm"))
        (('a/patient0001', '4CH', 'ED'), ('a/clip', '', ''))
    """
    words = re.split(r"([_\-. ]+)", SUFFIX.sub("", path.name))
    view = phase = study = ""
    for word in words:
        if word.upper() in VIEW_WORDS:
            view = VIEW_WORDS[word.upper()]
        elif word.upper() in PHASE_WORDS:
            phase = PHASE_WORDS[word.upper()]
        else:
            study += word
    study = re.sub(r"([_\-. ])[_\-. ]+", r"\1", study).strip("_-. ")
    return str(path.parent / study), view, phase
