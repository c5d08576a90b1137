"""The report: its data are those of the study, nothing of a study runs in it, and a person can use it."""

import base64
import gzip
import hashlib
import json
import random
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from made_up import Trial, made_up
from terminal import run

import nas
from nas.results.study import Study
from nas.show.report.data import report_data
from nas.show.report.page import page
from nas.show.report.watch import watch
from nas.store.history import History

OWN = Path(__file__).parents[1] / "plugins"
BAD = "<img src=x onerror=document.title='run'>[red]"

RUNGS = """
name = NAME
trials = 36
objectives = ["accuracy", "robust_accuracy", "macs"]
plugins = ["gate.py"]

[space]
kind = "mixing"
omega = [256]

[space.choices]
layout = ["pyramid"]
depth = [1, 2]
dim = [8, 16]
patch = [4]
mixer = ["conv", "pooling", "left_gate"]

[bounds]
macs = 9_000

[data]
name = "digits"
limit = 200

[training]
epochs = 2

[search]
sampler = "random"

[search.rungs]
epochs = [1, 2]

[objective.robust_accuracy]
attack = "fgsm"
samples = 40
"""


def written(searched: Path, place: Path, trials: int, **changes: Any) -> Study:
    """A study with many trials, whose values are made up; every tenth failed, every fifteenth is infeasible."""

    def change(study: Study, trial: Trial, generator: random.Random) -> Trial:
        picks, number = trial["picks"], trial["number"]
        accuracy = 0.4 + 0.3 * (picks["dim"] == 16) + 0.2 * generator.random()
        macs = 10 ** (3 + 2 * accuracy + generator.random())
        one: Trial = {"measured": {"accuracy": accuracy, "robust_accuracy": accuracy * 0.8, "macs": macs}}
        one["architecture"] = study.space.decode(picks).to_json()
        if number % 10 == 9:
            one |= {"status": "failed", "failure": "bug", "measured": {}, "error": f"{BAD}\x1b[2J"}
        elif number % 15 == 7:
            one |= {"status": "infeasible", "violations": {"macs": 0.5}, "measured": {"macs": macs}}
        return one | changes

    return made_up(searched, place, trials, change)


def unpacked(html: str, name: str) -> str:
    (packed,) = re.findall(rf'id="packed-{name}">([^<]*)<', html)
    return gzip.decompress(base64.b64decode(packed)).decode()


def test_the_data_are_those_of_the_study(searched: Path) -> None:
    study = nas.open(searched)
    data = report_data(study)
    front = [n for n, state in zip(data["trials"]["number"], data["trials"]["state"], strict=True) if state == "front"]
    assert sorted(front) == sorted(record.number for record in study.front)
    assert data["knee"] == study.pick("knee").number
    assert data["course"]["hypervolume"][-1] == pytest.approx(study.hypervolume, abs=1e-6)
    assert all(member["svg"].startswith("<svg") for member in data["members"].values())
    assert sum(row["trials"] for row in data["ledger"]) == len(study.records)
    json.dumps(data, allow_nan=False)


def test_the_policy_lets_only_the_two_scripts_run_and_nothing_load(searched: Path) -> None:
    html = page(report_data(nas.open(searched)))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none';")
    assert "eval" not in policy  # no text becomes a function
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    for text in (script, unpacked(html, "plotly")):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


def test_names_and_errors_that_look_like_markup_are_only_in_the_packed_data(searched: Path, tmp_path: Path) -> None:
    study = written(searched, tmp_path / "run", 20)
    file = tmp_path / "run" / "study.toml"
    file.write_text(file.read_text().replace('name = "small"', f"name = {json.dumps(BAD)}", 1))
    html = page(report_data(nas.open(study.directory)))
    assert "<img" not in html
    assert "&lt;img src=x" in html  # the title
    assert "\x1b" not in html
    assert json.loads(unpacked(html, "data"))["name"] == BAD


def test_studies_without_a_front_with_one_objective_and_beside_each_other_have_a_report(
    searched: Path, tmp_path: Path
) -> None:
    failed = written(searched, tmp_path / "failed", 5, status="failed", failure="bug", measured={}, error="no")
    data = report_data(failed, [nas.open(searched)])
    assert data["knee"] is None
    assert data["others"][0]["hypervolume"] == pytest.approx(nas.open(searched).hypervolume)
    assert data["differs"] == []
    (failed.directory / "trials.jsonl").write_text("")
    assert report_data(nas.open(failed.directory))["ledger"] == []
    assert len(report_data(nas.open(searched).with_only(["macs"]))["objectives"]) == 1


def test_watching_ends_with_the_study_and_leaves_a_page_that_stays(searched: Path, tmp_path: Path) -> None:
    result = run("watch", searched, "-o", tmp_path / "page.html")
    assert result.stdout.count("written:") == 1
    assert "nothing writes to the study any longer" in result.stdout
    assert 'http-equiv="refresh"' not in (tmp_path / "page.html").read_text()


