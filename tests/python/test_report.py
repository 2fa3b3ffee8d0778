"""report.html in a browser: real mouse and key events, headless, software rendering. Skipped where there is no Chromium with its driver."""
import base64
import json
import re
import shutil
import time

import numpy as np
import pytest

from conftest import BRIEF, TINY, cryodeco, newest_analysis

webdriver = pytest.importorskip("selenium.webdriver")
from axe_core_python.selenium import Axe  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("report") / "<img src=x onerror=alert(1)>&\"'run"  # markup in a name stays text
    cryodeco("run", "--particles", TINY / "project/J12", "--outdir", place, *BRIEF, "--seed", "1")
    return place


def test_the_page_is_whole_without_a_browser(run):
    page = (newest_analysis(run) / "report.html").read_text()
    assert "default-src 'none'" in page and "unsafe" not in page.split("<style")[0]
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page.split("<script nonce")[0])
    assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt;&amp;" in page
    words = json.loads((newest_analysis(run) / "clustering2/answers.json").read_text())["words"]
    assert page.index("What was found") < page.index('id="particles"')
    assert len(words) == len(re.findall(r"<p class=\"(?:answer)?(?: check)?\">", page))
    for image in re.findall(r"data:image/png;base64,([^\"]+)", page):
        assert base64.b64decode(image, validate=True).startswith(b"\x89PNG")


def test_every_plot_stands_once_and_the_maps_come_first(run):
    analysis = newest_analysis(run)
    page = (analysis / "report.html").read_text()
    there = [str(p.relative_to(analysis)) for p in analysis.rglob("*.png")]
    assert sorted(re.findall(r"<figcaption>([^<]+)</figcaption>", page)) == sorted(there)
    at = [page.index(f"<figcaption>{name}<") for name in ("clustering2/vol_000.png", "clustering2/validation/fsc_000.png", "clustering2/umap_clusters.png", "pca.png", "loss.png")]
    assert at == sorted(at)


@pytest.fixture(scope="module")
def browser(run, tmp_path_factory):
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium with its driver")
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=1200,1000"):
        options.add_argument(word)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads), "download.prompt_for_download": False})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    b = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    b.downloads = downloads
    b.get((newest_analysis(run) / "report.html").as_uri())
    until = time.time() + 60
    while not b.execute_script("return document.body.dataset.surface") and time.time() < until:
        time.sleep(0.2)
    if not b.execute_script("return !!window.THREE"):
        b.quit()
        pytest.skip("built without three.js")
    yield b
    b.quit()


def take_file(b):
    until = time.time() + 30
    while time.time() < until:
        files = [p for p in b.downloads.iterdir() if p.suffix == ".json" and p.stat().st_size]  # its name is there before its bytes
        if files:
            text = json.loads(files[0].read_text())
            path = files[0]
            return path, text
        time.sleep(0.1)
    raise AssertionError("no file was saved")


def count(b):
    return int(re.match(r"([\d,]+) of", b.find_element(By.ID, "count").text)[1].replace(",", ""))


def click(b, element):
    b.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def inside(x, y, corners):
    odd = np.zeros(len(x), bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1]):
        with np.errstate(divide="ignore", invalid="ignore"):
            odd ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return odd


def test_what_the_lasso_holds_is_what_subset_gives(browser, run, tmp_path):
    b = browser
    for name, axis in ("x", "PC 1"), ("y", "PC 2"):
        b.find_element(By.XPATH, f"//select[@id='{name}']/option[.='{axis}']").click()
    canvas = b.find_element(By.CSS_SELECTOR, "#scatter canvas")
    b.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    click(b, b.find_element(By.ID, "lasso"))
    b.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    chain = ActionChains(b, duration=20).move_to_element_with_offset(canvas, -150, -120).click_and_hold()
    for dx, dy in (300, 0), (0, 260), (-300, -30):
        chain.move_by_offset(dx, dy)
    start = time.time()
    chain.release().perform()
    assert count(b) > 0 and time.time() - start < 10
    click(b, b.find_element(By.ID, "lasso"))
    click(b, b.find_element(By.ID, "save"))
    path, chosen = take_file(b)
    assert chosen["axes"] == ["pc_1", "pc_2"] and len(chosen["polygon"]) >= 4
    z = np.load(newest_analysis(run) / "z_pca.npy")
    expected = inside(z[:, 0].astype(float), z[:, 1].astype(float), chosen["polygon"])
    assert abs(int(expected.sum()) - count(b)) <= 2  # the page has the columns in 65,536 steps
    cryodeco("subset", run, "--selection", path, "--output", tmp_path / "chosen")
    cs = tmp_path / "chosen.cs"
    uid = np.load(run / "out/uid.npy")
    assert np.array_equal(np.load(cs)["uid"], uid[expected])
    path.unlink()


