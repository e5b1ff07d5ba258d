"""The page of reports in headless Chromium, opened from its file. Skipped without Chromium."""

import json
import shutil
from pathlib import Path

import pytest

from conformance.reporting.site.findings import read_findings
from conformance.reporting.site.overview import Links
from conformance.reporting.site.page import site
from tests.sample_reports import HOSTILE, report, right, row, wrong
from tests.test_site import loaded
from tests.test_site_page import FINDINGS, MAX_FIRST_SCREEN_BYTES, SITE

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
DESKTOP, PHONE = (1440, 900), (390, 844)
VIEWS = (
    "",
    "#view=requirements",
    "#area=numerics&specification=torch.nn",
    "#requirement=GRU-EQUATION&backend=wrong",
    "#backend=wrong",
    "#backend=wrong&area=numerics",
    "#backend=right&part=history",
    "#compare=wrong&with=right",
    "#finding=a-kernel-it-is-short",
)


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


def sample(folder):
    """Return reports of three backends: one departs, one has an older run and speaks two specifications."""
    old, new = right("right"), right("right")
    old["requirements"][0] |= {"status": "failed", "message": "got 1, expected 2"}
    new["suite"]["catalogue"], new["run"] = "1.0", {"date": "2026-11-21", "machine": {"cores": 2, "python": "3.11.2"}}
    new["requirements"] += [
        row("ONNX-Y", "LSTM", specification="onnx", area="outputs"),
        row("ONNX-X", "GRU", specification="onnx", area="outputs", status="failed", message="got 1", margin=3.0),
    ]
    known = row("KNOWN", "gru", status="known_failure", margin=7.0)
    known["message"] = "the kernel is short; reproducer: scripts/short.py (https://github.com/x/y/issues/7)\ngot 3"
    least = report("least", [*(row(f"R-{n}") for n in range(999)), known])
    return loaded(folder, wrong(), old, new, least)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Write the page of the sample, with a documented finding, and return its address."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "short.py").write_text("pass\n")
    (folder / "findings.md").write_text(FINDINGS)
    findings = read_findings([folder / "findings.md"])
    files = site(sample(folder), (), findings, Links(folder, folder / "out"))
    for path, text in files.items():
        (folder / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / path).write_text(text, "utf-8")
    return (folder / "out" / "index.html").as_uri()


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
    return settled(chromium)


def settled(chromium):
    """Wait until the page shows the state of its address."""
    WebDriverWait(chromium, 10).until(
        lambda _: chromium.execute_script(
            "const { body } = document;"
            "return !body || (!body.hasAttribute('aria-busy') && body.dataset.address === location.hash)"
        )
    )
    return chromium


def go(chromium, state):
    """Follow an address within the page."""
    chromium.execute_script("location.hash = arguments[0]", state)
    chromium.execute_script("return new Promise((done) => setTimeout(done, 20))")
    return settled(chromium)


def asked_for(chromium):
    """Return the addresses that the page requested."""
    events = (json.loads(entry["message"])["message"] for entry in chromium.get_log("performance"))
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def shown(chromium, selector):
    return [found for found in chromium.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]


def one(chromium, selector):
    (found,) = chromium.find_elements(By.CSS_SELECTOR, selector)
    return found


def heading(chromium):
    return settled(chromium).find_element(By.CSS_SELECTOR, "#view h1").text


def text_of(chromium, selector="#view"):
    return settled(chromium).find_element(By.CSS_SELECTOR, selector).text


def bars(chromium, specification="torch.nn"):
    """Return the names of the visible bars, from top to bottom."""
    items = shown(settled(chromium), f"section[data-specification='{specification}'] .backend")
    return [item.get_attribute("data-backend") for item in items]


def rows(chromium):
    """Return the ids of the visible requirements."""
    settled(chromium)
    return [line.get_attribute("id").removeprefix("r-") for line in shown(chromium, "table.matrix tbody tr[id]")]


