"""The benchmark of samplers looks networks up that were trained by others."""

import re
import subprocess
import sys
from pathlib import Path


def test_a_search_in_a_table_finds_a_share_of_the_true_front(nas_data: Path, repository: Path) -> None:
    script = repository / "studies" / "benchmarks" / "search_quality.py"
    options = ["--problems", "cifar10", "--samplers", "random", "--seeds", "1", "--trials", "25", "--flight", "3"]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    [share] = re.findall(r"^\| random \| ([\d.]+) \(", done.stdout, re.MULTILINE)
    assert 0.4 < float(share) < 1


def test_cells_with_the_same_network_have_one_key(nas_data: Path, repository: Path) -> None:
    script = """
import cells
space = cells.nb201((3, 32, 32), 10)
dead = dict.fromkeys(cells.EDGES, "none")
key = space.decode(dead).key
assert key == space.decode({**dead, "e01": "nor_conv_3x3"}).key  # leads nowhere
assert key != space.decode({**dead, "e03": "skip_connect"}).key
"""
    place = repository / "studies" / "benchmarks"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=place)
    assert done.returncode == 0, done.stderr
