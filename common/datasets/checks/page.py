"""The report of the check, to read: tables for the terminal, and one HTML page with the images concerned.

The page is a single file without scripts or anything to load. It shows images of the datasets, so their licences hold
for it; it says so.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor
from rich.markup import escape as literal
from rich.table import Table
from scipy.ndimage import binary_erosion

from ...atomic import whole_file
from ...palette import COLOURS
from ..prepared.layout import read_pixels
from .check import Coverage, Report
from .finding import KINDS, SEVERITIES, CheckedImage, Finding, printable, structures

__all__ = ["terminal_tables", "write_page"]

# Okabe and Ito's palette, told apart by colour-blind readers; one colour a structure
TERMINAL_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
EXAMPLES = 3  # of a kind in the terminal
MOST = 60  # findings of a kind, and thumbnails, on the page
SIDE = 160  # pixels of a thumbnail
GREYS = 64  # levels of a thumbnail; 256 would double the size of the page
PALETTE = [level * 255 // (GREYS - 1) for level in range(GREYS) for _ in range(3)]
PALETTE += [part for colour in COLOURS for part in ImageColor.getrgb(colour)]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: bold }
th, td { border: 1px solid #bbb; padding: .2rem .6rem; text-align: left; vertical-align: top }
.licence { border: 2px solid #D55E00; padding: .5rem 1rem }
.gallery { display: flex; flex-wrap: wrap; gap: .8rem } li, figcaption { overflow-wrap: anywhere }
figure { margin: 0; break-inside: avoid; max-width: 21rem } figcaption { font-size: .8rem; max-width: 21rem }
h2, h3 { break-after: avoid } tr { break-inside: avoid } .error { color: #a00 } .warning { color: #7a5200 }
.swatch { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; print-color-adjust: exact }
"""


def terminal_tables(report: Report) -> list[Table]:
    """Return the coverage and, if there are any, the findings by kind, to print with rich.

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
        severity, cure = KINDS[kind]
        texts = [literal(printable(finding.text)) for finding in found[:EXAMPLES]]
        texts += [f"and {len(found) - EXAMPLES} more"] * (len(found) > EXAMPLES)
        style = TERMINAL_STYLES[severity]
        findings.add_row(f"[{style}]{severity}[/]", kind, str(len(found)), "\n".join([*texts, f"[dim]-> {cure}[/]"]))
    return [coverage, findings]


def write_page(report: Report, path: Path) -> None:
    """Write the report as one HTML file; what was there stays until the new page is complete.

    Args:
        report: of `check`; the images concerned are read again.
        path: of the page.

    Raises:
        OSError: if the page cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _page(report))


def _summary(report: Report) -> str:
    counts = ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in report.counts.items())
    return f"{report.images} images: {counts}"


def _header(report: Report) -> list[str]:
    return ["dataset", "fold", "patients", "images", *map(printable, report.classes)]


def _cells(row: Coverage, classes: list[str]) -> list[str]:
    told = [(row.annotating.get(name, 0), max(1, row.images)) for name in classes]
    shares = [f"{count} ({count / images:.0%})".replace("%", " %") if count else "-" for count, images in told]
    return [printable(row.dataset), row.fold, str(row.patients), str(row.images), *shares]


def _text(text: str) -> str:
    return escape(printable(text))


def _page(report: Report) -> Iterator[str]:
    """Yield the page in pieces, so that it is never whole in memory."""
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    # should a name ever get past the escaping, the browser runs and loads nothing
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>Check of prepared datasets</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    yield f"<h1>Check of prepared datasets</h1>\n<p>{_summary(report)}.</p>"
    yield '<div class="licence">'
    yield "<p>This page contains images of the datasets, under their licences: do not publish it.</p>\n<ul>"
    for folder, licence in report.licences.items():
        yield f"<li>{_text(str(folder))}: {_text(licence)}</li>"
    yield "</ul>\n</div>"
    yield from _table("Annotated images", _header(report), [_cells(row, report.classes) for row in report.coverage])
    colours = _colours(report)
    if colours:
        swatch = '<span class="swatch" style="background: {}"></span>{}'
        legend = "".join(swatch.format(COLOURS[index], _text(name)) for name, index in colours.items())
        yield f"<p>Contours:{legend}</p>"
    kinds = report.by_kind
    rows = [[KINDS[kind][0], kind, str(len(found)), KINDS[kind][1]] for kind, found in kinds.items()]
    yield from _table("Findings", ["severity", "kind", "count", "cure"], rows)
    for severity in SEVERITIES:
        own = {kind: found for kind, found in kinds.items() if KINDS[kind][0] == severity}
        if own:
            yield f'<h2 class="{severity}">{severity.capitalize()}s</h2>'
        for kind, found in own.items():
            yield from _section(kind, found, colours)
    yield "</body>\n</html>"


def _table(caption: str, header: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"<table>\n<caption>{caption}</caption>"
    titles = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    yield f"<thead><tr>{titles}</tr></thead>\n<tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "</tbody>\n</table>"


def _section(kind: str, found: list[Finding], colours: dict[str, int]) -> Iterator[str]:
    yield f"<section>\n<h3>{escape(kind)} ({len(found)})</h3>\n<p>Cure: {escape(KINDS[kind][1])}.</p>"
    yield '<div class="gallery">'
    left = MOST
    for finding in found[:MOST]:
        shown = [image for image in finding.images if image.facts][: min(left, EXAMPLES)]
        left -= len(shown)
        pictures = "".join(_picture(image, colours) for image in shown)
        yield f"<figure>{pictures}<figcaption>{_text(finding.text)}</figcaption></figure>"
    yield "</div>"
    if len(found) > MOST:
        yield f"<p>and {len(found) - MOST} more</p>"
    yield "</section>"


def _colours(report: Report) -> dict[str, int]:
    """Give each structure a colour that is the same for all datasets, whatever value annotates it there."""
    names = [name for finding in report.findings for image in finding.images for name in structures(image.label_sets)]
    ordered = dict.fromkeys([*report.classes, *names])
    return {name: index % len(COLOURS) for index, name in enumerate(ordered)}


def _picture(image: CheckedImage, colours: dict[str, int]) -> str:
    try:
        grey, label = (
            read_pixels(image.item[key], image.facts.size if image.facts else None) for key in ("image", "label")
        )
    except (ValueError, OSError):  # it was readable a moment ago
        return ""
    small = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small) // (256 // GREYS)
    values = np.asarray(Image.fromarray(label).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    drawn = np.zeros(values.shape, np.bool_)
    values_of = structures(image.label_sets)
    for name, colour in colours.items():
        mask = np.isin(values, values_of.get(name, []))
        drawn |= mask  # the border with an earlier structure has its line already
        pixels[mask & ~binary_erosion(drawn, border_value=1)] = GREYS + colour
    thumbnail = Image.fromarray(pixels)
    thumbnail.putpalette(PALETTE)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = _text(f"{image.name} with the contours of its annotation")
    return f'<img loading="lazy" width="{SIDE}" height="{SIDE}" alt="{alt}" src="data:image/png;base64,{data}">'