def choose(chromium, name, value):
    form = next(form for form in chromium.find_elements(By.CSS_SELECTOR, "form.filters") if form.is_displayed())
    Select(form.find_element(By.NAME, name)).select_by_visible_text(value)
    settled(chromium)


def search(chromium, text):
    form = next(form for form in chromium.find_elements(By.CSS_SELECTOR, "form.filters") if form.is_displayed())
    form.find_element(By.NAME, "text").send_keys(text)
    settled(chromium)


# Loading


def test_the_first_screen_needs_one_file_and_no_complaint(opened, address):
    assert bars(opened) == ["wrong", "least", "right"]
    assert opened.get_log("browser") == []
    assert [url for url in asked_for(opened) if not url.startswith("data:")] == [address]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_from_its_address_without_a_complaint(chromium, address, view):
    at(chromium, address + view, DESKTOP, "light")
    assert chromium.get_log("browser") == []
    assert "missing" not in text_of(chromium, "main")
    assert "This page has no" not in text_of(chromium, "main")
    folder = address.rpartition("/")[0]
    assert all(url.startswith((folder, "data:")) for url in asked_for(chromium)), "nothing from another place"


def test_a_request_and_a_complaint_would_be_seen(opened):
    opened.execute_script("console.error('no')")
    opened.execute_script("fetch('https://example.org/x').catch(() => {})")
    complaints = " ".join(entry["message"] for entry in opened.get_log("browser"))
    assert '"no"' in complaints
    assert "Content Security Policy" in complaints  # the page's policy allows no request
    opened.get("data:text/html,<img src='http://127.0.0.1:9/x'>")
    assert "http://127.0.0.1:9/x" in asked_for(opened)


def test_a_file_that_is_missing_is_told(chromium, address, tmp_path):
    (tmp_path / "index.html").write_bytes(Path(address.removeprefix("file://")).read_bytes())
    at(chromium, (tmp_path / "index.html").as_uri() + "#backend=wrong", DESKTOP, "light")
    assert heading(chromium) == "A file of the page is missing"
    assert "data/backend-wrong.js cannot be loaded" in text_of(chromium)


@pytest.mark.parametrize("view", ["#backend=none", "#requirement=NO-SUCH", "#finding=none", "#compare=a&with=b"])
def test_an_address_of_nothing_is_told(chromium, address, view):
    at(chromium, address + view, DESKTOP, "light")
    assert "no" in text_of(chromium).lower().split()
    assert chromium.get_log("browser") == []


def test_without_scripts_the_shares_are_there(opened, address):
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened.get(address)
        assert len(shown(opened, ".backend")) == 4
        assert "42.8 %" in one(opened, ".backend[data-backend=wrong] .percent").text
        assert [cell.text for cell in shown(opened, "tr[data-backend=wrong] td")] == ["100", "100", "25", "", "0"]
        assert not shown(opened, ".filters")
    finally:
        opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


# The first screen


def test_the_script_counts_as_the_suite_does(opened):
    """Count bars and areas anew from the data of the requirements, and compare the figures with the suite's own."""
    figures = "return [...document.querySelectorAll('.backend .what, table.areas td')].map((one) => one.innerText)"
    labels = "return [...document.querySelectorAll('.bar, table.areas td a')].map((one) => one.ariaLabel)"
    before, told = opened.execute_script(figures), opened.execute_script(labels)
    go(opened, "kind=gru")
    assert opened.execute_script(figures) != before
    go(opened, "")
    settled(opened)
    assert opened.execute_script(figures) == before
    assert opened.execute_script(labels) == told
    assert any("99.9 % of 1,000 fulfilled; 1 departure, all known" in label for label in told)


