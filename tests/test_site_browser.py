"""The page of reports in headless Chromium, opened from its file. Skipped without Chromium."""

import json
import shutil

import pytest

from conformance.reporting.changes import compare
from conformance.reporting.site.page import page
from tests.sample_reports import HOSTILE, right, wrong
from tests.test_site import loaded

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no Chromium with its chromedriver on this machine", allow_module_level=True)
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, which drives Chromium, is not installed")

from selenium.webdriver.chrome.service import Service  # noqa: E402  only with a browser
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    reports = loaded(folder, wrong(), right())
    (folder / "index.html").write_text(page(reports, [compare(*reversed(reports))]), "utf-8")
    return (folder / "index.html").as_uri()


@pytest.fixture
def opened(chromium, address):
    """Open the page at desktop width in the light theme."""
    return at(chromium, address, DESKTOP, "light")


def at(chromium, address, size, scheme):
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    chromium.get("about:blank")
    for name in ("browser", "performance"):
        chromium.get_log(name)
    chromium.get(address)
    return chromium


def asked_for(chromium):
    """Return the addresses that the page requested."""
    events = (json.loads(entry["message"])["message"] for entry in chromium.get_log("performance"))
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def shown(chromium, selector):
    return [found for found in chromium.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]


def lines(chromium):
    """Return the ids of the visible requirements."""
    return [line.get_attribute("id") for line in shown(chromium, ".lines tr")]


def one(chromium, selector):
    (found,) = chromium.find_elements(By.CSS_SELECTOR, selector)
    return found


def cell(chromium, id_, column):
    return one(chromium, f"tr#{id_} td:nth-of-type({column + 1}) button")


def choose(chromium, name, value):
    Select(one(chromium, f"select[name={name}]")).select_by_visible_text(value)


def found(chromium):
    return one(chromium, "#found").text


def test_the_page_opens_without_a_complaint_and_without_a_request(opened, address):
    assert one(opened, ".matrix").is_displayed()
    assert [area.text.split()[0] for area in shown(opened, ".area th")] == [
        *("Shapes", "State", "Numerics", "Cases", "Elsewhere")
    ]
    assert opened.title == "Conformance of wrong, right"
    for button in (one(opened, "#unfold"), cell(opened, "GRU-EQUATION", 0)):
        opened.execute_script("arguments[0].click()", button)
    assert one(opened, "dialog").is_displayed()
    assert opened.get_log("browser") == []
    assert [url for url in asked_for(opened) if not url.startswith("data:")] == [address]


def test_a_request_and_a_complaint_would_be_seen(opened):
    opened.execute_script("console.error('no')")
    opened.execute_script("fetch('https://example.org/x').catch(() => {})")
    complaints = " ".join(entry["message"] for entry in opened.get_log("browser"))
    assert '"no"' in complaints
    assert "Content Security Policy" in complaints  # the page's policy allows no request
    opened.get("data:text/html,<img src='http://127.0.0.1:9/x'>")
    assert "http://127.0.0.1:9/x" in asked_for(opened)


def test_areas_fold_and_unfold(opened):
    assert lines(opened) == []
    one(opened, "tbody[data-area=numerics] button").click()
    assert lines(opened) == ["LSTM-EQUATION", "GRU-EQUATION", "GRU-LAW", "KNOWN"]
    assert one(opened, "tbody[data-area=numerics] button").get_attribute("aria-expanded") == "true"
    one(opened, "tbody[data-area=numerics] button").click()
    assert lines(opened) == []
    one(opened, "#unfold").click()
    assert len(lines(opened)) == 8
    one(opened, "#fold").click()
    assert lines(opened) == []


def test_the_script_folds_rows_as_the_page_did(opened, address):
    def texts():
        cells = opened.execute_script("return [...document.querySelectorAll('.matrix td')].map((td) => td.textContent)")
        return [" ".join(text.split()) for text in cells]

    by_script = texts()
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened.get(address)
        assert len(lines(opened)) == 8, "without scripts everything is there"
        assert not shown(opened, ".filters")
    finally:
        opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert texts() == by_script
    assert "✗ failed 1/2" in by_script


