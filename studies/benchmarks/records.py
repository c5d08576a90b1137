"""What a study of many records costs those that read it: CPU, memory, and how both grow.

    python studies/benchmarks/records.py [--sizes N ...] [--repeats R] [--keep FOLDER]

The studies are searched, which takes ten minutes for 20,000 trials: random candidates of `mixing` under a bound, four
objectives (some hundred members on the front), trials that do nothing; every log line, folder and weights file is that
of a search. To be continued by a sampler that learns, a copy of the study names it, and its log the generations that a
genetic one would have noted.

Every measurement is a process of its own, one thread. It runs the command on a study of ten trials first, so that all
imports are done, and then measures it: CPU seconds of the process, and the most memory that it ever held, imports
included. The sizes take turns, and the least of all repeats counts: on a shared machine the same work takes up to twice
as long, never less. The time of a loop of fixed length, measured along, says how much slower the machine was at times.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import tomli_w
from overhead import OMEGA, REMOVED, SMALL, head, row

STUDY = {
    "name": "records",
    "objectives": ["first", "second", "third", "macs"],
    "objective": {name: {"kind": "noop", "number": i} for i, name in enumerate(("first", "second", "third"))},
    "bounds": {"macs": 200_000},
    "plugins": [str(Path(__file__).with_name("noop.py"))],
    "space": {"kind": "mixing", "omega": OMEGA, "remove": REMOVED, "choices": SMALL},
    "training": {"kind": "noop"},
    "search": {"sampler": "random"},
}
SMALLEST = 10
"""Trials of the study on which a command is run first."""
GENERATION = 20
"""Trials of a generation of the genetic samplers."""

COMMANDS: dict[str, tuple[list[str], float]] = {
    "nas status": (["status", "{run}"], 3),
    "nas pareto": (["pareto", "{run}"], 3),
    "nas pareto --all": (["pareto", "{run}", "--all"], 3),
    "nas pareto --all --csv": (["pareto", "{run}", "--all", "--csv"], 3),
    "nas show": (["show", "{run}", "0"], 3),
    "nas optuna": (["optuna", "{run}", "-o", "{run}.db"], 60),
    "nas search, one more, front": (["search", "{study}", "--out", "{run}", "--trials", "{more}"], 20),
    "nas search, one more, tpe": (["search", "{study}", "--out", "{run}", "--trials", "{more}"], 20),
    "nas search, one more, nsga2": (["search", "{study}", "--out", "{run}", "--trials", "{more}"], 20),
}
"""Arguments, and CPU seconds that they may take at 20,000 records."""
MEMORY = {"nas optuna": 600}
"""MB that a command may hold at 20,000 records."""
GROWTH = 1.15


def search(n: int, folder: Path) -> None:
    """Makes the study of ``n`` complete trials, unless it is there."""
    run = folder / f"random-{n}"
    if (run / "done").exists():
        return
    (folder / f"random-{n}.toml").write_text(tomli_w.dumps({**STUDY, "trials": n}))
    command = [sys.executable, "-m", "nas", "search", str(folder / f"random-{n}.toml"), "--out", str(run)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    (run / "done").touch()


def continued(n: int, sampler: str, folder: Path) -> Path:
    """The study of ``n`` trials as one that ``sampler`` proposes for; its weights are those of the other."""
    before, run = folder / f"random-{n}", folder / f"{sampler}-{n}"
    if run.exists():
        return run
    run.mkdir()
    (folder / f"{sampler}-{n}.toml").write_text(tomli_w.dumps({**STUDY, "search": {"sampler": sampler}}))
    settings = (before / "study.toml").read_text().replace('sampler = "random"', f'sampler = "{sampler}"')
    (run / "study.toml").write_text(settings)
    (run / "trials.jsonl").write_bytes((before / "trials.jsonl").read_bytes())
    with open(run / "events.jsonl", "w") as log:
        for line in (before / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "asked" and sampler == "nsga2":
                event["memory"] = {"_NSGA2:generation": event["number"] // GENERATION}
            print(json.dumps(event, separators=(",", ":")), file=log)
    return run


def called(name: str, n: int, folder: Path) -> list[str]:
    """Arguments of a command on the study of ``n`` trials."""
    sampler = name.rpartition(", ")[2]
    run = continued(n, sampler, folder) if "search" in name else folder / f"random-{n}"
    complete = 0
    if "search" in name:
        complete = (run / "trials.jsonl").read_text().count('"status":"complete"')
    words = {"run": run, "study": run.with_suffix(".toml"), "more": complete + 1}
    return [word.format(**words) for word in COMMANDS[name][0]]


def measure(name: str, n: int, folder: Path) -> dict[str, float]:
    """CPU seconds and MB of a command, in this process."""
    from nas.cli import cli

    small, large = called(name, SMALLEST, folder), called(name, n, folder)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        cli.main(small, standalone_mode=False)
        started = time.process_time()
        cli.main(large, standalone_mode=False)
    seconds = time.process_time() - started
    # Not by getrusage, which begins with what the parent of a process held.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"seconds": seconds, "mb": 1.024 * int(status["VmHWM"].split()[0]) / 1000, "loop": loop()}


def loop() -> float:
    """CPU seconds that a million additions take at this moment."""
    started = time.process_time()
    total = 0
    for i in range(1_000_000):
        total += i
    return time.process_time() - started


def measured(name: str, n: int, folder: Path, seconds: float) -> dict[str, float] | None:
    """As `measure`, in a process of its own; None if it takes longer than ``seconds``."""
    command = [sys.executable, __file__, "--measure", name, str(n), "--keep", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{name} on {n} trials failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(sizes: list[int], repeats: int, only: list[str], seconds: float, folder: Path) -> None:
    """Measures all commands and prints the table."""
    for n in (SMALLEST, *sizes):
        search(n, folder)
    logs = {n: (folder / f"random-{n}" / "trials.jsonl").read_bytes().count(b"\n") for n in sizes}
    import nas

    fronts = {n: len(nas.open(folder / f"random-{n}").front) for n in sizes}
    print("; ".join(f"{n:,} trials: {logs[n]:,} records, {fronts[n]} on the front" for n in sizes))
    print(f"Python {platform.python_version()}, torch {version('torch')}, optuna {version('optuna')}\n")
    head("command", *(f"{n:,} trials, s" for n in sizes), "grows as records^", *(f"{n:,}, MB" for n in sizes), "goal")
    loops = []
    for name in only:
        turns = [(n, measured(name, n, folder, seconds)) for _ in range(repeats) for n in sizes]
        runs = {n: [run for size, run in turns if size == n] for n in sizes}
        cells: list[str] = []
        loops += [run["loop"] for _, run in turns if run]
        times = {n: min(run["seconds"] for run in each if run) for n, each in runs.items() if all(each)}
        cells += [f"{times[n]:.2f}" if n in times else f"over {seconds:g}" for n in sizes]
        growth = "-"
        if len(times) > 1:
            points = np.log([[logs[n], max(times[n], 1e-3)] for n in times])
            growth = f"{np.polyfit(*points.T, 1)[0]:.2f}"
        peaks = {n: median(run["mb"] for run in each if run) for n, each in runs.items() if all(each)}
        goal = f"{COMMANDS[name][1]:g} s" + (f", {MEMORY[name]} MB" if name in MEMORY else "") + f", {GROWTH}"
        row(name, *cells, growth, *(f"{peaks[n]:.0f}" if n in peaks else "-" for n in sizes), goal)
        sys.stdout.flush()
    if loops:
        print(f"\nThe loop took {min(loops):.3f} to {max(loops):.3f} s, {median(loops):.3f} in the median.")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[2_000, 20_000], help="complete trials of the studies")
    parser.add_argument("--repeats", type=int, default=3, help="of every measurement")
    parser.add_argument("--seconds", type=float, default=300, help="for one measurement")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="commands")
    parser.add_argument("--keep", type=Path, help="folder for the studies, used again the next time")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, n = options.measure
        print(json.dumps(measure(name, int(n), options.keep)))
        return
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="records-")))
        folder.mkdir(parents=True, exist_ok=True)
        compare(options.sizes, options.repeats, options.only, options.seconds, folder.resolve())


if __name__ == "__main__":
    main()