def test_a_kind_and_a_dtype_count_anew(opened):
    choose(opened, "kind", "gru")
    choose(opened, "dtype", "float64")
    assert bars(opened) == ["wrong", "right"], "least has no statement of it"
    assert one(opened, "section[data-specification='torch.nn'] [data-backend=wrong] .percent").text == "0.0 %"
    assert [cause.text for cause in shown(opened, "[data-backend=wrong] .causes li")] == [], "its gravest are others"
    choose(opened, "dtype", "float32")
    assert [cause.text for cause in shown(opened, "[data-backend=wrong] .causes li")] == [
        "the kernel is short 1 statement"
    ]
    choose(opened, "dtype", "float64")
    assert opened.current_url.endswith("#kind=gru&dtype=float64")
    one(opened, "[data-for=front] button[type=reset]").click()
    assert bars(opened) == ["wrong", "least", "right"]
    assert "#" not in opened.current_url


def test_bars_are_sorted_and_filtered(opened):
    choose(opened, "sort", "claimed, most first")
    assert bars(opened) == ["least", "wrong", "right"]
    choose(opened, "sort", "name")
    assert bars(opened) == ["least", "right", "wrong"]
    choose(opened, "sort", "date, newest first")
    assert bars(opened)[0] == "right"
    choose(opened, "sort", "share, least first")
    assert bars(opened) == ["wrong", "least", "right"]
    search(opened, "kernel")
    assert bars(opened) == ["wrong", "least"]
    assert "text=kernel" in opened.current_url
    choose(opened, "specification", "onnx")
    assert (bars(opened), bars(opened, "onnx")) == ([], [])


def test_a_departure_leads_to_finding_script_and_issue(opened, address):
    cause = one(opened, ".backend[data-backend=least] .causes li")
    links = {link.text: link.get_attribute("href") for link in cause.find_elements(By.TAG_NAME, "a")}
    assert links["issue"] == "https://github.com/x/y/issues/7"
    assert links["script"] == address.replace("out/index.html", "scripts/short.py")
    cause.find_element(By.LINK_TEXT, "finding").click()
    assert heading(opened) == "A kernel: it is short"
    assert "What. The kernel is short, for GRU-LAW." in text_of(opened)
    link = one(opened, "#view").find_element(By.LINK_TEXT, "GRU-LAW").get_attribute("href")
    assert link.endswith("#requirement=GRU-LAW")


def test_a_known_failure_is_as_visible_as_a_failure(opened):
    part = one(opened, ".backend[data-backend=least] .bar .p-known")
    assert part.size["width"] >= 3, "one of a thousand is seen"
    assert one(opened, ".backend[data-backend=least] .figures b").text == "1 departs"
    assert one(opened, "tr[data-backend=least] td.l-most").text == "99"


# Cells, areas, requirements


def test_a_cell_opens_to_kinds_and_dtypes(opened):
    one(opened, "tr[data-backend=wrong] td[data-area=numerics] a").click()
    assert heading(opened) == "wrong: numerics"
    assert opened.current_url.endswith("#backend=wrong&area=numerics&specification=torch.nn")
    assert "33.3 % of 3 fulfilled; 2 departures" not in text_of(opened)
    assert "25.0 % of 4 fulfilled; 2 departures, 1 of them known; 1 blocked; 1 not claimed." in text_of(opened)
    table = one(opened, "#view table.grid")
    assert [cell.text for cell in table.find_elements(By.CSS_SELECTOR, "thead th")] == ["Kind", "float32", "float64"]
    cells = [cell.text.replace("\n", " ") for cell in table.find_elements(By.CSS_SELECTOR, "tbody th, tbody td")]
    assert cells == ["lstm", "–", "not put to it", "gru", "33 of 3", "0 of 1"]
    table.find_element(By.CSS_SELECTOR, "a[aria-label^='gru float64']").click()
    settled(opened)
    assert "kind=gru&dtype=float64" in opened.current_url
    assert "1 requirement" in text_of(opened)


