"""The page: whole in itself, honest about what is missing, and alive in a browser."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffclip.study import tables as names
from diffclip.study.figures import KINDS
from report.__main__ import main
from report.frame import read_runs
from report.page.images import Images
from report.page.items import FIGURES, TABLES, caption
from report.page.warnings import warnings
from report.study import read_study
from report.tables import KINDS as TABLE_KINDS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
RELATIVE = re.compile(r"^(?!data:|#)")


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def attributes(self, name: str, tag: str | None = None) -> list[str]:
        return [found[name] or "" for what, found in self.found if name in found and tag in (None, what)]


@pytest.fixture(scope="module")
def page(study_folder: Path) -> Path:
    """The page of the default fake study."""
    for command in ("tables", "figures", "page"):
        assert main([command, "--study", str(study_folder)]) == 0
    return study_folder / "index.html"


@pytest.fixture(scope="module")
def elements(page: Path) -> Elements:
    return Elements(page.read_text())


def test_the_page_loads_nothing_from_outside(elements: Elements) -> None:
    assert all(source.startswith("data:") for source in elements.attributes("src"))
    assert [tag for tag, found in elements.found if tag == "link" and not str(found["href"]).startswith("data:")] == []
    assert not any("import" in found for tag, found in elements.found if tag == "style")


def test_every_link_leads_somewhere(elements: Elements, page: Path) -> None:
    names = elements.attributes("id")
    assert not {name: count for name, count in Counter(names).items() if count > 1}
    links = elements.attributes("href", "a")
    assert not {link for link in links if link.startswith("#")} - {f"#{name}" for name in names}
    files = [link for link in links if RELATIVE.match(link)]
    assert len(files) > 20
    assert [link for link in files if not (page.parent / link).is_file()] == []


def test_every_figure_of_the_study_is_there_and_described(elements: Elements, page: Path) -> None:
    assert len(elements.attributes("src", "img")) == len(list((page.parent / "figures").glob("*.png")))
    described = elements.attributes("alt", "img")
    assert all("Toy scene (SIMULATED)" in alt or "All scenes" in alt for alt in described)
    assert all(alt.endswith(".") for alt in described)


def test_every_run_is_there_with_its_record(page: Path) -> None:
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())[1]
    data = json.loads(text)
    assert len(data["rows"]) == len((page.parent / "runs.csv").read_text().splitlines()) - 1
    paths = [row[data["columns"].index("path")] for row in data["rows"]]
    assert all((page.parent / path).is_file() for path in paths)


def test_the_page_warns_of_all_that_weakens_it(page: Path) -> None:
    text = page.read_text()
    warned = text[text.index('id="warnings"') : text.index("</section>")]
    for said in (
        "Simulated scene",
        "SVM 1 of 6",
        "RuntimeError: out of luck",
        "stand-ins",
        "DiffCLIP (tuned): random",
        "3 per cell",
    ):
        assert said in warned, said


def test_what_stands_in_a_sweep_alone_is_warned_of_too(fake: Callable[..., Any]) -> None:
    folder = fake(failing=(("diffclip", 2, 0),)).write()
    path = folder / "study.json"
    study = json.loads(path.read_text())
    del study["methods"]["diffclip"]
    path.write_text(json.dumps(study))
    for record in (folder / "records/toy/paper/diffclip/tuned/shots-2_window-9_mask-0.3").glob("*.json"):
        record.write_text(record.read_text().replace('"sources_sha256": "s"', '"sources_sha256": "older"'))
    assert main(["runs", "--study", str(folder)]) == 0
    asked = read_study(folder)
    said = {notice.short: " ".join(notice.details) for notice in warnings(asked, read_runs(asked), [])}
    for part in ("different versions of its code", "Failed runs", "Runs are missing", "CLIP weights are random"):
        (details,) = (text for short, text in said.items() if part in short)
        assert "DiffCLIP (tuned)" in details, part
    (reasons,) = (text for short, text in said.items() if "Failed runs" in short)
    assert "2 shots window 9 mask ratio 0.3 seed 0" in reasons


def test_provenance_counts_versions_commits_devices_and_data(page: Path) -> None:
    text = page.read_text()
    said = text[text.index('id="provenance"') :]
    for value in ("0123456789abcdef0123456789abcdef01234567", "Toy CPU", "SHA-256", f"numpy {np.__version__}"):
        assert value in said, value


def test_a_page_can_be_made_before_anything_else_is(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), sweeps={}).write()
    shutil.rmtree(folder / "records")
    for command in ("runs", "page"):
        assert main([command, "--study", str(folder)]) == 0
    text = (folder / "index.html").read_text()
    assert "toy_paper_main.html" in text
    assert "No run has been recorded yet" in text


def test_what_a_record_says_cannot_break_out_of_the_page(fake: Callable[..., Any]) -> None:
    folder = fake(protocols=("paper",), shots=(2,), seeds=(0, 1), sweeps={}, title="</script><b id=evil>").write()
    for command in ("runs", "tables", "page"):
        assert main([command, "--study", str(folder)]) == 0
    assert "evil" not in Elements((folder / "index.html").read_text()).attributes("id")


def test_images_too_large_for_a_page_are_made_smaller(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1400, 3), np.uint8)).save(path)
    images = Images([path] * 40)
    picture = images.picture(path)
    assert images.reduced == 1
    assert 700 <= picture.width < 1400
    assert picture.width / picture.height == pytest.approx(1400 / 900, rel=0.01)
    assert len(picture.address) < 1.4 * max(images.most, 500_000)


def test_every_kind_of_table_and_figure_has_a_caption() -> None:
    tables = (*TABLE_KINDS, names.SWEEP, names.DATA_SETS, names.SCORECARD, names.RANKS)
    for kind, folder in [*((kind, TABLES) for kind in tables), *((kind, FIGURES) for kind in KINDS)]:
        title, text = caption(kind, folder)
        assert 0 < len(title) < 40, kind
        assert text.endswith("."), kind


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that keeps its console."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed: the page is not tried in a browser")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def column(browser: Any, place: int) -> list[str]:
    script = (
        "return [...document.querySelector('#table_toy_paper_main table').tBodies[0].rows].filter(row => !row.hidden)"
        ".map(row => row.cells[arguments[0]].textContent)"
    )
    return browser.execute_script(script, place)


def test_in_a_browser_the_page_sorts_filters_and_shows_the_runs_behind_a_number(page: Path, browser: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    browser.set_window_size(1300, 900)
    browser.get(page.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    table = browser.find_element("css selector", "#table_toy_paper_main table")

    header = table.find_elements("css selector", "thead tr:last-child th")[0]
    for order in ("descending", "ascending"):
        header.find_element("tag name", "button").click()
        assert header.get_attribute("aria-sort") == order
        values = [float(text.split()[0]) for text in column(browser, 1)]
        assert len(values) == 2
        assert values == sorted(values, reverse=order == "descending")

    cells = table.find_elements("css selector", "tbody td[tabindex]")
    assert [cell.get_attribute("tabindex") for cell in cells].count("0") == 1
    cells[0].send_keys(Keys.ARROW_RIGHT)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    panel = browser.find_element("id", "panel")
    assert panel.get_attribute("open") is not None
    assert "3 of 3 recorded runs went well" in panel.text
    records = [link.get_attribute("href") for link in panel.find_elements("link text", "record")]
    assert [Path(record.removeprefix("file://")).is_file() for record in records] == [True] * 3
    panel.find_element("css selector", "button").click()
    assert panel.get_attribute("open") is None

    runs = browser.find_element("id", "all-runs")
    choice = next(found for found in runs.find_elements("tag name", "label") if found.text.startswith("Status"))
    choice.find_element("css selector", "option[value=failed]").click()
    assert "1 runs, 1 shown" in runs.text
    assert "failed: RuntimeError: out of luck" in runs.text
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_rows_are_filtered_by_their_names(page: Path, browser: Any) -> None:
    browser.get(page.as_uri())
    search = browser.find_element("css selector", "#table_toy_paper_per_class input[type=search]")
    search.send_keys("road")
    table = browser.find_element("css selector", "#table_toy_paper_per_class table")
    assert [row.text.split()[0] for row in table.find_elements("css selector", "tbody tr") if row.is_displayed()] == [
        "Road_1"
    ]


def test_on_a_phone_only_tables_scroll_sideways(page: Path, browser: Any) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.execute_script("return document.getElementById('contents').open") is False
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