def test_everything_can_be_chosen_with_the_keyboard(browser, run):
    b = browser
    labels = np.load(newest_analysis(run) / "clustering2/labels.npy")
    box = b.find_element(By.CSS_SELECTOR, "#clusters input[value='1']")
    b.execute_script("arguments[0].focus()", box)
    keys = ActionChains(b).send_keys(Keys.SPACE)
    keys.send_keys(Keys.TAB * 4).perform()  # range, from, to, the button
    assert b.switch_to.active_element.get_attribute("id") == "choose"
    ActionChains(b).send_keys(Keys.ENTER).perform()
    assert count(b) == int((labels == 1).sum())
    click(b, b.find_element(By.ID, "save"))
    path, chosen = take_file(b)
    rows = np.concatenate([np.arange(a, a + n) for a, n in chosen["rows"]])
    assert np.array_equal(rows, np.flatnonzero(labels == 1)) and chosen["n"] == len(labels)
    path.unlink()
    canvas = b.find_element(By.CSS_SELECTOR, "#scatter canvas")
    canvas.send_keys("+", Keys.ARROW_LEFT, "-", "0")


def test_the_lasso_can_be_drawn_with_the_keyboard(browser, run, tmp_path):
    b = browser
    for name, axis in ("x", "PC 1"), ("y", "PC 2"):
        b.find_element(By.XPATH, f"//select[@id='{name}']/option[.='{axis}']").click()
    canvas = b.find_element(By.CSS_SELECTOR, "#scatter canvas")
    canvas.send_keys("0", "l", Keys.ARROW_LEFT * 8, Keys.ARROW_UP * 5, Keys.ENTER, Keys.ARROW_RIGHT * 14, Keys.ENTER, Keys.ARROW_DOWN * 11, Keys.ENTER)
    assert "corners: 3" in b.find_element(By.ID, "said").text
    canvas.send_keys("c")
    click(b, b.find_element(By.ID, "save"))
    path, chosen = take_file(b)
    assert chosen["axes"] == ["pc_1", "pc_2"] and len(chosen["polygon"]) == 3
    z = np.load(newest_analysis(run) / "z_pca.npy").astype(float)
    expected = inside(z[:, 0], z[:, 1], chosen["polygon"])
    assert expected.sum() > 20 and abs(int(expected.sum()) - count(b)) <= 2
    path.unlink()
    canvas.send_keys("l", Keys.ENTER, Keys.ESCAPE)
    assert b.find_element(By.ID, "outline").get_attribute("points") == ""


def test_the_level_and_the_maps_answer_to_keys(browser):
    b = browser
    level = b.find_element(By.ID, "level")
    before = b.find_element(By.ID, "levelText").text
    level.send_keys(Keys.ARROW_RIGHT * 5)
    assert b.find_element(By.ID, "levelText").text != before
    click(b, b.find_element(By.ID, "beside"))
    assert b.find_element(By.ID, "shown").text == "cluster 0; cluster 1"
    b.find_element(By.CSS_SELECTOR, "#surface canvas").send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP, "+")


def test_it_can_be_read_by_all(browser):
    """axe-core's rules: no finding at all, least of all a serious one."""
    found = Axe().run(browser)["violations"]
    assert [(v["impact"], v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found] == []
    rows = browser.find_elements(By.CSS_SELECTOR, "table tr")
    assert len(rows) == 3 and rows[1].text.startswith("cluster 0")


def test_names_stay_text(browser):
    assert browser.execute_script("return document.querySelectorAll('img:not([src^=data])').length") == 0


def test_nothing_was_asked_of_the_network_and_nothing_failed(browser):
    b = browser
    asked = b.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [a for a in asked if not a.startswith(("data:", "blob:"))] == []
    assert [e for e in b.get_log("browser") if e["level"] == "SEVERE"] == []
