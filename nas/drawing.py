"""A network drawn stage by stage: operators with their settings, what is frozen, shapes, shares of the costs.

`drawn` says what there is to draw, `text` and `svg` draw it. The SVG is made by ElementTree, so that names that came
with a file stay text; its colours are CSS variables, which a page may set, with values of their own for light and dark.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from xml.etree import ElementTree

import torch
from torch import nn

from nas.errors import printable, user_input
from nas.figures import si
from nas.pricing import price
from objectives.banks import banks, envelope
from searchspaces import Architecture, Cost, Shape
from searchspaces.architecture import ChannelMixer, Spec, TokenMixer
from searchspaces.costs import NoFormulaError

WIDTH, PAD, LINE, CHARACTERS = 430, 10, 15, 64
"""Of an SVG, in pixels: the whole, the margin, a line; and the characters of a line."""
PICTURES, CELL = 16, 3
"""Filters of a bank that are drawn, and pixels of one of their values."""
SNOW = "\u2744 "
TRAINED = {"full": "", "chans": "spatial mixing frozen", "space": "channel mixing frozen"}
STYLE = """
text { font: 11px system-ui, sans-serif; fill: var(--ink, #1b2733) }
.name { font-weight: 600; font-size: 12px }
.soft { fill: var(--soft, #5b6875) }
.box { fill: var(--box, #f5f7f9); stroke: var(--line, #c8d0d8) }
.frozen { stroke: var(--cold, #0072b2); stroke-dasharray: 4 3 }
.wire { stroke: var(--line, #c8d0d8); stroke-width: 2 }
.macs { fill: var(--first, #0072b2) }
.parameters { fill: var(--second, #e69f00) }
@media (prefers-color-scheme: dark) { text { fill: var(--ink, #e6ebf0) } .soft { fill: var(--soft, #9fb0c0) }
.box { fill: var(--box, #1d2730); stroke: var(--line, #44525f) } .wire { stroke: var(--line, #44525f) } }
"""


@dataclass(frozen=True)
class Operator:
    """An operator inside a block.

    Args:
        role: what it mixes, ``tokens`` or ``channels``, or the name of the field that holds it.
        settings: in words.
        frozen: ``frozen``, ``partly frozen`` or empty.
    """

    role: str
    kind: str
    settings: str
    frozen: str


@dataclass(frozen=True)
class Bank:
    """Filters of a layer, (N, k, k) in [0, 1], and the largest of their spectra at each frequency, 0 in the middle."""

    layer: str
    filters: tuple[tuple[tuple[float, ...], ...], ...]
    spectrum: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Drawn:
    """One part of a network.

    Args:
        name: its place, such as ``stage 2``.
        title: kind and settings, in words.
        operators: inside it.
        output: (C, H, W) after it.
        macs, parameters: with their shares of the whole network.
        frozen: what is not trained, in words; empty where all is.
    """

    name: str
    title: str
    operators: tuple[Operator, ...]
    output: Shape
    macs: int
    macs_share: float
    parameters: int
    parameters_share: float
    frozen: str
    banks: tuple[Bank, ...] = ()

    @property
    def shape(self) -> str:
        """The output in words."""
        return "x".join(map(str, self.output))


def drawn(architecture: Architecture, network: nn.Module | None = None) -> list[Drawn]:
    """The parts of a network in order of execution.

    Args:
        network: built of it; its frozen filter banks are drawn too.

    Raises:
        WrongInputError: if no network can be built of it.
    """
    with user_input("the architecture"):
        priced = price(architecture)
    total, shape, block, found = priced.total, architecture.input, 0, []
    frozen_banks = _frozen_banks(network) if network is not None else {}
    for part in priced.parts:
        mine: list[Bank] = []
        if part.name.startswith("stage "):
            mine = [bank for i in range(block, block + part.repeat) for bank in frozen_banks.get(i, ())]
            block += part.repeat
        cost = part.cost
        found.append(
            Drawn(
                name=part.name,
                title=_title(part.node, part.repeat),
                operators=tuple(_operators(part.node, shape)) if part.node else (),
                output=part.output,
                macs=cost.macs,
                macs_share=cost.macs / max(1, total.macs),
                parameters=cost.parameters,
                parameters_share=cost.parameters / max(1, total.parameters),
                frozen=_frozen(cost, getattr(part.node, "freeze", "")),
                banks=tuple(mine[:1]),
            )
        )
        shape = part.output
    return found


def _title(node: Spec | None, repeat: int) -> str:
    if node is None:
        return ""
    settings = _settings(node)
    times = f"{repeat} x " if repeat > 1 else ""
    return times + _words(node.kind) + (f": {settings}" if settings else "")


def _words(name: str) -> str:
    return printable(name).replace("_", " ")


def _settings(node: Spec) -> str:
    """The fields of a node in words, without what is off: a flag, or a 0 or ``none`` that is the default."""
    told = []
    for field in fields(node):
        value = getattr(node, field.name)
        off = value is False or (value in (0, "none") and value == field.default)
        if isinstance(value, int | float | str) and not off and field.name != "freeze":
            shown = f"{value:g}" if isinstance(value, float) else _words(str(value))
            told.append(_words(field.name) if value is True else f"{_words(field.name)} {shown}")
    return ", ".join(told)


def _operators(node: Spec, shape: Shape) -> Iterator[Operator]:
    """The operators inside a node, with what its freeze pattern does to them."""
    for field in fields(node):
        inner = getattr(node, field.name)
        if isinstance(inner, Spec):
            role = {"token": "tokens", "channel": "channels"}.get(field.name, _words(field.name))
            yield Operator(role, _words(inner.kind), _settings(inner), _frozen_inside(node, inner, shape))


def _frozen_inside(node: Spec, inner: Spec, shape: Shape) -> str:
    if not isinstance(inner, TokenMixer | ChannelMixer):
        return ""
    try:
        return _frozen(inner.cost(shape, getattr(node, "freeze", "full")), "")
    except (NoFormulaError, ValueError):
        return ""


def _frozen(cost: Cost, pattern: str) -> str:
    if cost.trainable_parameters == cost.parameters:
        return ""
    return TRAINED.get(pattern, "") or ("frozen" if not cost.trainable_parameters else "partly frozen")


def _frozen_banks(network: nn.Module) -> dict[int, list[Bank]]:
    """Block -> its banks of filters that are not trained."""
    found: dict[int, list[Bank]] = {}
    for layer, weight in banks(network):
        words = layer.split(".")
        if not weight.requires_grad and words[0] == "blocks" and len(words) > 1 and words[1].isdecimal():
            filters = weight.detach()[:PICTURES, 0]
            largest = filters.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)
            grey = (0.5 + 0.5 * filters / largest).tolist()
            seen = torch.fft.fftshift(envelope(weight))[::2, ::2]
            spectrum = (seen / seen.max().clamp_min(1e-12)).tolist()
            found.setdefault(int(words[1]), []).append(Bank(layer, _rows(grey), tuple(map(tuple, spectrum))))
    return found


def _rows(values: Sequence[Sequence[Sequence[float]]]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(row) for row in each) for each in values)


def text(parts: Sequence[Drawn], width: int = 80) -> str:
    """The drawing for a terminal, at most ``width`` characters wide where words allow; names are never cut."""
    names = max(len(part.name) for part in parts)
    before = [f"{p.name:{names}} {p.shape:>9} {_share(p.macs_share)} {_share(p.parameters_share)}  " for p in parts]
    room = max(24, width - max(map(len, before)))
    drawing = [f"{'':{names}} {'output':>9} {'MACs':>6} {'param.':>6}"]
    for part, head in zip(parts, before, strict=True):
        lines = textwrap.wrap(_told(part), room)
        for operator in part.operators:
            lines += textwrap.wrap(f"- {_line(operator)}", room, subsequent_indent="  ")
        first, *more = lines or [""]
        drawing.append(f"{head}{first}".rstrip())
        drawing += [" " * len(head) + line for line in more]
    return "\n".join(drawing)


def _told(part: Drawn, frozen: str = "") -> str:
    """What a part is, in words, behind ``frozen`` where something of it is."""
    return part.title + (f" ({frozen}{part.frozen})" if part.frozen else "")


def _share(share: float) -> str:
    return f"{100 * share:4.0f} %" if share == 0 or share >= 0.005 else "  <1 %"


def _line(operator: Operator, frozen: str = "") -> str:
    """An operator in words, behind ``frozen`` where something of it is."""
    words = f"{operator.role}: {operator.kind}" + (f", {operator.settings}" if operator.settings else "")
    return words + (f" ({frozen}{operator.frozen})" if operator.frozen else "")


def svg(parts: Sequence[Drawn], title: str = "", *, style: bool = True) -> str:
    """The drawing as an SVG element.

    Args:
        title: what a screen reader calls it.
        style: with colours of its own; a page that holds many sets them once (`STYLE`).
    """
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    ElementTree.SubElement(root, "title").text = printable(title)
    if style:
        ElementTree.SubElement(root, "style").text = STYLE
    y = float(PAD)
    for number, part in enumerate(parts):
        if number:
            wire = {"x1": WIDTH / 2, "x2": WIDTH / 2, "y1": y - PAD, "y2": y}
            _add(root, "line", "wire", wire)
        y = _draw_part(root, part, y) + PAD
    size = {"width": WIDTH, "height": y, "viewBox": f"0 0 {WIDTH} {y:g}"}
    for name, value in size.items():
        root.set(name, value if isinstance(value, str) else f"{value:g}")
    return ElementTree.tostring(root, encoding="unicode")


def _draw_part(root: ElementTree.Element, part: Drawn, top: float) -> float:
    """Draws one part below ``top``; returns where it ends."""
    box = _add(root, "rect", "box" + (" frozen" if part.frozen else ""), {"x": PAD, "y": top, "rx": 5})
    y = top + LINE + 2
    _write(root, PAD + 8, y, part.name, "name")
    _write(root, WIDTH - PAD - 8, y, part.shape.replace("x", "\u00d7"), "soft", end=True)
    lines = textwrap.wrap(_told(part, SNOW), CHARACTERS)
    for operator in part.operators:
        lines += textwrap.wrap(_line(operator, SNOW), CHARACTERS)
    for line in lines:
        y += LINE
        _write(root, PAD + 8, y, line, "soft")
    y += 6
    costs = (("MACs", part.macs, part.macs_share), ("parameters", part.parameters, part.parameters_share))
    for unit, count, share in costs:
        if count:
            _add(root, "rect", unit.lower(), {"x": PAD + 8, "y": y, "width": max(1.0, 210 * share), "height": 6})
            _write(root, WIDTH - PAD - 8, y + 7, f"{si(count)} {unit}, {_share(share).strip()}", "soft", end=True)
            y += 12
    for bank in part.banks:
        y = _draw_bank(root, bank, y)
    bottom = y + 6
    box.set("width", f"{WIDTH - 2 * PAD:g}")
    box.set("height", f"{bottom - top:g}")
    return bottom


def _draw_bank(root: ElementTree.Element, bank: Bank, top: float) -> float:
    """Draws filters and spectrum of a bank, a path for each of eight greys; returns where it ends."""
    side, x, height = len(bank.filters[0]), PAD + 8.0, 0
    squares: dict[int, list[str]] = {}
    fit = int((WIDTH - 2 * PAD - 20 - CELL * len(bank.spectrum)) / (CELL * side + 4))
    for picture in [*bank.filters[:fit], bank.spectrum]:
        for i, row in enumerate(picture):
            for j, value in enumerate(row):
                place = f"M{x + j * CELL:g} {top + i * CELL:g}h{CELL}v{CELL}h-{CELL}z"
                squares.setdefault(round(7 * min(max(value, 0.0), 1.0)), []).append(place)
        height = max(height, len(picture) * CELL)
        x += len(picture) * CELL + 4
    for grey, places in sorted(squares.items()):
        ElementTree.SubElement(root, "path", {"d": "".join(places), "fill": f"rgb({', '.join([str(36 * grey)] * 3)})"})
    _write(root, PAD + 8, top + height + 11, f"filters ({side}x{side}) and, last, their spectrum", "soft")
    return top + height + 14


def _add(root: ElementTree.Element, kind: str, group: str, places: Mapping[str, float]) -> ElementTree.Element:
    return ElementTree.SubElement(root, kind, {"class": group, **{n: f"{v:g}" for n, v in places.items()}})


def _write(root: ElementTree.Element, x: float, y: float, words: str, group: str, *, end: bool = False) -> None:
    places = {"class": group, "x": f"{x:g}", "y": f"{y:g}", **({"text-anchor": "end"} if end else {})}
    ElementTree.SubElement(root, "text", places).text = words
