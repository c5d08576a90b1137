"""Studies whose trials are made up: the files of a real one, with other lines in its log."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nas
from nas.results.study import Study
from searchspaces import Picks

Trial = dict[str, Any]


def made_up(searched: Path, place: Path, trials: int, change: Callable[[Study, Trial, random.Random], Trial]) -> Study:
    """A copy of a study whose trials have random picks.

    Args:
        change: from the study, a trial that has measured what the first one had, and what is random, the fields that
            are to be otherwise.
    """
    shutil.copytree(searched, place)
    study, generator = nas.open(searched), random.Random(0)
    line = json.loads((searched / "trials.jsonl").read_text().splitlines()[0])
    lines = []
    for number in range(trials):
        picks: Picks = study.space.draw(generator)
        trial = {**line, "number": number, "picks": picks, "key": str(number)}
        lines.append(trial | change(study, trial, generator))
    (place / "trials.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return nas.open(place)
