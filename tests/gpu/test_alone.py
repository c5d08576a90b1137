"""The tests on a GPU run where little is installed."""

import subprocess
import sys
from pathlib import Path


def test_they_need_neither_ray_nor_optuna() -> None:
    tests = Path(__file__).with_name("test_devices.py")
    code = f"import runpy, sys; sys.modules.update(ray=None, optuna=None); runpy.run_path({str(tests)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
