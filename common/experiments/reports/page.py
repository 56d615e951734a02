"""The page of a report: one self-contained HTML file without scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .claims import statistics, verdicts
from .settings import Claim, FigureSettings
from .tables import Table

__all__ = ["ClaimShown", "ClaimsShown", "Section", "render"]


@dataclass(frozen=True)
class Section:
    """A figure or tables on the page.

    Args:
        figure: its settings.
        counts: patients, seeds, scale and data.
        alt: text that stands for the picture.
        image: PNG as base64; empty for tables.
        size: width and height on the page, pixels.
        tables: to print.
        missing: reason why nothing is shown; empty otherwise.
    """

    figure: FigureSettings
    counts: str = ""
    alt: str = ""
    image: str = ""
    size: tuple[int, int] = (0, 0)
    tables: Sequence[Table] = ()
    missing: str = ""


@dataclass(frozen=True)
class ClaimShown:
    """A claim with its margin and unit, its verdict, and the caption and contents of its table of contrasts.

    Each contrast has its description, and a row per network: network, n, seeds, effect, range over seeds, p, reason,
    verdict.
    """

    claim: Claim
    margin: str
    verdict: str
    caption: str
    contrasts: Sequence[tuple[str, Sequence[Sequence[str]]]]


@dataclass(frozen=True)
class ClaimsShown:
    """The claims of one experiment, the CSV file with their numbers, and the command that makes missing results."""

    anchor: str
    title: str
    note: str
    claims: Sequence[ClaimShown]
    csv: str
    command: str = ""


def render(
    title: str,
    facts: Sequence[tuple[str, str]],
    warnings: Sequence[tuple[str, Sequence[str]]],
    groups: Sequence[ClaimsShown],
    sections: Sequence[Section],
    command: str,
) -> str:
    """Return the page, with all texts escaped: facts, warnings (each with items), claims, figures and tables.

    Example:
        >>> "<h1>1 &lt; 2</h1>" in render("1 < 2", [], [], [], [], "")
        True
    """
    loader = FileSystemLoader(Path(__file__).parent)
    template = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("page.html")
    rules = [*_blocks(verdicts), *_blocks(statistics)] if groups else []
    return template.render(
        title=title, facts=facts, warnings=warnings, groups=groups, sections=sections, command=command, rules=rules
    )


def _blocks(module: object) -> list[str | list[str]]:
    """Split the docstring of a module into paragraphs and lists, without its first line."""
    blocks: list[str | list[str]] = []
    for block in (module.__doc__ or "").strip().split("\n\n")[1:]:
        items = [" ".join(item.split()) for item in re.split(r"^- ", block, flags=re.MULTILINE)]
        blocks.append(items[1:] if block.startswith("- ") else items[0])
    return blocks
