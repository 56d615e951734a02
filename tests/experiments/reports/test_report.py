"""The page of a report, parsed as HTML, and the files beside it."""

import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from common.atomic import write_text
from common.experiments.reports.page import ClaimShown, ClaimsShown, Section, render
from common.experiments.reports.report import _counts, report
from common.experiments.reports.results import NoResults
from common.experiments.reports.settings import Claim, FigureSettings, read_settings
from common.experiments.reports.tables import Table

BUNDLE = Path(__file__).parents[3] / "bundles" / "echo_inter_domain"
VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(inter_domain_store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    (out / "mine.txt").write_text("not of the report")
    assert report(BUNDLE, "demo", inter_domain_store, out) == out / "index.html"
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["index.html", "runs.csv", "losses.png"])
def test_files_of_others_are_not_overwritten(inter_domain_store: str, tmp_path: Path, name: str):
    (tmp_path / name).write_text("my thesis")
    with pytest.raises(FileExistsError, match=rf"{name} is not of a report and would be overwritten; choose another"):
        report(BUNDLE, "demo", inter_domain_store, tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["my thesis"]


@pytest.mark.slow
def test_the_page_needs_nothing_but_itself(page: Page):
    assert not page.all("script")
    assert not page.all("link")
    pictures = page.all("img")
    assert len(pictures) == 5
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)
    assert all(int(picture["width"]) > 100 and int(picture["height"]) > 100 for picture in pictures)
    policy = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert {one.get("name") for one in page.all("meta")} >= {"viewport"}


@pytest.mark.slow
def test_every_picture_has_a_text_with_its_numbers(page: Page):
    texts = [picture["alt"] for picture in page.all("img")]
    assert any(re.search(r"Median Dice: .*aCCE, 0\.4 0\.83\d", text) for text in texts)
    assert any(re.search(r"left atrium, CCE 0\.(10|09)\d", text) for text in texts)
    assert all(len(text) > 40 for text in texts)


@pytest.mark.slow
def test_every_link_leads_somewhere(page: Page, folder: Path):
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names)) > 10
    links = [link["href"] for link in page.all("a")]
    inner = [link[1:] for link in links if link.startswith("#")]
    assert {figure.name for figure in read_settings(BUNDLE).figures} <= set(inner) <= set(names)
    files = [link for link in links if not link.startswith("#")]
    assert len(files) > 5
    for name in files:
        assert (folder / name).is_file()


@pytest.mark.slow
def test_captions_name_data_and_commands(page: Page):
    for text in (
        "Test fold of unity_like (phantom): 12 patients",
        "1 seed; scale demo, data checksum 0123456789ab",
        f"python -m common.experiments report {BUNDLE} --scale demo",
        "15 of 17, finished and evaluated",
        "2 of 17 runs are missing.",
        "aBCE, unet, seed 2, label_dropout 1.0: FAILED",
        "are phantoms, drawn and not recorded",
        "The variability over seeds needs at least two seeds.",
    ):
        assert text in page.text, text


def test_a_caption_names_the_fold():
    drawn = SimpleNamespace(datasets=["clinic"], patients=5, runs=1, seeds=2)
    wanted = SimpleNamespace(kind="boxes")
    for fold in ("test", "validation"):
        text = _counts(wanted, drawn, SimpleNamespace(fold=fold, origin="scale demo"))  # type: ignore[arg-type]
        assert text == f"{fold.capitalize()} fold of clinic: 5 patients; 1 run, 2 seeds; scale demo."


@pytest.mark.slow
def test_figures_and_their_numbers_are_beside_the_page(folder: Path):
    drawn = {"losses", "label_dropout", "best_methods", "examples", "epoch_times"}
    assert {path.stem for path in folder.glob("*.png")} == drawn
    assert {path.stem for path in folder.glob("*.csv")} == {*drawn, "claims", "runs"}
    assert (folder / "mine.txt").read_text() == "not of the report"
    assert not list(folder.glob("*partial*"))
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with (folder / "label_dropout.csv").open(newline="") as file:
        rows = {(row["method"], row["label_dropout"]): row for row in csv.DictReader(file)}
    assert float(rows["aCCE", "0.4"]["median"]) == pytest.approx(0.835, abs=0.003)
    assert ("benchmark", "") in rows
    with (folder / "examples.csv").open(newline="") as file:
        used = {row["method"]: row["label_dropout"] for row in csv.DictReader(file)}
    assert used == {"benchmark": "", "CCE": "", "pseudo-labels": "", "aCCE": "0.4", "marginal": "0.0", "aBCE": "0.0"}


@pytest.mark.slow
def test_the_report_is_written_beside_the_runs_by_default(
    inter_domain_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert report(BUNDLE, "demo", inter_domain_store) == Path("runs/echo_inter_domain/report-demo/index.html")
    assert (tmp_path / "runs/echo_inter_domain/report-demo/index.html").is_file()


def test_an_unknown_scale_is_refused_with_the_names_of_all(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected a scale of \['smoke', 'demo', 'anatomy', 'paper'\], got 'nope'"):
        report(BUNDLE, "nope", f"sqlite:///{tmp_path}/none.db", tmp_path / "out")


def test_nothing_is_written_where_there_are_no_results(tmp_path: Path):
    with pytest.raises(NoResults, match=r"make them with: python -m .*experiments run .*bundles/echo_inter_domain"):
        report(BUNDLE, "paper", f"sqlite:///{tmp_path}/none.db", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_are_text_wherever_they_appear():
    evil = '<script>alert("&")</script>'
    table = Table(evil, [evil, evil], [[evil, evil]], headings=1)
    claim = ClaimShown(Claim("c", evil, evil, (), 0, evil), evil, "holds", evil, [(evil, [[evil, evil, "holds"]])])
    group = ClaimsShown("g", evil, evil, [claim], "claims.csv", evil)
    figures = [FigureSettings("boxes", name, evil, evil) for name in "ab"]
    picture = Section(figures[0], evil, evil, image="AAAA", size=(1, 1), tables=[table])
    missing = Section(figures[1], missing=evil)
    page = Page(render(evil, [(evil, evil)], [(evil, [evil])], [group], [picture, missing], evil))
    assert not page.all("script")
    assert page.all("img")[0]["alt"] == evil
    assert page.text.count(evil) > 20


def test_an_interrupted_page_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "index.html"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new \udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
