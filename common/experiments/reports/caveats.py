"""What to know before reading any number: missing runs, and that phantoms are not patients."""

from __future__ import annotations

from collections.abc import Sequence

from ...datasets.phantom.study import DOMAINS
from .results import Results

__all__ = ["dataset_words", "report_warnings"]


def report_warnings(results: Results) -> list[tuple[str, Sequence[str]]]:
    """Return sentences to print before the results, each with items below it."""
    name, warnings = results.experiment, list[tuple[str, Sequence[str]]]()
    if results.gaps:
        warnings.append((f"The grid of {name} is incomplete; the results may still change.", results.gaps))
    if phantoms := [one for one in dict.fromkeys(results.images["dataset"]) if one in DOMAINS]:
        listed = ", ".join(phantoms)
        text = f"{name}: {listed} are phantoms, drawn and not recorded; their scores do not apply to patients."
        warnings.append((text, []))
    return warnings


def dataset_words(name: str) -> str:
    """Return the name of a dataset, with a note if it is a phantom.

    Example:
        >>> dataset_words("unity_like"), dataset_words("unity")
        ('unity_like (phantom)', 'unity')
    """
    return f"{name} (phantom)" if name in DOMAINS else name
