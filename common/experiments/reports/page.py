"""The page of a report: one HTML file that needs nothing else, without scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .claims import statistics, verdicts
from .tables import Table

__all__ = ["ClaimShown", "ClaimsShown", "Section", "render"]


@dataclass(frozen=True)
class Section:
    """A figure or tables on the page.

    Args:
        name: anchor, and stem of its files.
        title: above it.
        caption: what is shown.
        counts: patients, seeds, scale and data.
        alt: what the picture shows, in words.
        image: PNG as base64; empty for tables.
        size: width and height on the page, pixels.
        tables: to print.
        missing: why there is nothing to see; empty if there is.
    """

    name: str
    title: str
    caption: str
    counts: str = ""
    alt: str = ""
    image: str = ""
    size: tuple[int, int] = (0, 0)
    tables: Sequence[Table] = ()
    missing: str = ""


@dataclass(frozen=True)
class ClaimShown:
    """A claim, its verdict and its contrasts.

    Args:
        name: anchor.
        text: the claim.
        source: where it is made.
        margin: that matters, with its unit.
        verdict: on the claim.
        caption: of the table of contrasts.
        header: of its columns; the first is the network, the last the verdict.
        contrasts: what is compared and claimed, and a row a network.
    """

    name: str
    text: str
    source: str
    margin: str
    verdict: str
    caption: str
    header: Sequence[str]
    contrasts: Sequence[tuple[str, Sequence[Sequence[str]]]]


@dataclass(frozen=True)
class ClaimsShown:
    """The claims of one experiment.

    Args:
        anchor: on the page.
        title: above them.
        note: what the numbers are.
        claims: of the experiment.
        csv: file with the numbers, beside the page.
        command: that makes the results, if there are none.
    """

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
    """Return the page; everything in it is escaped.

    Args:
        title: of the page.
        facts: name and value, at its head.
        warnings: sentence and, perhaps, items below it.
        groups: claims.
        sections: figures and tables.
        command: that makes the page.

    Example:
        >>> "<h1>1 &lt; 2</h1>" in render("1 < 2", [], [], [], [], "")
        True
    """
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    rules = [*_blocks(verdicts), *_blocks(statistics)] if groups else []
    template = environment.get_template("page.html")
    return template.render(
        title=title, facts=facts, warnings=warnings, groups=groups, sections=sections, command=command, rules=rules
    )


def _blocks(module: object) -> list[str | list[str]]:
    """Split a module's docstring into paragraphs and lists, without its first line."""
    blocks: list[str | list[str]] = []
    for block in (module.__doc__ or "").strip().split("\n\n")[1:]:
        if block.startswith("- "):
            blocks.append([" ".join(item.split()) for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:]])
        else:
            blocks.append(" ".join(block.split()))
    return blocks