def test_a_study_that_runs_has_a_page_that_is_read_again(searched: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(searched, tmp_path / "run"))
    with History(directory):
        pages = watch(directory, tmp_path / "page.html", 30)
        assert next(pages).endswith("3 trials; it follows every 30 s")
        assert '<meta http-equiv="refresh" content="30">' in (tmp_path / "page.html").read_text()


READY = "return document.body.dataset.ready === 'yes'"
UNDRAWN = "return [...drawers.keys()].filter(id => !document.getElementById(id).dataset.drawn)"
EMPTY = """return [...drawers.keys()].filter(id => {
  const e = document.getElementById(id);
  return !e.querySelector("canvas, .scatterlayer path, .barlayer path");
})"""
"""Panels in which nothing is drawn."""
SYMBOLS = "document.querySelector('#pairs > div').data.map(trace => trace.marker.symbol)"
OPENED = "document.querySelector('#details h2').textContent"
LISTED = "document.querySelectorAll('#trials tbody tr').length"
PLACE = """
const e = document.querySelector('#pairs > div');
const at = e.data.findIndex(t => t.customdata && T.state[t.customdata[0]] === 'front');
const i = e.data[at].customdata.findIndex(row => T.number[row] !== D.knee), row = e.data[at].customdata[i];
e.scrollIntoView({block: 'center'});
const p = e.querySelectorAll('.scatterlayer .trace')[at].querySelectorAll('.points path')[i].getBoundingClientRect();
return [p.x + p.width / 2, p.y + p.height / 2, T.number[row]];
"""
"""Where the first marker of the front that is not the knee's is on the screen, and whose it is."""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile", "1400,1000", webgl=True) as found:
        yield found


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A searched study with rungs, trials that failed or broke a bound, and replicates, and its page."""
    place = tmp_path_factory.mktemp("reported")
    shutil.copy(OWN / "left_gate.py", place / "gate.py")
    text = (place / "gate.py").read_text()
    wide = "if x.shape[1] >= 16:\n            raise RuntimeError('<b>[red] too wide')\n        return x * torch"
    (place / "gate.py").write_text(text.replace("return x * torch", wide))
    (place / "study.toml").write_text(RUNGS.replace("NAME", json.dumps(BAD)))
    for command in (
        ("search", place / "study.toml", "--out", place / "run"),
        ("confirm", place / "run", "--budget", "4"),
        ("report", place / "run", "-o", place / "report.html"),
    ):
        result = run(*command)
        assert result.returncode == 0, result.stderr
    return nas.open(place / "run"), place / "report.html"


def until(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 120, 0.2).until(lambda page: page.execute_script(script))


def opened(browser: Any, page: Path) -> None:
    """Opens the page with every panel drawn."""
    browser.get(page.as_uri())
    until(browser, READY)
    deadline = time.monotonic() + 240
    while panels := browser.execute_script(UNDRAWN):
        assert time.monotonic() < deadline, panels
        browser.execute_script(f"document.getElementById({panels[0]!r}).scrollIntoView({{block: 'center'}})")
        time.sleep(0.2)


def mouse(browser: Any, *steps: tuple[str, float, float]) -> None:
    for kind, x, y in steps:
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        time.sleep(0.2)


def quiet(browser: Any) -> bool:
    """Whether the console has heard of no error; the policy's refusals are errors there."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.slow
def test_every_panel_of_a_study_with_rungs_failures_and_replicates_is_drawn_without_a_network(
    reported: tuple[Study, Path], browser: Any
) -> None:
    study, page = reported
    assert {record.status for record in study.records} >= {"complete", "truncated", "failed", "infeasible"}
    opened(browser, page)
    assert browser.execute_script(EMPTY) == []
    assert BAD in browser.execute_script("return document.getElementById('name').textContent")  # as text
    assert browser.title != "run"
    switches = "return [...document.querySelectorAll('#ghosts input')].map(e => e.id)"
    ghosts = ["ghost-dominated", "ghost-infeasible", "ghost-truncated", "ghost-failed"]
    assert set(browser.execute_script(switches)) == set(ghosts)
    assert browser.execute_script("return D.ledger.find(row => row.what === 'infeasible').epochs") == 0
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    light = browser.execute_script("return document.querySelector('#pairs > div').layout.font.color")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    until(browser, f"return document.querySelector('#pairs > div').layout.font.color !== '{light}'")
    assert quiet(browser)


