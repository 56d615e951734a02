"""What a reader must know before any number: missing runs, and that phantoms are not patients."""

from __future__ import annotations

from collections.abc import Sequence

from ...datasets.phantom.study import DOMAINS
from .grid_results import Results

__all__ = ["dataset_words", "report_warnings"]


def report_warnings(results: Results) -> list[tuple[str, Sequence[str]]]:
    """Return sentences, each with items below it, that go before the results."""
    warnings: list[tuple[str, Sequence[str]]] = []
    if results.gaps:
        warnings.append((f"The grid of {results.experiment} is incomplete; what is below may change.", results.gaps))
    phantoms = [name for name in dict.fromkeys(results.images["dataset"]) if name in DOMAINS]
    if phantoms:
        named = ", ".join(phantoms)
        text = (
            f"{results.experiment}: {named} are phantoms, drawn and not recorded; their scores say nothing of patients."
        )
        warnings.append((text, []))
    return warnings


def dataset_words(name: str) -> str:
    """Return the name of a dataset; a phantom is always called one.

    Example:
        >>> dataset_words("unity_like"), dataset_words("unity")
        ('unity_like (phantom)', 'unity')
    """
    return f"{name} (phantom)" if name in DOMAINS else name
