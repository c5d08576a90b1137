"""``README.md`` and ``measured.json`` of an export: what was measured, how, how sure it is, and how to run it.

The README is a model card: its head is a model-index, which other tools read. Nothing in it says where the export lies.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.drawing import drawn, svg
from nas.errors import printable
from nas.export.formats.format import Scale
from nas.export.losses import Losses
from nas.export.proof import TOLERANCE, Proof
from nas.problem import find_objectives, network_of
from nas.settings import Settings
from nas.store.files import write_atomically
from nas.store.records import TrialRecord
from searchspaces import Network
from searchspaces.architecture import answer
from searchspaces.costs import NoFormulaError
from searchspaces.parts import Part, parts
from trainers import DATASETS, Dataset

CARD, MEASURED, DRAWING = "README.md", "measured.json", "network.svg"
TASKS = {"images": "image-classification", "sounds": "audio-classification"}
"""What a data set has many of -> how model-index calls its classification."""


@dataclass(frozen=True)
class WeightsOf:
    """Which weights an export holds.

    Args:
        searched: those that a search left; else those of a training in full.
        trial: of a search, whose network was trained in full.
    """

    searched: bool = True
    trial: TrialRecord | None = None

    @property
    def training(self) -> str:
        """In which training they were measured first, in words."""
        return "in the search" if self.searched else "after its training"

    def said(self, record: TrialRecord) -> str:
        """Which weights they are, in a line.

        Args:
            record: of the training that they are of.
        """
        if self.searched:
            return f"weights: those of trial {record.number} of the search"
        line = f"weights: not of a search, but trained in full, {_epochs(record)} with seed {record.seed}"
        if self.trial is None:
            return line
        values = ", ".join(f"{name} {value:g}" for name, value in self.trial.measured.items())
        before = f"{_epochs(self.trial)} with seed {self.trial.seed}"
        return f"{line}; in the search trial {self.trial.number} had {values} after {before}"

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        trial = self.trial
        searched = trial and {"trial": trial.number, "measured": trial.measured, "seed": trial.seed, **trial.fidelity}
        return {"of": "search" if self.searched else "training", "search": searched}


OF_SEARCH = WeightsOf()
"""Those that a search left."""


def _epochs(record: TrialRecord) -> str:
    return f"{record.fidelity.get('epochs', 0):g} epochs"


@dataclass(frozen=True)
class Sheet:
    """What is said of an exported network.

    Args:
        name: of the folder, as a reader will type it.
        again: values of the files read back, by objective; empty if they were not measured.
        identical: whether the logits of the files are those of the trial, bit for bit.
        proofs: of the forms that run without this framework.
        losses: of those that round.
        left_out: form -> why it is not there.
        notes: what else is known of the trial, a line each.
        weights_of: which training they are of.
    """

    record: TrialRecord
    settings: Settings
    name: str
    again: Mapping[str, float]
    identical: bool
    proofs: Sequence[Proof] = ()
    losses: Sequence[Losses] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    weights_of: WeightsOf = OF_SEARCH

    @property
    def split(self) -> str:
        """The images that the values are of, in words."""
        return (
            f"validation {self.things}" if self.settings.data.validation else f"a fifth of the training {self.things}"
        )

    @property
    def things(self) -> str:
        """What the data are many of."""
        return DATASETS.get(self.settings.data.name, Dataset).things

    def to_json(self) -> dict[str, Any]:
        """The content of ``measured.json``."""
        record, objectives = self.record, find_objectives(self.settings)
        values = {
            name: {
                "value": value,
                "again": self.again.get(name),
                "direction": objectives[name].direction if name in objectives else None,
                "spread": record.spread.get(name),
                "flags": record.flags.get(name, []),
                "settings": record.settings.get(name, {}),
            }
            for name, value in record.measured.items()
        }
        return {
            "study": self.settings.name,
            "trial": record.number,
            "network": record.key,
            "weights": self.weights_of.to_json(),
            "data": {"name": self.settings.data.name, "split": self.split, "checksum": self.settings.data.checksum},
            "training": {**self.settings.training, **record.fidelity, "seed": record.seed},
            "objectives": values,
            "notes": list(self.notes),
            "bit_for_bit": self.identical if self.again else None,
            "formats": {proof.format: proof.to_json() for proof in self.proofs},
            "rounded": {lost.format: lost.to_json() for lost in self.losses},
            "left_out": dict(self.left_out),
        }

    def card(self) -> str:
        """The content of ``README.md``."""
        record, settings = self.record, self.settings
        network = network_of(record)
        channels, height, width = network.input
        title = _plain(f"{settings.name}, trial {record.number}")
        checked = "read back and measured again" if self.again else "not measured again"
        kind = DATASETS.get(settings.data.name, Dataset)
        options = settings.data.options
        pixels = "pixels in [0, 1]" + "".join(f", {key} {options[key]}" for key in kind.decided if key in options)
        if scale := Scale.of(settings.data):
            pixels = f"{len(scale.variates)} variates on the scale of config.json, and {scale.context} steps"
        returned = "logits" if isinstance(network.outputs, int) else "values"
        return f"""---
{self._index()}
---