@pytest.mark.slow
def test_enter_and_a_click_open_a_member(reported: tuple[Study, Path], browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    study, page = reported
    opened(browser, page)
    rows = browser.find_elements(By.CSS_SELECTOR, "#trials tbody tr")
    assert len(rows) == len(study.front)
    number = rows[-1].find_elements(By.TAG_NAME, "td")[0].text.split()[-1]
    rows[-1].send_keys(Keys.ENTER)
    assert browser.execute_script(f"return {OPENED}").startswith(f"trial {number},")
    assert browser.find_elements(By.CSS_SELECTOR, "#details svg .name")
    x, y, number = browser.execute_script(PLACE)
    mouse(browser, ("mouseMoved", x, y), ("mousePressed", x, y), ("mouseReleased", x, y))
    until(browser, f"return {OPENED}.startsWith('trial {number},')")
    assert quiet(browser)


@pytest.mark.slow
def test_a_range_on_an_axis_filters_the_table_and_the_charts(reported: tuple[Study, Path], browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    study, page = reported
    opened(browser, page)
    browser.execute_script("document.getElementById('parallel').scrollIntoView({block: 'center'})")
    x, y, low = browser.execute_script(
        "const r = document.querySelector('#parallel .grip').getBoundingClientRect();"
        "return [r.x + 18, r.y + 2, r.bottom - 40]"
    )
    mouse(
        browser,
        ("mouseMoved", x, low),
        ("mousePressed", x, low),
        ("mouseMoved", x, y + 60),
        ("mouseReleased", x, y + 60),
    )
    least, most = browser.execute_script("return axes[0].kept")
    kept = [r for r in study.front if least <= study.value(r, "accuracy") <= most]
    assert 0 < least < most
    until(browser, f"return {LISTED} === {len(kept)}")
    opacity = (
        "document.querySelector('#pairs > div').data.find(t => T.state[t.customdata[0]] === 'front').marker.opacity"
    )
    until(browser, f"return {opacity}.filter(x => x === 1).length === {len(kept)}")
    axis = browser.find_elements(By.CSS_SELECTOR, "#parallel .axis")[0]
    axis.send_keys(Keys.ESCAPE)  # clears it
    until(browser, f"return {LISTED} === {len(study.front)}")
    browser.switch_to.active_element.send_keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert browser.execute_script("return axes[0].kept[0] > axes[0].low && axes[0].kept[1] === axes[0].high")
    browser.find_element(By.ID, "clear").click()
    until(browser, f"return {LISTED} === {len(study.front)}")
    box = browser.find_element(By.ID, "filter")
    value = study.value(study.front[0], "accuracy")
    box.send_keys(f"accuracy>={value:.4f}")
    until(
        browser, f"return {LISTED} === {len([r for r in study.front if study.value(r, 'accuracy') >= round(value, 4)])}"
    )
    assert quiet(browser)


@pytest.mark.slow
def test_ghosts_have_switches_and_a_reload_keeps_them_with_the_selection(
    reported: tuple[Study, Path], browser: Any
) -> None:
    study, page = reported
    opened(browser, page)
    assert "triangle-up" not in browser.execute_script(f"return {SYMBOLS}")
    for name in ("infeasible", "truncated", "failed", "dominated"):
        browser.execute_script(f"document.getElementById('ghost-{name}').click()")
    until(browser, f"return ['triangle-up', 'square', 'x'].every(symbol => ({SYMBOLS}).includes(symbol))")
    browser.execute_script("document.getElementById('ghost-failed').click()")
    until(browser, f"return !({SYMBOLS}).includes('x')")
    other = next(record.number for record in study.front if record.number != study.pick("knee").number)
    browser.execute_script(f"choose(T.number.indexOf({other}), false)")
    browser.refresh()
    until(browser, READY)
    kept = [other, "infeasible", "truncated", "dominated"]
    assert browser.execute_script("return [T.number[chosen], ...ghosts]") == kept
    assert quiet(browser)


@pytest.mark.slow
def test_on_a_phone_a_tap_opens_the_member_over_the_charts(reported: tuple[Study, Path], browser: Any) -> None:
    _, page = reported
    phone = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    opened(browser, page)
    assert browser.execute_script("return document.getElementById('member').hidden")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400

    def tap(x: float, y: float) -> None:
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            time.sleep(0.1)
        until(browser, "return !document.getElementById('member').hidden")

    x, y, number = browser.execute_script(PLACE)  # a marker of a chart
    tap(x, y)
    assert browser.execute_script(f"return {OPENED}").startswith(f"trial {number},")
    top, bottom = browser.execute_script(
        "const r = document.getElementById('member').getBoundingClientRect(); return [r.top, r.bottom]"
    )
    assert 0 < top < bottom <= 801
    browser.execute_script("document.getElementById('close').click()")
    tap(  # a card of the table
        *browser.execute_script(
            "const e = document.querySelector('#trials tbody tr'); e.scrollIntoView({block: 'center'});"
            "const r = e.getBoundingClientRect(); return [r.x + 20, r.y + 20]"
        )
    )
    assert quiet(browser)
