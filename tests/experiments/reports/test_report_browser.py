"""The page in a real browser: everything loads, and nothing is wider than the window."""

from pathlib import Path

import pytest

from common.experiments.reports.report import report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
BUNDLE = Path(__file__).parents[3] / "bundles" / "echo_inter_domain"


@pytest.mark.slow
@pytest.mark.robust
@pytest.mark.skipif(not CHROMIUM.is_file(), reason="needs /usr/bin/chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_loads_without_errors_and_fits_the_window(width: int, inter_domain_store: str, tmp_path: Path):
    path = report(BUNDLE, "demo", inter_domain_store, tmp_path)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(request.url))
        page.goto(path.as_uri())
        loaded = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
        page_width = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert len(loaded) == 5
    assert all(loaded)
    assert page_width <= width
    assert errors == []