def test_an_area_opens_to_its_requirements_and_filters(opened):
    shown(opened, "section[data-specification='torch.nn'] thead th a")[2].click()
    assert heading(opened) == "Numerics of torch.nn"
    assert rows(opened)[:4] == ["LSTM-EQUATION", "GRU-EQUATION", "GRU-LAW", "KNOWN"]
    choose(opened, "status", "departs")
    assert rows(opened) == ["GRU-EQUATION", "KNOWN"]
    choose(opened, "kind", "lstm")
    assert (rows(opened), "Nothing matches." in text_of(opened)) == ([], True)
    choose(opened, "kind", "all")
    choose(opened, "only", "right")
    assert rows(opened) == []
    choose(opened, "only", "all")
    choose(opened, "status", "blocked")
    assert rows(opened) == ["GRU-LAW"]
    assert opened.current_url.endswith("#area=numerics&specification=torch.nn&status=blocked")


def test_the_requirements_are_searched_and_sorted(opened):
    go(opened, "view=requirements")
    assert rows(opened) == [], "areas come first"
    search(opened, "gru-equation torch.nn")
    assert rows(opened) == ["GRU-EQUATION"]
    one(opened, "#view input[type=search]").clear()
    go(opened, "view=requirements&text=h_n%20is%20activated")
    choose(opened, "area", "numerics")
    go(opened, "view=requirements&status=departs&sort=departures")
    assert rows(opened) == ["KNOWN", "GRU-EQUATION", "HOSTILE", "ONNX-X"]
    go(opened, "view=requirements&status=differs&specification=torch.nn")
    assert "GRU-EQUATION" in rows(opened)
    assert "SHAPE-H-N" not in rows(opened)
    assert "CASE-ONE" not in rows(opened), "one backend alone has it"


def test_typing_keeps_the_place_in_the_field(opened):
    go(opened, "view=requirements")
    search(opened, "gr")
    search(opened, "u-l")
    assert one(opened, "#view input[type=search]").get_attribute("value") == "gru-l"
    assert rows(opened) == ["GRU-LAW"]


def test_a_requirement_has_a_page(opened):
    go(opened, "requirement=LSTM-EQUATION")
    told = text_of(opened)
    for part in (
        *("LSTM-EQUATION", "What LSTM-EQUATION states.", "torch.nn.RNN, LSTM, GRU: the formulas", "Builds on"),
        *("Who fulfils it: 1 of 2", "c-n-is-h-n: an LSTM whose c_n is h_n"),
    ):
        assert part in told, part
    link = one(opened, "#view").find_element(By.LINK_TEXT, "torch.nn.GRU").get_attribute("href")
    assert link == "https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html"
    go(opened, "requirement=STATE-ARGUMENTS-UNTOUCHED")
    assert "The documentation names outputs and no argument that is written to" in text_of(opened)


def test_an_opened_cell_has_everything_that_is_known(opened):
    go(opened, "area=numerics&specification=torch.nn")
    cell = one(opened, "#r-GRU-EQUATION td[data-name=wrong] a")
    assert cell.accessible_name == "GRU-EQUATION, wrong: 50.0 % of 2 fulfilled; 1 departure"
    cell.click()
    told = text_of(opened, ".opened")
    for part in (
        *(
            "✓ passed",
            "50 examples, margin 50%",
            "✗ failed",
            "3 examples, margin 2.5e+05 x",
            "a GRU without a reset gate",
        ),
        *("got 0.2, expected 0.1", "smallest failing call", "report-reproducers/gru-equation.py"),
    ):
        assert part in told, part
    assert "requirement=GRU-EQUATION&backend=wrong" in opened.current_url
    go(opened, "requirement=HOSTILE&backend=wrong")
    assert "margin infinite" in text_of(opened, ".opened")


def test_an_address_of_the_former_page_opens_its_cell(chromium, address):
    at(chromium, f"{address}#KNOWN/wrong", DESKTOP, "light")
    assert "the kernel is short (issue 7)" in text_of(chromium, ".opened")


