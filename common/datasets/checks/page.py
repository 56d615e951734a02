"""Show the report of a check: tables for the terminal, and an HTML page with thumbnails.

The page is a single file without scripts. It shows images of the datasets, under their licences, and says so.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image, ImageColor
from rich.markup import escape as literal
from rich.table import Table
from scipy.ndimage import binary_erosion

from ...atomic import whole_file
from ...palette import COLOURS
from ..prepared.layout import read_pixels
from .check import Coverage, Report
from .finding import KINDS, CheckedImage, Finding, printable, structures
from .three_planes import three_planes
from .volume_facts import VolumeFacts

__all__ = ["terminal_tables", "write_page"]

TERMINAL_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
EXAMPLES = 3  # of a kind in the terminal, and thumbnails of a finding on the page
MOST = 60  # findings and thumbnails of a kind on the page
SIDE = 160  # rows and columns of a thumbnail
GREYS = 64  # levels of a thumbnail; 256 would double the size of the page
PALETTE = [level * 255 // (GREYS - 1) for level in range(GREYS) for _ in range(3)]
PALETTE += [part for name in COLOURS for part in ImageColor.getrgb(name)]


def terminal_tables(report: Report) -> list[Table]:
    """Return a table of the coverage and, if there are findings, a table of them by kind, to print with rich.

    Example:
        >>> tables = terminal_tables(Report({}, [Coverage("clinic", "test", 1, 2, {"lv_cavity": 2})], []))
        >>> [str(column.header) for column in tables[0].columns]
        ['dataset', 'fold', 'patients', 'images', 'lv_cavity']
    """
    coverage = Table(title="annotated images", caption=None if report.findings else _summary(report))
    for index, header in enumerate(_header(report)):
        coverage.add_column(literal(header), justify="left" if index < 2 else "right")
    for row in report.coverage:
        coverage.add_row(*map(literal, _cells(row, report.classes)))
    if not report.findings:
        return [coverage]
    findings = Table(title=_summary(report), show_lines=True)
    for header in ("severity", "kind", "count", "examples"):
        findings.add_column(header, justify="right" if header == "count" else "left")
    for kind, found in report.by_kind.items():
        severity, remedy = KINDS[kind]
        texts = [literal(printable(finding.text)) for finding in found[:EXAMPLES]]
        texts += [f"and {len(found) - EXAMPLES} more"] * (len(found) > EXAMPLES)
        style = TERMINAL_STYLES[severity]
        findings.add_row(f"[{style}]{severity}[/]", kind, str(len(found)), "\n".join([*texts, f"[dim]-> {remedy}[/]"]))
    return [coverage, findings]


def write_page(report: Report, path: Path) -> None:
    """Write the report as one HTML file; an earlier page is kept until the new one is complete."""
    colours = _colours(report)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_finalize)
    pieces = environment.get_template("page.html").generate(  # in pieces: the page is never whole in memory
        summary=_summary(report),
        licences=report.licences,
        header=_header(report),
        coverage=[_cells(row, report.classes) for row in report.coverage],
        legend={name: COLOURS[index] for name, index in colours.items()},
        kinds=[(KINDS[kind][0], kind, len(found), KINDS[kind][1]) for kind, found in report.by_kind.items()],
        gallery=lambda kind: _gallery(report.by_kind[kind], colours),
        most=MOST,
        side=SIDE,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(pieces)


def _finalize(value: Any) -> Any:
    return printable(value) if type(value) is str else value  # markup is another type


def _summary(report: Report) -> str:
    counts = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in report.counts.items())
    return f"{report.images} images: {counts}"


def _header(report: Report) -> list[str]:
    return ["dataset", "fold", "patients", "images", *map(printable, report.classes)]


def _cells(row: Coverage, classes: list[str]) -> list[str]:
    counts = [row.annotating.get(name, 0) for name in classes]
    annotated = [f"{count} ({100 * count / row.images:.0f} %)" if count else "-" for count in counts]
    return [printable(row.dataset), row.fold, str(row.patients), str(row.images), *annotated]


def _gallery(found: Sequence[Finding], colours: Mapping[str, int]) -> Iterator[tuple[str, list[tuple[str, str, int]]]]:
    """Yield the text of each finding, and names, PNGs and widths of its images."""
    left = MOST
    for finding in found[:MOST]:
        shown = [image for image in finding.images if image.facts][: min(left, EXAMPLES)]
        left -= len(shown)
        pictures = [(image.name, *_picture(image, colours, finding.structure)) for image in shown]
        yield finding.text, [(name, picture, width) for name, picture, width in pictures if picture]


def _colours(report: Report) -> dict[str, int]:
    """Assign each structure a colour, the same in all datasets."""
    names = [name for finding in report.findings for image in finding.images for name in structures(image.label_sets)]
    ordered = dict.fromkeys([*report.classes, *names])
    return {name: index % len(COLOURS) for index, name in enumerate(ordered)}


def _pixels(image: CheckedImage, structure: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return grey values and annotation values of a thumbnail, (SIDE, its width)."""
    if isinstance(image.facts, VolumeFacts):
        own = structures(image.label_sets)
        return three_planes(
            image.item, own.get(structure) or [value for values in own.values() for value in values], SIDE
        )
    grey, label = (Image.fromarray(read_pixels(image.item[key])) for key in ("image", "label"))
    resized = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.array(resized), np.asarray(label.resize((SIDE, SIDE), Image.Resampling.NEAREST))


def _picture(image: CheckedImage, colours: Mapping[str, int], structure: str) -> tuple[str, int]:
    """Return a thumbnail with contours, PNG as base64, and its width; empty if the files cannot be read any more."""
    try:
        grey, values = _pixels(image, structure)
    except (ValueError, OSError):
        return "", 0
    pixels = grey // (256 // GREYS)
    drawn = np.zeros(values.shape, np.bool_)
    values_of = structures(image.label_sets)
    for name, index in colours.items():
        mask = np.isin(values, values_of.get(name, []))
        drawn |= mask  # the border with an earlier structure is drawn already
        pixels[mask & ~binary_erosion(drawn, border_value=1)] = GREYS + index
    thumbnail = Image.fromarray(pixels)
    thumbnail.putpalette(PALETTE)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode(), pixels.shape[1]
