"""Words for apical views and phases of the cardiac cycle, as file names and tables write them."""

from __future__ import annotations

__all__ = ["PHASES", "PHASE_WORDS", "VIEWS", "VIEW_WORDS"]

VIEWS = ("2CH", "4CH")  # two-chamber and four-chamber
PHASES = ("ED", "ES")  # end-diastole and end-systole
VIEW_WORDS = {"2CH": "2CH", "A2C": "2CH", "AP2": "2CH", "4CH": "4CH", "A4C": "4CH", "AP4": "4CH"}  # word -> view
PHASE_WORDS = {"ED": "ED", "ES": "ES"}  # word -> phase
