"""The dashboard, as a person opens it: the front in its Pareto plot and among its best trials is that of the study."""

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from browser import chromium

import nas
from nas.results.study import Study

pytestmark = pytest.mark.slow

PARETO = """
const plot = document.getElementById("graph-pareto-front");
if (!plot || !plot.data || !plot.data.some(trace => trace.text && trace.text.length)) return null;
return plot.data.map(trace => ({
    kind: /<extra>(.*)<.extra>/.exec(trace.hovertemplate)[1],
    points: (trace.text || []).map((text, i) => [JSON.parse(text.replace(/<br>/g, "")).number, trace.x[i], trace.y[i]]),
}));
"""
"""The traces of the Pareto plot: kind and [number, x, y] of every point; None until they are drawn."""

BEST = """
const found = [...document.querySelectorAll("a")].map(link => /trials.numbers=(\\d+)$/.exec(link.href));
return found.filter(Boolean).map(match => Number(match[1]));
"""
"""Numbers of the trials in the list of best trials, which link to their pages."""


@pytest.fixture
def study(study_file: Callable[..., Path], tmp_path: Path) -> Study:
    """A study with infeasible trials, and two on its front that are equal in all objectives."""
    path = study_file(trials=8, bounds={"macs": 8_000}, search={"sampler": "random"}, training={"epochs": 4})
    best = nas.search(path, out=tmp_path / "run").front[0]
    last = max(record.number for record in nas.open(tmp_path / "run").records)
    with open(tmp_path / "run" / "trials.jsonl", "a") as log:
        log.write(json.dumps(replace(best, number=last + 1).to_json()) + "\n")
    found = nas.open(tmp_path / "run")
    assert {record.status for record in found.records} == {"complete", "infeasible"}
    assert len(found.front) >= 2
    return found


@pytest.fixture
def dashboard(study: Study, tmp_path: Path) -> Iterator[str]:
    """Address of a dashboard, started as ``nas optuna`` says."""
    pytest.importorskip("optuna_dashboard")
    command = [sys.executable, "-m", "nas", "optuna", str(study.directory), "-o", str(tmp_path / "study.db")]
    words = shlex.split(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    start = words.index("optuna-dashboard")
    program = Path(sys.executable).with_name(words[start])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(tmp_path / "dashboard.log", "w") as log:
        process = subprocess.Popen(
            [program, words[start + 1], "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None, (tmp_path / "dashboard.log").read_text()
                assert time.monotonic() < deadline, "the dashboard does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with chromium(tmp_path / "profile") as found:
        yield found


def test_the_dashboard_shows_the_front_of_the_study(study: Study, dashboard: str, browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(f"{dashboard}/dashboard/studies/1")
    traces = WebDriverWait(browser, 120).until(lambda page: page.execute_script(PARETO))
    shown = {trace["kind"]: {number: (x, y) for number, x, y in trace["points"]} for trace in traces}

    names = list(study.objectives)[:2]  # the axes of the plot, unless others are picked
    front = {record.number: tuple(record.measured[name] for name in names) for record in study.front}
    complete = {record.number: tuple(record.measured[name] for name in names) for record in study.complete}
    assert shown["Best Trial"] == front
    assert shown["Trial"] == {number: point for number, point in complete.items() if number not in front}
    assert not shown["Infeasible Trial"]
    assert sorted(browser.execute_script(BEST)) == sorted(front)

    hosts = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert hosts
    assert all(host.startswith(dashboard) for host in hosts)


def test_the_dashboard_knows_states_and_constraints_of_all_trials(study: Study, dashboard: str) -> None:
    with urlopen(f"{dashboard}/api/studies/1") as answer:
        detail = json.load(answer)
    assert detail["objective_names"] == list(study.objectives)
    states = {"complete": "Complete", "infeasible": "Pruned"}
    assert [(trial["number"], trial["state"], trial["constraints"]) for trial in detail["trials"]] == [
        (record.number, states[record.status], [record.measured["macs"] / 8_000 - 1]) for record in study.records
    ]
    assert sorted(t["number"] for t in detail["best_trials"]) == sorted(record.number for record in study.front)