def test_filters_leave_what_matches(opened):
    assert found(opened) == "8 of 8 requirements"
    one(opened, "input[type=search]").send_keys("gru without a reset")  # words of the diagnosis
    assert (lines(opened), found(opened)) == (["GRU-EQUATION"], "1 of 8 requirements")
    one(opened, "button[type=reset]").click()
    WebDriverWait(opened, 10).until(lambda _: found(opened) == "8 of 8 requirements")
    choose(opened, "status", "known failure")
    assert lines(opened) == ["KNOWN"]
    choose(opened, "status", "differs between backends")
    assert "SHAPE-H-N" not in lines(opened)
    assert "GRU-EQUATION" in lines(opened)
    choose(opened, "status", "all")
    choose(opened, "area", "shapes")
    assert lines(opened) == ["SHAPE-H-N"]
    choose(opened, "area", "all")
    choose(opened, "status", "failed")
    choose(opened, "backend", "right")
    assert (lines(opened), found(opened)) == ([], "0 of 8 requirements")


def test_a_kind_and_a_dtype_narrow_the_cells(opened):
    one(opened, "#unfold").click()
    assert "failed 1/2" in cell(opened, "GRU-EQUATION", 0).text
    choose(opened, "dtype", "float32")
    assert cell(opened, "GRU-EQUATION", 0).text.split() == ["✓", "passed"]
    choose(opened, "kind", "lstm")
    assert "GRU-EQUATION" not in lines(opened)
    assert "LSTM-EQUATION" in lines(opened)


def test_a_cell_opens_with_everything_that_is_known(opened):
    one(opened, "#unfold").click()
    button = cell(opened, "GRU-EQUATION", 0)
    assert button.accessible_name == "GRU-EQUATION, wrong: failed 1/2"
    button.click()
    dialog = one(opened, "dialog")
    for part in (
        *("GRU-EQUATION on wrong", "What GRU-EQUATION states.", "torch.nn.RNN, LSTM, GRU: the formulas"),
        *("gru float32 ✓ passed 50 50%", "gru float64 ✗ failed 3 2.5e+05 x", "a GRU without a reset gate"),
        *("got 0.2, expected 0.1", "smallest failing call", "report-reproducers/gru-equation.py"),
    ):
        assert part in dialog.text
    link = dialog.find_element(By.LINK_TEXT, "torch.nn.GRU").get_attribute("href")
    assert link == "https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html"
    assert opened.current_url.endswith("#GRU-EQUATION/wrong")
    dialog.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()
    assert opened.switch_to.active_element == button
    cell(opened, "STATE-ARGUMENTS-UNTOUCHED", 0).click()
    assert "The documentation names outputs and no argument that is written to" in dialog.text


def test_an_address_opens_its_cell(chromium, address):
    at(chromium, f"{address}#KNOWN/wrong", DESKTOP, "light")
    assert "the kernel is short (issue 7)" in one(chromium, "dialog").text


def test_text_from_a_report_stays_text(opened):
    one(opened, "#unfold").click()
    cell(opened, "HOSTILE", 0).click()
    assert " ".join(HOSTILE.split()) in one(opened, "dialog pre").text
    assert opened.title == "Conformance of wrong, right"


def test_the_matrix_is_walked_by_keyboard(opened):
    one(opened, "tbody[data-area=numerics] button").send_keys(Keys.ENTER)
    assert lines(opened)
    cell(opened, "LSTM-EQUATION", 0).send_keys(Keys.ARROW_DOWN)
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert opened.switch_to.active_element.accessible_name == "GRU-EQUATION, right: passed"
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert "GRU-EQUATION on right" in one(opened, "dialog").text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_width_and_can_be_read(chromium, address, size, scheme):
    at(chromium, address, size, scheme)
    one(chromium, "#unfold").click()
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0]
    for selector in ("body", ".area th", *(f".lines td.s-{s} button" for s in ("failed", "passed", "known_failure"))):
        assert contrast(chromium, shown(chromium, selector)[0]) >= 4.5, selector
    assert luminance(chromium, "body") < 0.1 if scheme == "dark" else luminance(chromium, "body") > 0.9


COLOURS = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
let under = arguments[0];
while (under.parentElement && rgb(getComputedStyle(under).backgroundColor)[3] === 0) under = under.parentElement;
const colours = [getComputedStyle(arguments[0]).color, getComputedStyle(under).backgroundColor];
return colours.map((text) => rgb(text).slice(0, 3));
"""


def brightness(colour):
    """Return the relative luminance as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(chromium, element):
    """Return the contrast of an element's text with its background, as WCAG defines it."""
    dark, light = sorted(map(brightness, chromium.execute_script(COLOURS, element)))
    return (light + 0.05) / (dark + 0.05)


def luminance(chromium, selector):
    return brightness(chromium.execute_script(COLOURS, one(chromium, selector))[1])