def test_text_from_a_report_stays_text(opened):
    go(opened, "requirement=HOSTILE&backend=wrong")
    assert " ".join(HOSTILE.split()) in text_of(opened, ".opened pre")
    assert opened.title.startswith("HOSTILE")
    go(opened, "backend=wrong")
    assert opened.title == "wrong · Conformance of recurrent layers"


# One backend, its history, comparisons


def test_a_backend_has_a_page(opened):
    one(opened, "section[data-specification='torch.nn'] .backend[data-backend=right] .name").click()
    assert heading(opened) == "right"
    told = text_of(opened)
    for part in (
        *("100 % of 6 in torch.nn", "Date\n2026-11-21", "2 cores, Python 3.11.2", "Departures: 0 statements, 0 causes"),
        *("No check found a departure.", "Margins", "gru float64", "Claims", "History"),
    ):
        assert part in told, part
    assert shown(opened, "#view .picture svg")
    assert one(opened, "[aria-label='Margins of right']").text.splitlines()[1:] == [
        *("lstm float32 2 12% 25% LSTM-EQUATION", "gru float32 1 40% 40% GRU-EQUATION"),
        *("GRU float32 1 300% 300% ONNX-X", "gru float64 1 50% 50% GRU-EQUATION"),
    ]
    one(opened, "#view").find_element(By.LINK_TEXT, "onnx").click()
    settled(opened)
    assert "50.0 % of 2 in onnx" in text_of(opened)
    assert "Departures: 1 statement, 1 cause" in text_of(opened)


def test_margins_without_end_are_told_in_words(opened):
    go(opened, "backend=wrong")
    assert "lstm float32 1 infinite infinite HOSTILE" in text_of(opened, "[aria-label='Margins of wrong']")
    assert "infinite" in shown(opened, "#view .picture svg")[0].get_attribute("textContent")


def test_the_history_of_a_backend_is_told(opened):
    go(opened, "backend=right&part=history")
    assert opened.switch_to.active_element.text == "History"
    assert "From 1.0 (catalogue unnumbered) to 1.0 (catalogue 1.0)" in text_of(opened)
    next(found for found in shown(opened, ".changes summary") if found.text == "Better: 1 requirement").click()
    assert "SHAPE-H-N failed passed lstm float32" in text_of(opened)
    one(opened, "#view").find_element(By.LINK_TEXT, "compare with the newest").click()
    WebDriverWait(opened, 10).until(lambda _: heading(opened) == "Compare")
    assert "right 1.0 departs, right fulfils: 1 requirement" in text_of(opened)
    assert "SHAPE-H-N" in text_of(opened)


def test_two_backends_are_compared(opened):
    go(opened, "view=compare")
    choose(opened, "with", "least")
    assert "Only least claims it: 999 requirements" in text_of(opened)
    choose(opened, "with", "right")
    assert "wrong departs, right fulfils: 1 requirement" in text_of(opened)
    assert "GRU-EQUATION" in text_of(opened)
    assert "compare=wrong&with=right" in opened.current_url
    one(opened, "#exchange").click()
    WebDriverWait(opened, 10).until(lambda _: "right fulfils, wrong departs: 1 requirement" in text_of(opened))
    choose(opened, "kind", "lstm")
    assert "right fulfils, wrong departs" not in text_of(opened)


def test_back_leads_to_the_state_before(opened):
    one(opened, "section[data-specification='torch.nn'] .backend[data-backend=wrong] .name").click()
    WebDriverWait(opened, 10).until(lambda _: heading(opened) == "wrong")
    shown(opened, "#view .ids a")[0].click()
    WebDriverWait(opened, 10).until(lambda _: "requirement=" in opened.current_url and heading(opened) != "wrong")
    opened.back()
    WebDriverWait(opened, 10).until(lambda _: heading(opened) == "wrong")
    opened.back()
    WebDriverWait(opened, 10).until(lambda _: bars(opened))


