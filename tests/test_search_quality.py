"""The benchmark of samplers looks networks up that were trained before, or made up."""

import re
import subprocess
import sys
from pathlib import Path


def in_benchmarks(repository: Path, script: str) -> str:
    """Runs Python code beside the benchmarks; what it prints."""
    place = repository / "studies" / "benchmarks"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_finds_a_share_of_the_true_front_and_is_shown_again_without_being_run(
    repository: Path, tmp_path: Path
) -> None:
    options = ["--problems", "cheap_end", "--samplers", "random", "--seeds", "1", "--flight", "3"]
    options += ["--out", str(tmp_path / "runs.jsonl")]
    script = f"""
import sys
import search_quality
for more in (["--trials", "25"], ["--show", "--plot", {str(tmp_path / "plot.png")!r}]):
    sys.argv = ["search_quality.py", *{options}, *more]
    search_quality.main()
"""
    shares = re.findall(r"^\| `random` \| 1 \| ([\d.]+) \(", in_benchmarks(repository, script), re.MULTILINE)
    assert len(shares) == 2
    assert 0.4 < float(shares[0]) == float(shares[1]) < 1
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_a_search_that_ends_by_its_epochs_says_what_its_rungs_have_lost(repository: Path, tmp_path: Path) -> None:
    script = f"""
import sys
import search_quality
options = ["--problems", "mixing", "--samplers", "random", "random/rungs", "--seeds", "1", "--epochs", "90"]
sys.argv = ["search_quality.py", *options, "--out", {str(tmp_path / "runs.jsonl")!r}]
search_quality.main()
"""
    rows = re.findall(r"^\| `([^`]+)` \| 1 \| (.*) \|$", in_benchmarks(repository, script), re.MULTILINE)
    (_, whole), (_, rungs) = ((name, figures.split(" | ")) for name, figures in rows)
    assert 0 < float(whole[0]) < 1
    assert (whole[3], whole[4].partition(" ")[0]) == ("10", "0")
    assert int(rungs[3]) == 15  # 15 of 3 epochs, of which five went on to 9


def test_cells_with_the_same_network_have_one_key(nas_data: Path, repository: Path) -> None:
    script = """
import cells
assert cells.all_costs("cifar10").shape == (6466, 3)
space = cells.nb201((3, 32, 32), 10)
dead = dict.fromkeys(cells.EDGES, "none")
key = space.decode(dead).key
assert key == space.decode({**dead, "e01": "nor_conv_3x3"}).key  # leads nowhere
assert key != space.decode({**dead, "e03": "skip_connect"}).key
"""
    in_benchmarks(repository, script)


def test_all_picks_lead_to_networks_of_the_table_and_its_own_picks_to_themselves(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "forwards.jsonl").write_text('\n{"number": 0}\n{"number": 1, "va\n{"number": 2}\n')
    (tmp_path / "backwards.jsonl").write_text('\n{"number": 9}\n{"num')  # a training that was killed
    script = f"""
import random
import mixing_table
assert [line["number"] for line in mixing_table.lines(mixing_table.Path({str(tmp_path)!r}))] == [9, 0, 2]
known = mixing_table.table()
assert len(known) > 50
space = mixing_table.mixing_table((1, 8, 8), 10)
for picks, architecture in list(zip(known.picks, known.architectures))[:20]:
    assert space.decode(picks) == architecture
    assert 0 <= mixing_table.truth(architecture.to_json())["robust"] <= 1
found = [space.network(space.draw(random.Random(seed))) for seed in range(20)]
assert {{network.key for network in found if network}} <= known.number.keys()
"""
    in_benchmarks(repository, script)
