"""An ablation on a terminal: values of the arms, what each costs, differences, verdicts."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console

from nas.figures import si
from nas.results.ablation import Ablation
from nas.results.contrasts import MOST, Compared, Judged, Sample
from nas.show.plot import FRONT, KNEE, OTHERS, STYLE, named, plain, write_figure
from nas.show.rows import Rows

COLOURS = {"supported": "green", "not supported": "yellow", "opposite": "red", "undecided": "dim"}
MARKS = {"supported": FRONT, "not supported": KNEE, "opposite": KNEE, "undecided": OTHERS}


def number(value: float, scale: str, *, signed: bool = False) -> str:
    """A value or a difference: fractions with four digits, counts with SI prefixes."""
    text = f"{abs(value):.4f}" if scale == "fraction" else si(abs(value))
    sign = "-" if value < 0 and any(c in "123456789" for c in text) else "+" if signed else ""
    return sign + text


def interval(sample: Sample, scale: str, *, signed: bool = False) -> str:
    """The interval of a mean, as ``[0.9500, 0.9700]``; nothing for fewer than two seeds."""
    if sample.interval is None:
        return ""
    return f"[{', '.join(number(end, scale, signed=signed) for end in sample.interval)}]"


def decided(judged: Judged) -> str:
    """A verdict in words, with the seeds that would decide where it is undecided."""
    if judged.verdict != "undecided":
        return judged.verdict
    return f"undecided; {judged.seeds if judged.seeds else f'more than {MOST:,}'} seeds would decide"


def print_ablation(found: Ablation, console: Console) -> None:
    """Prints all of it."""
    design = found.design
    settings, seeds = design.settings, f"{design.plan.seeds} seed{'s' if design.plan.seeds > 1 else ''}"
    images = f"{design.plan.split} {next(iter(design.arms.values())).data.things} of {settings.data.label}"
    console.print(f"{settings.name}: {len(design.arms)} arms, {seeds}, {images}", soft_wrap=True)
    for line in found.failed:
        console.print(f"failed: {line}", soft_wrap=True)
    if found.missing:
        console.print(f"{found.missing} runs are not made yet; the same command continues.", soft_wrap=True)
    _arms(found).print(console)
    for cost, share in design.plan.iso.items():
        console.print(f"{cost} of all arms within {share:.1%}", soft_wrap=True)
    console.print(f"\nbeside {design.baseline}, paired by seed; intervals of 95 %, p-values by Holm", soft_wrap=True)
    _pairs(found).print(console)
    if found.verdicts:
        console.print("\nexpected")
        _verdicts(found).print(console)


def _arms(found: Ablation) -> Rows:
    cells = []
    for name, arm in found.design.arms.items():
        row = [name]
        for measure, of_arms in found.samples.items():
            sample, scale = of_arms[name], found.goal(measure).scale
            row += [number(sample.mean, scale) if sample.n else "", interval(sample, scale)]
        row += [si(cost) for cost in arm.costs.values()]
        cells.append([*row, f"{found.seconds(name):.1f}", str(sum(not r.failure for r in found.runs[name].values()))])
    costs = next(iter(found.design.arms.values())).costs
    values = [text for measure in found.samples for text in (measure, "interval")]
    columns = ["arm", *values, *costs, "seconds", "runs"]
    return Rows(columns, frozenset(columns[1:]) - {"interval"}, cells, narrow=True)


def _pairs(found: Ablation) -> Rows:
    def row(one: Compared) -> list[str]:
        scale, d = found.goal(one.measure).scale, one.difference
        effect = "" if d.effect is None else f"{d.effect:+.2f}"
        words = [number(d.mean, scale, signed=True), interval(d, scale, signed=True)] if d.n else ["", ""]
        return [one.arm, one.measure, *words, effect, f"{one.holm:.2g}", "different" if one.different else ""]

    columns = ["arm", "measure", "difference", "interval", "effect", "p", ""]
    cells = [row(one) for one in found.pairs]
    styles = {(place, 6): "bold" for place, one in enumerate(found.pairs) if one.different}
    return Rows(columns, frozenset({"difference", "effect", "p"}), cells, styles)


def _verdicts(found: Ablation) -> Rows:
    def row(one: Judged) -> list[str]:
        scale, d = found.goal(one.expectation.measure).scale, one.difference
        words = [number(d.mean, scale, signed=True), interval(d, scale, signed=True)] if d.n else ["", ""]
        return [str(one.expectation), decided(one), *words, f"{one.p:.2g}"]

    columns = ["expectation", "verdict", "difference", "interval", "p"]
    styles = {(place, 1): COLOURS[one.verdict] for place, one in enumerate(found.verdicts)}
    return Rows(columns, frozenset({"difference", "p"}), [row(one) for one in found.verdicts], styles)


def plot_ablation(found: Ablation, path: Path) -> None:
    """Writes a picture: of every measure the value of each seed and the mean of each arm with its interval, and beside
    them the differences to the baseline.

    Raises:
        WrongInputError: if the file's ending names no kind of picture.
        StoppedError: if the file cannot be written.
    """
    arms, base = list(found.design.arms), found.design.baseline
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.8, (0.26 * len(arms) + 0.9) * len(found.samples)), layout="constrained")
        grid = figure.subplots(len(found.samples), 2, squeeze=False, sharey="row")
        for (values, differences), (measure, of_arms) in zip(grid, found.samples.items(), strict=True):
            for place, arm in enumerate(arms):
                seeds = [record.measured[measure] for record in found.runs[arm].values() if not record.failure]
                values.scatter(seeds, [place] * len(seeds), s=8, color=OTHERS, linewidths=0)
                _bar(values, of_arms[arm], place, FRONT)
            for one in found.pairs:
                if one.measure == measure:
                    _bar(differences, one.difference, arms.index(one.arm), KNEE if one.different else OTHERS)
            differences.axvline(0, color="0.3", linewidth=0.6)
            values.set_yticks(range(len(arms)), list(map(plain, arms)))
            values.invert_yaxis()  # the first arm on top
            values.set_xlabel(named(found.goal(measure), measure))
            differences.set_xlabel(f"difference to {plain(base)}, paired by seed")
            for axes in (values, differences):
                axes.grid(alpha=0.3, linewidth=0.5)
                axes.spines[["top", "right"]].set_visible(False)
        title = f"{plain(found.design.settings.name)}: {found.design.plan.seeds} seeds, intervals of 95 %"
        figure.suptitle(title, fontsize=9, ha="left", x=0.01)
        write_figure(figure, path)


def _bar(axes: mpl.axes.Axes, sample: Sample, place: int, colour: str) -> None:
    if sample.interval is None:
        return
    half = sample.interval[1] - sample.mean
    axes.errorbar([sample.mean], [place], xerr=[half], fmt="o", markersize=4, color=colour, elinewidth=1, capsize=2)
