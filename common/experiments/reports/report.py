"""The report of a bundle, from MLflow alone."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from ...atomic import write_text
from ...command import command
from ...datasets.phantom.study import DOMAINS
from ..grid import check_scale
from .claims.contrasts import judge_claims
from .claims.wording import claims_shown
from .figures.draw import Drawn, draw
from .figures.style import STYLE, NothingToDraw, save_figure, words
from .names import check_names
from .page import Section, render
from .results import Results, read_results, run_command
from .settings import FigureSettings, ReportSettings, read_settings

__all__ = ["report"]

SCREEN = 130  # pixels of the page per inch of print
MADE = "experiments report"  # in the page, as the command that made it
MOST = 24  # numbers in the text that stands for a picture


def report(bundle: Path, scale: str, uri: str, out: Path | None = None) -> Path:
    """Write the report of a bundle's newest grid: `index.html`, figures as PNG and numbers as CSV.

    Args:
        bundle: folder with configs/train.yaml and configs/report.yaml.
        scale: of the grid.
        uri: of MLflow.
        out: folder to write; None takes `report-<scale>` beside the runs. Other files in it stay.

    Returns:
        The page, `index.html`.

    Raises:
        NoResults: if the grid is missing, or none of its runs is complete.
        ValueError: if a setting of the report is wrong, or names what neither bundle nor results have.
        FileExistsError: if a file of somebody else would be overwritten.
    """
    settings = read_settings(bundle)
    check_scale([bundle], scale)
    results = read_results(uri, settings.experiment, scale, bundle)
    check_names(settings, bundle, results)
    folder = out or settings.runs_dir / f"report-{scale}"
    _check_own(folder, settings.figures)
    folder.mkdir(parents=True, exist_ok=True)
    made_by = command(f"experiments report {bundle} --scale {scale}")
    sections = [_section(wanted, results, settings, folder) for wanted in settings.figures]
    groups = []
    if settings.claims:
        table = judge_claims(results, settings)
        write_text(folder / "claims.csv", table.to_csv(index=False))
        groups.append(claims_shown(table, settings, results, "claims.csv", run_command(bundle, scale)))
    write_text(folder / "runs.csv", results.runs.to_csv(index=False))
    facts = [
        ("experiment", results.experiment),
        ("scale", scale),
        ("runs", f"{len(results.runs)} of {results.planned or 'an unknown number'}, finished and evaluated (runs.csv)"),
        ("data", f"{results.data}, checksum {results.checksum}"),
        ("trained", f"grid started {results.started}"),
        ("results by", f"{run_command(bundle, scale)} {results.given}".strip()),
        ("page by", made_by),
    ]
    page = folder / "index.html"
    write_text(page, render(settings.title, facts, results.warnings, groups, sections, made_by))
    return page


def _check_own(folder: Path, figures: Sequence[FigureSettings]) -> None:
    """Refuse a folder where files of somebody else would be overwritten."""
    page = folder / "index.html"
    if page.is_file() and MADE in page.read_text(encoding="utf-8", errors="replace"):
        return
    names = [page.name, "runs.csv", "claims.csv", *(f"{one.name}.{kind}" for one in figures for kind in ("csv", "png"))]
    if theirs := [name for name in names if (folder / name).exists()]:
        raise FileExistsError(
            f"{folder / theirs[0]} is not of a report and would be overwritten; choose another --out."
        )


def _section(wanted: FigureSettings, results: Results, settings: ReportSettings, folder: Path) -> Section:
    try:
        with rc_context(STYLE):
            drawn = draw(wanted, results, settings)
            write_text(folder / f"{wanted.name}.csv", drawn.numbers.to_csv(index=False))
            if not isinstance(drawn.shown, Figure):
                return Section(wanted, _counts(wanted, drawn, results), tables=drawn.shown)
            picture = folder / f"{wanted.name}.png"
            save_figure(drawn.shown, picture)
    except NothingToDraw as error:
        return Section(wanted, missing=str(error))
    width, height = (round(inches * SCREEN) for inches in drawn.shown.get_size_inches())
    image = base64.b64encode(picture.read_bytes()).decode()
    return Section(wanted, _counts(wanted, drawn, results), _alt(wanted, drawn), image, (width, height))


def _counts(wanted: FigureSettings, drawn: Drawn, results: Results) -> str:
    datasets = ", ".join(f"{name} (phantom)" if name in DOMAINS else name for name in drawn.datasets)
    patients = f"{results.fold.capitalize()} fold of {datasets}: {drawn.patients} patients; "
    counts = [f"{count} {word}{'s' * (count != 1)}" for count, word in ((drawn.runs, "run"), (drawn.seeds, "seed"))]
    return f"{patients * (wanted.kind != 'times')}{', '.join(counts)}; {results.origin}."


def _alt(wanted: FigureSettings, drawn: Drawn) -> str:
    """Describe a picture by the median of each of its groups, up to `MOST` of them."""
    numbers = drawn.numbers
    value = next((name for name in ("median", "seconds") if name in numbers), None)
    if value is None:
        return f"{wanted.title}: {', '.join(map(words, dict.fromkeys(numbers['method'])))}."
    heads = {"boxes": ["class", wanted.x], "curves": ["method", wanted.x]}.get(wanted.kind, ["method"])
    medians = numbers.groupby(heads, observed=True)[value].median()
    keys = [key if isinstance(key, tuple) else (key,) for key in medians.index]
    texts = [f"{', '.join(map(words, key))} {median:.3f}" for key, median in zip(keys, medians, strict=True)]
    rest = f"; and {len(texts) - MOST} more in the CSV file" if len(texts) > MOST else ""
    return f"{wanted.title}. Median {'seconds' if value == 'seconds' else 'Dice'}: {'; '.join(texts[:MOST])}{rest}."
