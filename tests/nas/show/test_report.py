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

BAD = "<img src=x onerror=document.title='run'>[red]"


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


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile", "1400,1000", webgl=True) as found:
        yield found


def until(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 120, 0.2).until(lambda page: page.execute_script(script))


def drawn(browser: Any) -> None:
    """Scrolls every panel into view until it is drawn."""
    deadline = time.monotonic() + 240
    while panels := browser.execute_script(UNDRAWN):
        assert time.monotonic() < deadline, panels
        browser.execute_script(f"document.getElementById({panels[0]!r}).scrollIntoView({{block: 'center'}})")
        time.sleep(0.2)


@pytest.mark.slow
def test_a_person_can_use_it_without_a_network(searched: Path, tmp_path: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    study = written(searched, tmp_path / "run", 200)
    file = tmp_path / "run" / "study.toml"
    file.write_text(file.read_text().replace('name = "small"', f"name = {json.dumps(BAD)}", 1))
    result = run("report", study.directory, "-o", tmp_path / "report.html")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "report.html").stat().st_size < 3e6
    browser.get((tmp_path / "report.html").as_uri())
    until(browser, READY)
    drawn(browser)
    assert "document.title='run'" in browser.find_element(By.ID, "name").text  # as text
    assert browser.title != "run"

    member = "return document.querySelector('#details h2').textContent"
    rows = browser.find_elements(By.CSS_SELECTOR, "#trials tbody tr")
    assert len(rows) == len(study.front)
    rows[-1].send_keys(Keys.ENTER)
    number = rows[-1].find_elements(By.TAG_NAME, "td")[0].text.split()[-1]
    assert browser.execute_script(member).startswith(f"trial {number},")
    assert browser.find_elements(By.CSS_SELECTOR, "#details svg .name")

    # A click on a marker: its place on the screen is that of the drawn point.
    place = browser.execute_script(
        "const e = document.querySelector('#pairs > div'); e.scrollIntoView({block: 'center'});"
        "const p = e.querySelector('.scatterlayer .trace:first-child .points path').getBoundingClientRect();"
        "return [p.x + p.width / 2, p.y + p.height / 2, T.number[e.data[0].customdata[0]]]"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        time.sleep(0.2)
    until(browser, f"return document.querySelector('#details h2').textContent.startsWith('trial {place[2]},')")

    # A range on an axis filters the table.
    browser.execute_script("Plotly.restyle('parallel', {'dimensions[0].constraintrange': [[0.7, 1]]}, [0])")
    kept = len(study.where(study.front, "accuracy>=0.7 and accuracy<=1"))
    until(browser, f"return document.querySelectorAll('#trials tbody tr').length === {kept}")
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []


@pytest.mark.slow
def test_ghosts_have_switches_and_a_reload_keeps_them_with_the_selection(
    searched: Path, tmp_path: Path, browser: Any
) -> None:
    study = written(searched, tmp_path / "run", 60)
    assert run("report", study.directory, "-o", tmp_path / "report.html").returncode == 0
    browser.get((tmp_path / "report.html").as_uri())
    until(browser, READY)
    switches = "return [...document.querySelectorAll('#ghosts input')].map(e => e.id)"
    assert browser.execute_script(switches) == ["ghost-dominated", "ghost-infeasible", "ghost-failed"]
    symbols = "return document.querySelector('#pairs > div').data.map(trace => trace.marker.symbol)"
    until(browser, "return document.querySelector('#pairs > div').dataset.drawn")
    assert "triangle-up" not in browser.execute_script(symbols)
    browser.execute_script("document.getElementById('ghost-infeasible').click()")
    until(browser, f"{symbols.replace('return ', 'return (')}).includes('triangle-up')")
    other = next(record.number for record in study.front if record.number != study.pick("knee").number)
    browser.execute_script(f"choose(T.number.indexOf({other}), false)")
    browser.refresh()
    until(browser, READY)
    assert browser.execute_script("return [T.number[chosen], ...ghosts]") == [other, "infeasible"]
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.slow
def test_on_a_phone_a_tap_opens_the_member_over_the_charts(searched: Path, tmp_path: Path, browser: Any) -> None:
    result = run("report", searched, "-o", tmp_path / "report.html")
    assert result.returncode == 0, result.stderr
    phone = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.get((tmp_path / "report.html").as_uri())
    until(browser, READY)
    assert browser.execute_script("return document.getElementById('member').hidden")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    x, y = browser.execute_script(
        "const e = document.querySelector('#trials tbody tr'); e.scrollIntoView({block: 'center'});"
        "const r = e.getBoundingClientRect(); return [r.x + 20, r.y + 20]"
    )
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(browser, "return !document.getElementById('member').hidden")
    top, bottom = browser.execute_script(
        "const r = document.getElementById('member').getBoundingClientRect(); return [r.top, r.bottom]"
    )
    assert 0 < top < bottom <= 801