# {title}

Network `{record.key}` for {channels}x{height}x{width} {self.things} and {answer(network.outputs)}, trained by
"{_plain(settings.name)}" on {_plain(settings.data.name)}. The files in this folder were {checked} after writing.

| measured on {self.split} | {self.weights_of.training} | this export |
|---|---|---|
{self._values()}

{self._remarks()}

## The network

![The network, stage by stage]({DRAWING})

| part | output (C, H, W) | MACs | parameters |
|---|---|--:|--:|
{_parts(record)}

## Use

{self._forms(returned, pixels)}
`nas evaluate {shlex.quote(self.name)} --split test` measures it on the test {self.things}, and writes down in
`evaluations.jsonl` that this was done. `sha256sum -c SHA256SUMS` checks the files.
"""

    @property
    def _classifies(self) -> bool:
        return isinstance(network_of(self.record).outputs, int)

    def _index(self) -> str:
        """The model-index; its text as JSON, which is YAML too, so that no name can break it."""
        metrics = [
            {"type": name, "name": name, "value": value}
            for name, value in self.record.measured.items()
            if name not in self.record.flags
        ]
        data = {"name": self.settings.data.name, "type": self.settings.data.name, "split": self.split}
        kind = "time-series-forecasting" if self.things == "windows" else "image-to-image"
        task = {"type": TASKS.get(self.things, "other") if self._classifies else kind}
        name = f"{self.settings.name}, trial {self.record.number}"
        entry = {"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}
        return f"library_name: pytorch\ntags: [neural-architecture-search]\nmodel-index: {json.dumps([entry])}"

    def _values(self) -> str:
        rows = []
        for name, value in self.record.measured.items():
            error = (self.record.spread.get(name) or {}).get("standard_error")
            sure = f" ± {error:.2g}" if error else ""
            again = f"{self.again[name]:g}" if name in self.again else ""
            rows.append(f"| {_plain(name)} | {value:g}{sure} | {again} |")
        return "\n".join(rows)

    def _remarks(self) -> str:
        record = self.record
        lines = [self.weights_of.said(record)]
        lines += [f"{name}: {json.dumps(setting)}" for name, setting in record.settings.items() if setting]
        lines += [f"{name} may not mean what it says: {', '.join(words)}" for name, words in record.flags.items()]
        lines += [f"trained for {record.fidelity.get('epochs', 0)} epochs with seed {record.seed}", *self.notes]
        if record.inherited:
            share, trial = record.inherited["share"], record.inherited["trial"]
            lines.append(f"began with the weights of trial {trial} of the study, {share:.0%} of its parameters")
        if self.again:
            returned = "logits" if self._classifies else "outputs"
            lines.append(f"{returned} of the trial, bit for bit: {'yes' if self.identical else 'no'}")
        return "\n".join(f"- {_plain(line)}" for line in lines)

    def _forms(self, returned: str, pixels: str) -> str:
        """How each form is run."""
        channels, height, width = network_of(self.record).input
        scaled = Scale.of(self.settings.data) is not None
        text = f"""With this framework:

```python
import nas

model = nas.load({self.name!r})  # nn.Module in eval mode
{returned} = model(images)  # (B, {channels}, {height}, {width}), {pixels}; normalisation is inside
```

