"""Whether the package works from its lower bounds to its pins: an environment for each corner, and the default tests.

    python studies/versions.py [--python python3.12 ...] [--bounds lowest pinned] [--torch 2.13.0] [--keep FOLDER]

``lowest`` installs the lower bound of every dependency that ``pyproject.toml`` names, ``pinned`` what
``constraints.txt`` holds. torch is that of ``--torch`` in both, unless it is not given: its oldest release brings
gigabytes of GPU libraries. The tests named in `SLOWEST` are left out.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLOWEST = ("tests/nas/search", "tests/nas/test_seams.py", "tests/nas/test_tune.py", "tests/test_studies.py")
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)(?:\[.*\])?>=([0-9.]+)")


def lowest() -> list[str]:
    """``NAME==VERSION`` of every lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *(need for extra in extras.values() for need in extra)]
    return sorted({f"{found[1]}=={found[2]}" for need in named if (found := REQUIREMENT.fullmatch(need))})


def constraints(bounds: str, torch: str | None) -> list[str]:
    """The versions of a corner, as lines of a constraints file."""
    lines = lowest() if bounds == "lowest" else (ROOT / "constraints.txt").read_text().splitlines()
    if torch is None:
        return lines
    return [*(line for line in lines if not line.startswith("torch==")), f"torch=={torch}"]


def run(python: str, bounds: str, torch: str | None, folder: Path) -> str:
    """What became of a corner, in a few words."""
    given = folder / "constraints.txt"
    given.write_text("\n".join(constraints(bounds, torch)) + "\n")
    inside = folder / "bin" / "python"
    tests = [f"--ignore={ROOT / path}" for path in SLOWEST]
    steps = {
        "no environment": [python, "-m", "venv", str(folder)],
        "cannot be installed": [str(inside), "-m", "pip", "install", "-q", "-c", str(given), "-e", f"{ROOT}[test]"],
        "tests fail": [str(inside), "-m", "pytest", "-p", "no:cacheprovider", *tests],
    }
    for failure, command in steps.items():
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print((done.stdout + done.stderr)[-3000:], file=sys.stderr)
            return failure
    return "passes"


def main() -> None:
    """Prints a row for each corner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=["python3.11", "python3.12", "python3.13"])
    parser.add_argument("--bounds", nargs="*", choices=("lowest", "pinned"), default=["lowest", "pinned"])
    parser.add_argument("--torch")
    parser.add_argument("--keep", type=Path, help="folder for the environments")
    options = parser.parse_args()
    print("| Python | versions | torch | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for python in options.python:
            for bounds in options.bounds:
                folder = (options.keep or Path(temporary)) / f"{Path(python).name}-{bounds}"
                folder.mkdir(parents=True, exist_ok=True)
                found = run(python, bounds, options.torch, folder)
                print(f"| {python} | {bounds} | {options.torch or bounds} | {found} |", flush=True)


if __name__ == "__main__":
    main()
