"""The charts of a report as figures of plotly, for notebooks and for papers of one's own.

What a study calls things gets into them as text: plotly reads markup.
"""

import html
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nas.errors import WrongInputError, printable
from nas.figures import value_text
from nas.results.explain import explain
from nas.results.study import Study
from nas.show.report.data import course
from nas.store.records import TrialRecord
from nas.store.traces import read_curve
from searchspaces.architecture import label_of
from searchspaces.registry import unknown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7")
"""Colours that most who do not tell red from green tell apart."""
CHOICES = 5
"""Choices whose options the figure of effects shows, of each objective."""
FRONT, KNEE, OTHERS = COLOURS[0], COLOURS[3], "#9aa5b0"


def chart(study: Study, name: str) -> "Figure":
    """One of `CHARTS`.

    Raises:
        WrongInputError: if there is none of that name, or nothing to draw.
    """
    if name not in CHARTS:
        raise WrongInputError(unknown("figure", name, CHARTS))
    return CHARTS[name](study)


def front(study: Study) -> "Figure":
    """Every pair of objectives: the front with its standard errors, the knee a star, dominated trials hollow."""
    from plotly.subplots import make_subplots

    members, knee = _members(study), study.pick("knee")
    rest = [record for record in study.complete if record.number not in members]
    names = sorted(study.objectives, key=lambda name: study.objectives[name].scale != "count")
    pairs = list(itertools.combinations(names if len(names) > 1 else names * 2, 2))
    columns = min(3, len(pairs))
    figure = make_subplots(-(-len(pairs) // columns), columns)
    groups: list[tuple[str, list[TrialRecord], dict[str, Any]]] = [
        ("dominated", rest, {"symbol": "circle-open", "size": 6, "color": OTHERS}),
        ("front", study.front, {"size": 9, "color": FRONT}),
        ("knee", [knee], {"symbol": "star", "size": 15, "color": KNEE}),
    ]
    for at, (x, y) in enumerate(pairs):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        for group, records, marker in groups:
            bars = {f"error_{k}": _bars(study, records, n) for k, n in (("x", x), ("y", y))} if group == "front" else {}
            figure.add_scatter(
                x=[study.value(record, x) for record in records],
                y=[study.value(record, y) for record in records],
                text=[_told(study, record) for record in records],
                **{"mode": "markers", "name": group, "legendgroup": group, "showlegend": at == 0, "marker": marker},
                **{"hovertemplate": "%{text}<extra></extra>", **bars, **place},
            )
        figure.update_xaxes(**_axis(study, x), **place)
        figure.update_yaxes(**_axis(study, y), **place)
    return figure.update_layout(height=330 * -(-len(pairs) // columns) + 80)


def front3d(study: Study) -> "Figure":
    """The front over three objectives, a count on the first axis where there is one; the knee is a diamond.

    Raises:
        WrongInputError: if the study has fewer than three objectives.
    """
    from plotly.graph_objects import Figure

    members = _members(study)
    axes = sorted(study.objectives, key=lambda name: study.objectives[name].scale != "count")[:3]
    if len(axes) < 3:
        raise WrongInputError(f"{study.directory} has {len(axes)} objective(s), not three. Take the figure front.")
    rest = [record for record in study.complete if record.number not in members]
    figure = Figure()
    for group, records, marker in (
        ("dominated", rest, {"symbol": "circle-open", "size": 3, "color": OTHERS}),
        ("front", study.front, {"size": 5, "color": FRONT}),
        ("knee", [study.pick("knee")], {"symbol": "diamond", "size": 7, "color": KNEE}),
    ):
        values = {k: [study.value(record, name) for record in records] for k, name in zip("xyz", axes, strict=True)}
        told = [_told(study, record) for record in records]
        figure.add_scatter3d(
            **values, mode="markers", name=group, marker=marker, text=told, hovertemplate="%{text}<extra></extra>"
        )
    return figure.update_layout(scene={f"{k}axis": _axis(study, n) for k, n in zip("xyz", axes, strict=True)})


def _members(study: Study) -> set[int]:
    """Numbers of the trials of the front."""
    if not study.front:
        raise WrongInputError(f"{study.directory} has no complete trial to draw. Run nas search first.")
    return {record.number for record in study.front}


def _bars(study: Study, records: Sequence[TrialRecord], name: str) -> dict[str, Any]:
    return {"array": [study.error(record, name) or 0.0 for record in records], "thickness": 1, "width": 0}


def _axis(study: Study, name: str) -> dict[str, Any]:
    scale = {"type": "log", "exponentformat": "SI"} if study.objectives[name].scale == "count" else {}
    return {"title_text": _named(study, name), **scale}


def _named(study: Study, name: str) -> str:
    """The name of an axis, with its unit and where it is better."""
    goal = study.objectives[name]
    unit = f" [{unit}]" if (unit := goal.unit_beside(name)) else ""
    return _plain(f"{name}{unit} {'↑' if goal.direction == 'maximize' else '↓'}")


def _told(study: Study, record: TrialRecord) -> str:
    """What is shown of a complete trial under the pointer."""
    values = (
        f"{name} {value_text(study.value(record, name), goal.scale, study.error(record, name))}"
        for name, goal in study.objectives.items()
    )
    label = label_of(record.architecture) if record.architecture else ""
    return "<br>".join(map(_plain, (f"trial {record.number}", *values, label)))


def _plain(text: object) -> str:
    """Text in which plotly finds no markup."""
    return html.escape(printable(str(text)), quote=False)


def hypervolume(study: Study) -> "Figure":
    """Hypervolume of what the search measured against trials, epochs and seconds."""
    from plotly.subplots import make_subplots

    found = course(study)
    figure = make_subplots(1, 3, shared_yaxes=True)
    for at, against in enumerate(("trials", "epochs", "seconds"), 1):
        line = {"shape": "hv", "color": FRONT}
        figure.add_scatter(
            x=found[against], y=found["hypervolume"], mode="lines", line=line, name=against, row=1, col=at
        )
        figure.update_xaxes(title_text=against, row=1, col=at)
    return figure.update_yaxes(title_text="hypervolume", row=1, col=1).update_layout(showlegend=False)


def parallel(study: Study) -> "Figure":
    """Complete trials as lines over objectives and the choices in which they differ; those of the front blue."""
    from plotly.graph_objects import Figure, Parcoords

    members = _members(study)
    records = sorted(study.complete, key=lambda record: record.number in members)  # the front over the others
    dimensions: list[dict[str, Any]] = []
    for name, goal in study.objectives.items():
        values = [study.value(record, name) for record in records]
        dimension = {"label": _named(study, name), "values": values}
        if goal.scale == "count":
            dimension |= {"values": [math.log10(value) for value in values], **_decades(values)}
        dimensions.append(dimension)
    for name, options in study.choices.items():
        codes = {option: i for i, option in enumerate(options)}
        if len({record.picks.get(name) for record in records}) > 1:
            dimensions.append(
                {
                    "label": _plain(name),
                    "values": [codes.get(record.picks.get(name, ""), -1) for record in records],
                    "tickvals": list(codes.values()),
                    "ticktext": [_plain(option) for option in codes],
                }
            )
    colours = {"color": [int(r.number in members) for r in records], "colorscale": [[0, OTHERS], [1, FRONT]]}
    figure = Figure(Parcoords(dimensions=dimensions, line={**colours, "cmin": 0, "cmax": 1}, labelangle=-20))
    return figure.update_layout(margin={"t": 100})


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """Ticks 1, 2, 5 of an axis of logarithms."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in (1, 2, 5)]
    return {"tickvals": [math.log10(tick) for tick in ticks], "ticktext": [value_text(tick, "count") for tick in ticks]}


def importance(study: Study) -> "Figure":
    """Share of the variance of each objective that each choice decides, as `nas explain` computes it."""
    from plotly.graph_objects import Figure

    figures = explain(study)
    known = _explained(study, figures)
    order = sorted(figures["choices"], key=lambda choice: max(one["shares"][choice] for one in known.values()))
    figure = Figure()
    for (name, one), colour in zip(known.items(), itertools.cycle(COLOURS), strict=False):
        figure.add_bar(
            x=[100 * one["shares"][choice] for choice in order],
            y=[_plain(choice) for choice in order],
            text=[f"best quarter {100 * one['good'][choice]:.1f} %" for choice in order],
            **{"name": _plain(name), "orientation": "h", "textposition": "none", "marker_color": colour},
            hovertemplate="%{y}: %{x:.1f} %, %{text}",
        )
    return figure.update_layout(barmode="group", xaxis_title="share of the variance, %")


def _explained(study: Study, figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `nas explain` says of the objectives that it can explain, by name."""
    known = {name: one for name, one in figures["objectives"].items() if "shares" in one}
    if not known:
        told = "; ".join(f"{name} takes {one['refused']}" for name, one in figures["objectives"].items())
        raise WrongInputError(f"{study.directory} has too few trials for importances: {told}.")
    return known


def effects(study: Study) -> "Figure":
    """What the options of the first choices change in each objective, among networks of equal cost where one is known.

    Counts are factors, fractions differences from the mean of all networks that read the choice.
    """
    from plotly.subplots import make_subplots

    figures = explain(study)
    known = _explained(study, figures)
    figure = make_subplots(1, len(known), horizontal_spacing=0.16)
    for column, (name, one) in enumerate(known.items(), 1):
        found, counts = one.get("at_equal_cost") or one["effects"], study.objectives[name].scale == "count"
        top = sorted((choice for choice in one["shares"] if choice in found), key=lambda c: -one["shares"][c])[:CHOICES]
        rows = [(f"{choice} {option}", value) for choice in top for option, value in found[choice].items()][::-1]
        figure.add_scatter(
            x=[10**value if counts else value for _, value in rows],
            y=[_plain(option) for option, _ in rows],
            **{"mode": "markers", "name": _plain(name), "showlegend": False, "marker": {"color": FRONT}},
            **{"hovertemplate": "%{y}: %{x:.4g}<extra></extra>", "row": 1, "col": column},
        )
        where = f"at equal {figures['cost']}" if one.get("at_equal_cost") else "over all"
        title = _plain(f"{name}, {'factor' if counts else 'difference'} {where}")
        figure.update_xaxes(title_text=title, type="log" if counts else "linear", row=1, col=column)
    return figure.update_layout(height=640)


def curves(study: Study) -> "Figure":
    """Training loss of the members of the front, epoch by epoch."""
    from plotly.graph_objects import Figure

    figure = Figure()
    for number in sorted(_members(study)):
        rows = read_curve(study.directory, number)
        epochs, losses = ([row[name] for row in rows] for name in ("epoch", "loss"))
        figure.add_scatter(x=epochs, y=losses, mode="lines", name=f"trial {number}")
    return figure.update_layout(xaxis_title="epoch", yaxis_title="training loss")


CHARTS: dict[str, Callable[[Study], "Figure"]] = {
    "front": front,
    "front3d": front3d,
    "hypervolume": hypervolume,
    "parallel": parallel,
    "importance": importance,
    "effects": effects,
    "curves": curves,
}
"""Name -> chart."""
