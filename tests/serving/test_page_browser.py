"""The page as a person has it: in Chromium, by mouse and keyboard, wide and on a phone, light and dark.

It needs the packages chromium and chromium-driver of the system; the checks of accessibility also `npm install --prefix
.venv/page axe-core`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from headed import headed_checkpoint
from scipy.stats import spearmanr
from tiny import tiny_module, tiny_tokenizer

import wellread
from wellread.module import Module

pytest.importorskip("starlette")
webdriver = pytest.importorskip("selenium.webdriver")

import uvicorn  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from wellread.serving.app import app  # noqa: E402
from wellread.serving.settings import ServeSettings  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="apt-get install chromium chromium-driver"),
]
AXE = Path(sys.prefix) / "page" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = (390, 844), (1200, 1000)
VIEWS = {
    "compare": "default",
    "map": "default",
    "masks": "tiny",
    "labels": "tag",
    "tokens": "default",
    "two": "default",
    "routes": "default",
}
TABLE = 'text,about\n"a man, ""playing""",music\n"the\nguitar",music\na flute,music\n'
TABLE += "the cat,animals\na dog,animals\na horse,animals\n"


@contextmanager
def serving(modules, **settings):
    """Run the server in a thread, and give its address."""
    config = uvicorn.Config(app(modules, ServeSettings(**settings)), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    place = tmp_path_factory.mktemp("page")
    heads = {"tag": {"labels": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")}, "classify": {}, "pair": {}}
    headed = {
        task: Module(checkpoint=headed_checkpoint(task, **head), tokenizer=tiny_tokenizer(place), backend="numpy")
        for task, head in heads.items()
    }
    return {"default": wellread.load("default"), "tiny": tiny_module(place, backend="numpy"), **headed}


@pytest.fixture(scope="module")
def address(modules):
    with serving(modules) as address:
        yield address


class Page:
    """A browser at the page, and what a person does there."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, view, module=None):
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/#{view}")
        self.wait(lambda: self.all("#module option"))
        if module:
            self.run("const s = document.getElementById('module'); s.value = arguments[0];"
                     "s.dispatchEvent(new Event('change'))", module)  # fmt: skip

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        code = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText.trim())"
        return self.run(code, selector)

    def one(self, selector):
        self.wait(lambda: self.all(selector))
        return self.all(selector)[0]

    def run(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, condition, seconds=20):
        return WebDriverWait(self.driver, seconds).until(lambda _: condition())

    def press(self, words):
        self.wait(lambda: [button for button in self.all("button") if button.text == words])[0].click()

    def type(self, text, selector="textarea"):
        field = self.one(selector)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)

    def look(self, *, dark=False, size=DESK):
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size is PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def faults(self):
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver, address):
    page = Page(driver, address)
    page.look()
    yield page
    assert page.faults() == []  # of scripts, and of the policy


def test_sentences_are_compared_as_they_are_typed(page, modules):
    page.open("compare")
    page.type("A cat is asleep.\nThe kitten naps.\nStocks fell today.")
    page.wait(lambda: len(page.text("td.heat")) == 9)
    module = modules["default"]
    vectors = module.encode(["A cat is asleep.", "The kitten naps.", "Stocks fell today."], normalize_embeddings=True)
    shown = [float(number) for number in page.text("td.heat")]
    assert shown == pytest.approx((vectors @ vectors.T).ravel().tolist(), abs=0.006)
    assert page.text(".pairs li:first-child p") == ["A cat is asleep.", "The kitten naps."]
    page.type("one")
    page.wait(lambda: "Two sentences or more" in page.one(".results").text)


def test_a_map_of_a_file_by_mouse(page, driver, tmp_path):
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    (tmp_path / "texts.csv").write_text(TABLE, "utf-8")
    page.open("map")
    page.one("input[type=file]").send_keys(str(tmp_path / "texts.csv"))
    canvas = page.one("canvas")
    assert "6 texts of texts.csv" in page.one(".results .note").text
    assert page.text(".legend li") == ["music", "animals"]
    actions = webdriver.ActionChains(driver)
    page.press("Lasso")
    width, height = canvas.size["width"] // 2 - 3, canvas.size["height"] // 2 - 3
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    actions.move_to_element_with_offset(canvas, -width, -height).click_and_hold()
    for x, y in ((2 * width, 0), (0, 2 * height), (-2 * width, 0)):
        actions.move_by_offset(x, y)
    actions.release().perform()
    page.wait(lambda: page.text(".selection h2") == ["6 selected"])
    page.press("Save as CSV")
    saved = tmp_path / "selection.csv"
    page.wait(saved.exists)
    assert saved.read_text("utf-8").replace("\r\n", "\n") == TABLE
    page.press("Zoom in")
    page.press("Select none")
    page.wait(lambda: page.text(".selection") == [""])


def imported(page, name, code):
    """Return what some code makes of a module of the page's scripts, `m`."""
    script = f"import('/page/{name}.js').then((m) => {code}).then(arguments[0], (error) => arguments[0](String(error)))"
    return page.driver.execute_async_script(script)


def test_tables_ranks_and_lines_are_read_right(page):
    page.open("compare")
    rows = [["a", "b"], ['say "x", y', "z\nz"], ["", "ü"]]
    text = json.dumps('a,b\r\n"say ""x"", y","z\nz"\r\n,ü\r\n')
    assert imported(page, "csv", f"m.parse('\ufeff' + {text})") == rows
    assert imported(page, "csv", f"m.written({json.dumps(rows)})") == json.loads(text)
    assert imported(page, "csv", r"m.parse('a;b\n1,5;\n\n2;3')") == [["a", "b"], ["1,5", ""], ["2", "3"]]
    assert imported(page, "csv", "m.textColumn(['id', 'Text', 'longer'], [['1', 'a', 'bbbb']])") == 1
    assert imported(page, "csv", "m.textColumn(['id', 'x'], [['1', 'a b']])") == 1
    line = "[[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]"
    assert imported(page, "plot", f"[[1, 1], [2, 3], [5, 1]].map((place) => m.inside(place, {line}))") == [1, 0, 0]
    expected = spearmanr([0.1, 0.5, 0.5, 0.2], [1, 3, 2, 2]).statistic
    assert imported(page, "two", "m.spearman([0.1, 0.5, 0.5, 0.2], [1, 3, 2, 2])") == pytest.approx(expected)


def test_a_map_by_keyboard(page, driver):
    page.open("map")
    page.press("Show an example")
    canvas = page.one("canvas")
    page.one("canvas")
    while driver.switch_to.active_element != canvas:
        driver.switch_to.active_element.send_keys(Keys.TAB)
    first = page.wait(lambda: page.one(".tip").text)
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert page.wait(lambda: page.one(".tip").text) != first
    canvas.send_keys(Keys.SPACE)
    page.wait(lambda: page.text(".selection h2") == ["1 selected"])
    assert page.one(".tip").text.startswith(page.text(".texts li")[0])
    canvas.send_keys("+", "-", "0", Keys.ESCAPE)
    page.wait(lambda: page.text(".selection") == [""])


def test_masks_are_filled(page, modules):
    page.open("masks", "tiny")
    page.type("the man is playing the ")
    page.press("Insert [MASK]")
    page.wait(lambda: len(page.all(".results section")) == 1)
    best = modules["tiny"].fill_mask("the man is playing the [MASK]", top_k=1)[0][0]
    assert page.text(".bar-name")[0] == best.token_str
    page.open("masks", "default")
    assert "choose tiny above" in page.one("#panel").text


def test_entities_are_marked(page, modules):
    page.open("labels", "tag")
    page.type("the man of paris")
    tagged = modules["tag"].predict("the man of paris")
    expected = [f"{entity.text} {entity.entity}" for entity in tagged.entities]
    page.wait(lambda: [text.replace("\n", " ") for text in page.text("mark")] == expected)
    page.open("labels", "classify")
    best = max(modules["classify"].predict("the man").scores.items(), key=lambda pair: pair[1])[0]
    page.type("the man")
    page.wait(lambda: page.text(".bar-name")[:1] == [best])
    page.open("labels", "pair")
    page.wait(lambda: len(page.all("textarea")) == 2 and len(page.all(".bar")) == 5)


def test_tokens_and_what_was_cut(page, modules):
    page.open("tokens", "tiny")
    page.type("the cat sleeps")
    ids = modules["tiny"].tokenize(["the cat sleeps"])[0].tolist()
    page.wait(lambda: page.text(".token:not(.special) .id") == [str(id) for id in ids])
    page.type("the " * 40)
    page.wait(lambda: len(page.all(".token.cut")) == 10)  # 40 and two special tokens, of which 32 find room
    assert page.text(".results .fault") == ["42 tokens; the module takes 32, and 10 are cut."]


def test_two_modules_side_by_side(page):
    page.open("two")
    page.wait(lambda: len(page.all(".beside table")) == 2)
    facts = dict(zip(page.text(".facts dt"), page.text(".facts dd:not(.note)"), strict=True))
    assert list(facts) == ["Agreement", "Same nearest", "default", "tiny"]
    assert -1 <= float(facts["Agreement"]) <= 1
    assert facts["default"].endswith(" ms")


def test_every_route_has_a_form_that_asks_it(page):
    page.open("routes", "tiny")
    page.wait(lambda: page.all("details.route"))
    routes = page.text("details.route summary b")
    paths = [path for row in page.text("details.route summary code") for path in row.split()[1:]]
    assert {("POST", "/v1/embeddings"), ("GET", "/metrics"), ("POST", "/rerank")} <= set(
        zip(routes, paths, strict=True)
    )

    def ask(path, method="POST", body=None):
        route = page.all("details.route")[[*zip(routes, paths, strict=True)].index((method, path))]
        if not route.get_attribute("open"):
            route.find_element(By.CSS_SELECTOR, "summary").click()
        page.wait(lambda: route.find_elements(By.CSS_SELECTOR, "button"))
        if body:
            field = route.find_element(By.CSS_SELECTOR, "textarea")
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(body)
        route.find_element(By.CSS_SELECTOR, "button").click()
        shown = lambda: route.find_elements(By.CSS_SELECTOR, "form pre:not([hidden]), form .fault:not([hidden])")  # noqa: E731
        return page.wait(shown)[0].text

    assert json.loads(ask("/v1/models", "GET"))["data"][0]["id"] == "default"
    assert "te_request_count" in ask("/metrics", "GET")
    assert json.loads(ask("/v1/models/{name}", "GET"))["model_version_status"]
    assert len(json.loads(ask("/tokenize"))[0]) > 2
    assert len(json.loads(ask("/embed", body='{"inputs": "a cat", "model": "tiny"}'))[0]) == 12
    assert "no JSON" in ask("/embed", body="{")


def test_tabs_by_keyboard(page, driver):
    page.open("compare")
    driver.find_element(By.ID, "tab-compare").send_keys(Keys.ARROW_RIGHT, Keys.NULL)
    page.wait(lambda: driver.current_url.endswith("#map"))
    assert driver.switch_to.active_element.get_attribute("id") == "tab-map"
    driver.switch_to.active_element.send_keys(Keys.END)
    page.wait(lambda: driver.title.startswith("Routes"))
    driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: driver.title.startswith("Compare"))


@pytest.mark.parametrize(("view", "module"), [*VIEWS.items()][:-1])  # all but the routes, which have a form
def test_the_code_that_is_shown_runs(page, view, module):
    page.open(view, module)
    if view == "map":
        page.press("Show an example")
        page.one("canvas")
    page.wait(lambda: page.all(".snippets"))
    page.press("Copy as curl")
    answer = subprocess.run(["bash", "-c", page.one("pre").text], capture_output=True, text=True, check=True).stdout
    assert "error" not in json.loads(answer)
    page.press("Copy as Python")
    code = page.one("pre").text
    compile(code, view, "exec")
    if module == "default" and view != "two":
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


@pytest.mark.parametrize(("view", "module"), [*VIEWS.items()])
def test_nothing_is_wider_than_a_phone(page, view, module):
    page.look(size=PHONE)
    page.open(view, module)
    if view == "map":
        page.press("Show an example")
        page.one("canvas")
    page.wait(lambda: page.all("#panel .results > *"))
    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
    hidden = "return [...document.querySelectorAll('.scroll')].map((each) => each.scrollWidth - each.clientWidth)"
    assert not any(page.run(hidden))  # heat maps of five sentences are whole


@pytest.mark.skipif(not AXE.exists(), reason="npm install --prefix .venv/page axe-core")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("view", "module"), [*VIEWS.items()])
def test_axe_finds_nothing_serious(page, view, module, dark):
    page.look(dark=dark)
    page.open(view, module)
    if view == "map":
        page.press("Show an example")
        page.one("canvas")
    page.wait(lambda: page.all("#panel .results > *"))
    page.run(AXE.read_text("utf-8"))
    found = page.driver.execute_async_script("axe.run().then((results) => arguments[0](results.violations))")
    assert [(fault["id"], fault["nodes"][0]["target"]) for fault in found] == []


def test_what_a_server_refuses_is_said(page):
    page.open("compare")
    page.run("const f = document.querySelector('textarea'); f.value = 'a'.repeat(1000001) + '\\nb';"
             "f.dispatchEvent(new Event('input'))")  # fmt: skip
    page.wait(lambda: "texts of at most 1000000 characters" in page.one(".results").text)
    assert "422" in page.faults()[0]  # the browser's own note of it


def test_a_server_with_a_key_asks_for_it(driver, modules):
    with serving({"tiny": modules["tiny"]}, api_key="secret") as address:
        page = Page(driver, address)
        page.look()
        driver.get(address)
        page.wait(lambda: page.one("#key").is_displayed())
        page.one("#key").send_keys(Keys.ESCAPE)
        page.wait(lambda: page.text("#panel .fault") == ["This server asks for a key. Load the page again to give it."])
        driver.refresh()
        page.wait(lambda: page.one("#key").is_displayed())
        page.one("#key").send_keys("secret", Keys.ENTER)
        page.wait(lambda: page.text("#module option") == ["tiny"])
        page.wait(lambda: page.all("td.heat"))
    page.faults()