# Keyboard, width, colours, size


def test_the_page_is_walked_by_keyboard(opened):
    first = one(opened, "tr[data-backend=wrong] td[data-area=numerics] a")
    first.send_keys(Keys.ARROW_DOWN)
    assert opened.switch_to.active_element.accessible_name.startswith("least, numerics: 99.9 % of 1,000")
    opened.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    opened.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert opened.switch_to.active_element.accessible_name == "right, state: 100 % of 1 fulfilled"
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    WebDriverWait(opened, 10).until(lambda _: heading(opened) == "right: state")
    assert opened.switch_to.active_element.get_attribute("id") == "content", "reading goes on at the new content"
    opened.switch_to.active_element.send_keys(Keys.TAB)
    assert opened.switch_to.active_element.text == "Backends"


def test_tab_reaches_the_content_first(opened):
    one(opened, "body").send_keys(Keys.TAB)
    assert opened.switch_to.active_element.text == "To the content"
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert opened.switch_to.active_element.get_attribute("id") == "content"


CUT = """
return [...document.querySelectorAll('main *')].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width || one.closest('.hidden, svg, select') || one.matches('.skip')) return false;
  return box.right > innerWidth + 1 || box.left < -1;
}).map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`).slice(0, 5);
"""


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_cut_off_and_all_can_be_read(chromium, address, size, scheme, view):
    """The other two combinations have the same sizes and the same colours, and are tried on the first screen."""
    at(chromium, address + view, size, scheme)
    readable(chromium, size, scheme)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "phone"])
def test_the_first_screen_in_the_other_colours(chromium, address, size, scheme):
    at(chromium, address, size, scheme)
    readable(chromium, size, scheme)


def readable(chromium, size, scheme):
    """Assert that the page fits its width, that nothing is cut off, and that text has contrast."""
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert chromium.execute_script(CUT) == []
    levels = (f".l-{level}" for level in ("all", "most", "many", "half", "few"))
    for selector in ("body", "small", "a", ".figures b", *levels, "td a"):
        for found in shown(chromium, f"main {selector}" if selector != "body" else selector)[:3]:
            assert contrast(chromium, found) >= 4.5, f"{selector}: {found.text}"
    assert luminance(chromium, "body") < 0.1 if scheme == "dark" else luminance(chromium, "body") > 0.9


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_of_the_committed_page_is_cut_off(chromium, size):
    views = ("", "#view=requirements", "#backend=paddle", "#backend=paddle&area=gradients", "#compare=mlx&with=keras")
    for view in views:
        at(chromium, (SITE / "index.html").as_uri() + view, size, "light")
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0], view
        assert chromium.execute_script(CUT) == [], view
        assert chromium.get_log("browser") == [], view


def test_what_is_cut_off_would_be_seen(opened):
    wide = "const wide = document.createElement('b'); wide.textContent = 'x'; wide.style.marginLeft = '1500px';"
    opened.execute_script(wide + "document.querySelector('main').append(wide)")
    assert opened.execute_script(CUT)
    assert opened.execute_script("return document.documentElement.scrollWidth") > DESKTOP[0]


def test_the_figure_of_interest_is_on_a_phones_first_screen(chromium, address):
    at(chromium, address, PHONE, "light")
    figure = one(chromium, ".backend[data-backend=wrong] .percent")
    assert 0 < figure.rect["y"] < PHONE[1] * 0.75
    assert 0 <= figure.rect["x"] < PHONE[0] / 2


def test_the_first_screen_is_small(chromium):
    at(chromium, (SITE / "index.html").as_uri(), DESKTOP, "light")
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sizes = [e["params"]["dataLength"] for e in events if e["method"] == "Network.dataReceived"]
    assert 0 < sum(sizes) < MAX_FIRST_SCREEN_BYTES


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
