"""Report of the check: readable, self-contained, and safe against hostile names."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from rich.console import Console

from common.datasets.checks import page as check_page
from common.datasets.checks.check import Coverage, Report
from common.datasets.checks.finding import KINDS, CheckedImage, Finding, structures
from common.datasets.checks.image_facts import measure
from common.datasets.checks.page import terminal_tables, write_page
from common.palette import COLOURS

SIZE = 32  # pixels a side
FULL = [["background"], ["lv_cavity"], ["left_atrium"]]
SWAPPED = [["background"], ["left_atrium"], ["lv_cavity"]]
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Tags and text of a page, which must be well-formed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def thumbnails(self) -> list[np.ndarray]:
        data = [(attributes["src"] or "").removeprefix("data:image/png;base64,") for attributes in self.all("img")]
        return [np.array(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")) for one in data]


def image(folder: Path, name: str = "p1", dataset: str = "clinic", sets: list[list[str]] = FULL) -> CheckedImage:
    """A ventricle above an atrium on grey ground; both are 16 pixels wide."""
    folder.mkdir(exist_ok=True)
    grey, label = np.full((SIZE, SIZE), 100, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
    value = {names[0]: index for index, names in enumerate(sets)}
    label[4:16, 8:24], label[16:28, 8:24] = value["lv_cavity"], value["left_atrium"]
    item = {"dataset": dataset, "patient": name, "fold": "training"}
    for key, pixels in (("image", grey), ("label", label)):
        item[key] = str(folder / f"{name.replace('/', '')}_{key}.png")
        Image.fromarray(pixels).save(item[key])
    names = dict(enumerate(sets))
    return CheckedImage(folder, item, names, None, measure(grey, label, item, structures(names), None))


def report(*findings: Finding, folder: Path = Path("out"), licence: str = "CC BY-NC-SA 4.0") -> Report:
    counts = {"lv_cavity": 3, "left_atrium": 0}
    return Report({folder: licence}, [Coverage("clinic", "training", 2, 4, counts)], findings)


def printed(what: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*terminal_tables(what))
    return console.export_text()


def test_the_page_shows_the_report(tmp_path: Path):
    one = image(tmp_path / "out")
    write_page(report(Finding("blank image", "out/p1 has one grey value", [one])), tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert "4 images: 0 errors, 1 warning, 0 notes" in page.text
    assert "do not publish it" in page.text
    assert "out: CC BY-NC-SA 4.0" in page.text
    assert "3 (75 %)" in page.text
    assert "out/p1 has one grey value" in page.text
    assert f"Remedy: {KINDS['blank image'][1]}." in page.text
    assert [attributes["alt"] for attributes in page.all("img")] == ["out/p1_image with the contours of its annotation"]


def test_the_page_is_self_contained(tmp_path: Path):
    write_page(report(Finding("blank image", "one", [image(tmp_path)])), tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base"})
    assert all((attributes["src"] or "").startswith("data:image/png;base64,") for attributes in page.all("img"))
    assert "http:" not in page.rawdata + page.text
    assert any("default-src 'none'" in (attributes.get("content") or "") for attributes in page.all("meta"))


def test_a_hostile_name_is_escaped_on_the_page(tmp_path: Path):
    one = image(tmp_path / HOSTILE.replace("/", ""), HOSTILE, sets=[["background"], ["lv_cavity"], ["left_atrium"]])
    hostile = Report(
        {Path(HOSTILE): HOSTILE},
        [Coverage(HOSTILE, "training", 1, 1, {HOSTILE: 1})],
        [Finding("blank image", HOSTILE, [one]), Finding("fold missing", HOSTILE)],
    )
    write_page(hostile, tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert page.all("script") == []
    assert len(page.all("img")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(HOSTILE) == 7, "folder, licence, dataset, class, legend and two findings"


def test_a_hostile_name_is_escaped_in_the_terminal():
    text = printed(report(Finding("blank image", "\x1b[2J[red]p1[/red] [/nonsense]")))
    assert "\ufffd[2J[red]p1[/red] [/nonsense]" in text
    assert "\x1b" not in text


def test_a_thumbnail_shows_each_structure_in_the_colour_of_the_legend(tmp_path: Path):
    pair = [image(tmp_path / "a"), image(tmp_path / "b", "p2", "hospital", SWAPPED)]
    write_page(report(Finding("image twice in a fold", "two", pair)), tmp_path / "check.html")
    thumbnails = Page(tmp_path / "check.html").thumbnails()
    assert len(thumbnails) == 2
    np.testing.assert_array_equal(*thumbnails), "value 1 is the ventricle in one dataset, the atrium in the other"
    for colour, rows in ((COLOURS[0], slice(0, 80)), (COLOURS[1], slice(80, 160))):
        drawn = (thumbnails[0] == ImageColor.getrgb(colour)).all(axis=2)
        assert drawn[rows].any()
        assert drawn.sum() == drawn[rows].sum()
    ground = thumbnails[0][0, 0]
    assert ground[0] == ground[1] == ground[2]
    assert abs(int(ground[0]) - 100) <= 4


def test_many_findings_are_shortened_on_page_and_terminal(tmp_path: Path):
    one = image(tmp_path)
    many = report(*(Finding("blank image", f"image {n} is blank", [one, one]) for n in range(1000)))
    write_page(many, tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert len(page.all("img")) == 60
    assert len(page.all("figcaption")) == 60
    assert "and 940 more" in page.text
    text = printed(many)
    assert "1000" in text
    assert "image 2 is blank" in text
    assert "image 3 is blank" not in text
    assert "and 997 more" in text
    assert len(text.splitlines()) < 20


def test_a_missing_image_costs_only_its_thumbnail(tmp_path: Path):
    one = image(tmp_path)
    Path(one.item["label"]).unlink()
    write_page(report(Finding("unusable file", "label is missing", [one])), tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert page.all("img") == []
    assert "label is missing" in page.text


def test_an_interrupted_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "deep" / "check.html"
    finding = Finding("blank image", "one", [image(tmp_path)])
    write_page(report(finding), path)
    before = path.read_text()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_page, "_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_page(report(finding), path)
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["check.html"]


def test_without_findings_the_terminal_shows_only_the_coverage(tmp_path: Path):
    assert [table.title for table in terminal_tables(report())] == ["annotated images"]
    assert "4 images: 0 errors, 0 warnings, 0 notes" in printed(report())
    write_page(report(), tmp_path / "check.html")
    page = Page(tmp_path / "check.html")
    assert "0 errors, 0 warnings, 0 notes" in page.text
    assert page.all("h2") == []