"""
        for proof in sorted(self.proofs, key=lambda proof: list(HOW).index(proof.format)):
            how = HOW[proof.format].replace("SHAPE", f"(B, {channels}, {height}, {width})") + "\n"
            if not self._classifies:
                how = how.replace(PREDICT, PREDICT.replace("predict.py", "predict.py FILE.csv") if scaled else "")
            text += how
            text += (
                f"Proven on {proof.images} {self.things} in a process without this framework: outputs within "
                f"{max(proof.largest_difference, 1e-9):.0e} of the largest ({TOLERANCE:.0e} is allowed)"
            )
            same = f", the same class for all of them{f' but {proof.ties} that are ties' if proof.ties else ''}"
            text += f"{same if self._classifies else ''}."
            text += f" Counted from its graph: {proof.cost}." if proof.cost else ""
            text += f" Folded in its graph: {proof.folding}." if proof.folding else ""
            text += "\n\n"
        for lost in self.losses:
            text += HOW[lost.format].replace("SHAPE", f"(B, {channels}, {height}, {width})") + "\n"
            text += (
                "It rounds, so it is not the network that was measured. Compared in a process without this framework:"
            )
            text += "\n\n" + "\n".join(f"- {_plain(line)}" for line in lost.said) + "\n\n"
        for name, why in self.left_out.items():
            text += f"Not as {name}: {_plain(why)}\n\n"
        return text


PREDICT = """```sh
python predict.py
```

"""
HOW = {
    "python": f"""With torch alone; `model.py` is the network as source:

{PREDICT}```python
from model import build

model = build("model.safetensors")
outputs = model(images)  # SHAPE
```
""",
    "pt2": """With torch alone:

```python
import torch

model = torch.export.load("model.pt2").module()
outputs = model(images)  # SHAPE
```
""",
    "onnx": """With onnxruntime and numpy:

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
outputs = session.run(None, {"images": images})[0]  # SHAPE, float32
```
""",
    "executorch": """With ExecuTorch, one image at a time; on phones its runtime reads the same file:

```python
from executorch.runtime import Runtime

program = Runtime.get().load_program("model.pte")
outputs = program.load_method("forward").execute([images[:1]])[0]  # images SHAPE, of torch
```
""",
    "int8": """In 8 bits, with onnxruntime and numpy:

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.int8.onnx")
outputs = session.run(None, {"images": images})[0]  # images SHAPE, float32
```
""",
}


def write_card(out: Path, sheet: Sheet, network: Network) -> None:
    """Writes ``README.md``, ``measured.json`` and the drawing ``network.svg`` of an export."""
    title = f"{sheet.settings.name}, trial {sheet.record.number}"
    write_atomically(out / DRAWING, svg(drawn(network_of(sheet.record), network), title).encode())
    write_atomically(out / MEASURED, (json.dumps(sheet.to_json(), indent=2) + "\n").encode())
    write_atomically(out / CARD, sheet.card().encode())


def _parts(record: TrialRecord) -> str:
    """A row for each part of the network, with its shares."""
    try:
        found = list(parts(network_of(record)))
    except (NoFormulaError, ValueError):
        return f"| {_plain(network_of(record).label())} | | | |"
    macs, parameters = (sum(getattr(p.cost, name) for p in found) or 1 for name in ("macs", "parameters"))

    def row(part: Part) -> str:
        label = f"{part.repeat} x {part.node.label()}" if part.repeat > 1 and part.node else ""
        label = label or (part.node.label() if part.node else "")
        shares = f"{part.cost.macs / macs:.0%} | {part.cost.parameters / parameters:.0%}"
        return f"| {_plain(f'{part.name} {label}'.strip())} | {'x'.join(map(str, part.output))} | {shares} |"

    return "\n".join(map(row, found))


def _plain(text: str) -> str:
    """Text of a study in a line of Markdown: nothing of it is markup or steers a terminal."""
    marked = "".join(f"\\{sign}" if sign in "\\`*[]|" else "&lt;" if sign == "<" else sign for sign in text)
    return printable(marked).replace("\n", " ")
