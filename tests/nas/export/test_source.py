"""``model.py``: the source of one network runs without this project, and is the same network bit for bit."""

import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nas.errors import WrongInputError
from nas.export.bundle import one_thread
from nas.export.formats.folding import Folding, exported, fold
from nas.export.source import inlined, model_source, model_state
from nas.plugins import load_plugins
from searchspaces import SEARCH_SPACES, Architecture, Stage, build
from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.fields import example
from searchspaces.heads import AverageHead, DenseHead
from searchspaces.known import KNOWN
from searchspaces.operators.attention import Attention
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.dsm import SpectrumMixer
from searchspaces.operators.sparse_mlp import SparseMLP
from searchspaces.operators.token_mlp import TokenMLP
from searchspaces.spaces.mixing import CONTROLS, OUR_CHANNELS, OURS
from searchspaces.stems.embedding import EmbeddingStem

RUNNER = Path(__file__).with_name("run_sources.py")
BATCHES = (1, 2, 7)
SHAPE = (16, 8, 8)


def of_blocks(*blocks, outputs=10, depth=1):
    head = AverageHead("layer") if isinstance(outputs, int) else DenseHead("layer")
    stages = tuple(Stage(block, depth) for block in blocks)
    return Architecture((3, 16, 16), outputs, EmbeddingStem(SHAPE[0], 2, 2), stages, head)


def of_mixers(pairs, **fields):
    return of_blocks(*(MetaFormerBlock(token, channel, **fields) for token, channel in pairs))


def of_all_mixers():
    """Networks that together hold every token mixer and every channel mixer, four of each in a network."""
    tokens = [example(kind, SHAPE) for kind in TOKEN_MIXERS.values()]
    channels = [example(kind, SHAPE) for kind in CHANNEL_MIXERS.values()]
    tokens += [
        Attention(heads=2, variant="chol"),
        SpectrumMixer(static=True),
        SparseMLP(form="csr"),
        TokenMLP(shared=False),
    ]
    channels += [ChannelMLP(permutation="random"), ChannelMLP(permutation="random_inverse")]
    number = max(len(tokens), len(channels))
    pairs = [(tokens[n % len(tokens)], channels[n % len(channels)]) for n in range(number)]
    for first in range(0, number, 4):
        yield f"mixers-{first}", of_mixers(pairs[first : first + 4], layer_scale=0.1, drop_path=0.1)
    yield "dense", of_blocks(MetaFormerBlock(tokens[0], channels[0]), outputs=(3, 16, 16))


def draws(space, generator, number):
    """Random networks of a space that can be built."""
    while number:
        architecture = space.network(space.draw(generator))
        if architecture is not None:
            number -= 1
            yield architecture


def of_spaces(number, seed=0):
    generator = random.Random(seed)
    for name, make in SEARCH_SPACES.items():
        for place, architecture in enumerate(draws(make((3, 32, 32), 10), generator, number)):
            yield f"{name}-{place}", architecture


def of_names(number, seed=0):
    """Networks of the mixing space with any of its names: controls, ``gated(...)``, ``static(...)``."""
    tokens, channels = [*OURS, *CONTROLS], [*OUR_CHANNELS, "identity"]
    space = SEARCH_SPACES["mixing"]((3, 32, 32), 10)
    space = space.narrow({"mixer": list(dict.fromkeys(tokens)), "channel": list(dict.fromkeys(channels))})
    for place, architecture in enumerate(draws(space, random.Random(seed), number)):
        yield f"names-{place}", architecture


def stirred(network):
    """The network with statistics and vectors that are not those of a start, which hide what is left out."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() < 2:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "normalize.mean")):
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=generator))
            elif name.endswith(("running_var", "normalize.std")):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator))
    return network.eval()


def write(folder, network, shape):
    """Writes what `run_sources` reads of a network; its number of lines."""
    model = inlined(network)
    folder.mkdir()
    (folder / "model.py").write_text(model.source, encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in model.state.items()}, folder / "model.safetensors")
    x = torch.rand(max(BATCHES), *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), one_thread():  # more add up in another order
        outputs = {str(batch): network(x[:batch]).contiguous() for batch in BATCHES}
    save_file({"x": x, **outputs}, folder / "example.safetensors")
    return len(model.source.splitlines())


def run_apart(folders):
    """What differs, by name, from a process that has neither this project nor safetensors."""
    names = "\n".join(map(str, folders))
    command = [sys.executable, "-I", str(RUNNER)]
    done = subprocess.run(command, input=names, capture_output=True, text=True, check=True, timeout=3000)
    return dict(map(json.loads, done.stdout.splitlines()))


def differing(architectures, folder):
    """Networks of which the source differs, and lines by name."""
    lines = {}
    for name, architecture in architectures:
        network = stirred(build(architecture, seed=1))
        lines[name] = write(folder / name, network, architecture.input)
    found = run_apart(folder / name for name in lines)
    assert found.keys() == lines.keys()
    return {name: wrong for name, wrong in found.items() if wrong}, lines


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    everything = [*of_all_mixers(), *of_spaces(1), *of_names(2)]
    return folder, *differing(everything, folder)


def module_of(source, tmp_path):
    path = tmp_path / "model.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("written_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_mixer_and_space_is_the_same_network_without_this_project(written):
    _, wrong, lines = written
    assert not wrong
    assert len(lines) > 10


def test_a_network_of_any_space_takes_at_most_300_lines(written):
    _, _, lines = written
    assert not {name: count for name, count in lines.items() if count > 300 and not name.startswith("mixers")}


def test_the_source_passes_pyflakes_and_has_sorted_imports(written):
    pytest.importorskip("ruff", reason="ruff is a tool of developers")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--line-length", "120"]
    done = subprocess.run([*command, "--select", "E,F,I,W", str(written[0])], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_depth_does_not_lengthen_the_source():
    block = MetaFormerBlock(TokenMLP(), ChannelMLP(), drop_path=0.1)
    two, many = (model_source(build(of_blocks(block, depth=depth)).eval()) for depth in (2, 24))
    assert two.count("\n") == many.count("\n")
    assert "range(24)" in many


def test_comments_are_kept_and_branches_that_a_setting_decides_are_not():
    source = model_source(build(of_mixers([(TokenMLP(), ChannelMLP())])).eval())
    assert "# Contiguous, because on other rows" in source
    assert "self.random" not in source
    assert "index_select" not in source
    assert "index_select" in model_source(build(of_mixers([(TokenMLP(permutation="random"), ChannelMLP())])).eval())


def test_buffers_that_a_checkpoint_lacks_are_in_the_state():
    network = build(of_mixers([(SpectrumMixer(), ChannelMLP(permutation="random"))])).eval()
    state = model_state(network)
    assert network.state_dict().keys() < state.keys()
    assert {name.rpartition(".")[2] for name in state.keys() - network.state_dict().keys()} == {
        "matrix",
        "before_last",
        "after_last",
    }


def test_weights_of_another_network_are_refused(tmp_path):
    network = build(of_mixers([(TokenMLP(), ChannelMLP())])).eval()
    module = module_of(model_source(network), tmp_path)
    state = model_state(network)
    save_file({name: tensor for name, tensor in state.items() if name != "classifier.bias"}, tmp_path / "fewer")
    save_file({**state, "classifier.bias": torch.zeros(11)}, tmp_path / "other")
    for name, message in (("fewer", "Missing key"), ("other", "size mismatch")):
        with pytest.raises(RuntimeError, match=message):
            module.build(tmp_path / name)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}x"[:6]])
def test_a_file_that_is_none_is_refused(tmp_path, header):
    module = module_of(model_source(build(of_mixers([(TokenMLP(), ChannelMLP())])).eval()), tmp_path)
    (tmp_path / "weights").write_bytes(header)
    with pytest.raises(ValueError, match="no safetensors file"):
        module.read_tensors(tmp_path / "weights")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 12]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]},
    ],
)
def test_a_tensor_outside_of_its_file_is_refused(tmp_path, entry):
    module = module_of(model_source(build(of_mixers([(TokenMLP(), ChannelMLP())])).eval()), tmp_path)
    head = json.dumps({"weight": entry}).encode()
    (tmp_path / "weights").write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(ValueError, match="weight lies outside"):
        module.read_tensors(tmp_path / "weights")


PLUGIN = '''
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from searchspaces.architecture import ChannelMixer, Shape, spec
from searchspaces.freezing import Mixer
from searchspaces.layers.pointwise import Conv1x1

{imports}
FLOOR = 0.25


def limited(x: Tensor) -> Tensor:
    return x.clamp_min(FLOOR)


@spec("{name}")
@dataclass(frozen=True)
class Limiting(ChannelMixer):
    """Twice a 1x1 convolution above a floor."""

    def build(self, shape: Shape) -> Mixer:
        return Limited(shape[0])


class Half(Mixer):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv1x1(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Limited(Half):
    """Module of `Limiting`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.twice, self.mode = True, "floor"

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.mode == "ceiling":
            y = -y
        elif self.twice:
            y = 2 * y  # doubled
        else:
            y = 3 * y
        return {returned}
'''


@pytest.fixture
def tables():
    """Operators that a plugin registers are forgotten after the test."""
    yield
    for name in [name for name in CHANNEL_MIXERS if name.startswith("limited")]:
        del CHANNEL_MIXERS[name]


def plugin(tmp_path, name, imports="", returned="limited(y)"):
    path = tmp_path / f"{name}.py"
    path.write_text(PLUGIN.format(name=name, imports=imports, returned=returned))
    load_plugins([path])
    return build(of_mixers([(TokenMLP(), CHANNEL_MIXERS[name]())]), seed=1).eval()


def test_an_operator_of_a_plugin_is_copied_from_its_file(tmp_path, tables):
    network = plugin(tmp_path, "limited_once")
    source = model_source(network)
    assert "y = 2 * y  # doubled" in source
    assert "ceiling" not in source
    write(tmp_path / "limited_once", network, (3, 16, 16))
    assert run_apart([tmp_path / "limited_once"]) == {"limited_once": []}


def test_an_operator_that_needs_another_package_is_refused(tmp_path, tables):
    network = plugin(tmp_path, "limited_numpy", "import numpy as np", "y * np.pi")
    with pytest.raises(WrongInputError, match=r"needs numpy, and model\.py imports torch alone"):
        model_source(network)


def test_an_operator_whose_forward_pass_names_a_module_class_is_refused(tmp_path, tables):
    network = plugin(
        tmp_path, "limited_named", returned="y if len([m for m in self.children() if type(m) is Half]) else x"
    )
    with pytest.raises(WrongInputError, match="names the module class"):
        model_source(network)


def test_a_hook_is_refused():
    network = build(of_mixers([(TokenMLP(), ChannelMLP())])).eval()
    network.head.register_forward_hook(lambda module, inputs, output: output * 2)
    with pytest.raises(WrongInputError, match="Sequential at head has a hook"):
        model_source(network)


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def test_a_parametrized_layer_is_refused_with_what_to_do():
    network = build(of_mixers([(TokenMLP(), ChannelMLP())])).eval()
    parametrize.register_parametrization(network.classifier, "weight", Doubled())
    with pytest.raises(WrongInputError, match="remove_parametrizations first"):
        model_source(network)


@pytest.mark.slow
def test_two_hundred_random_networks_are_the_same_without_this_project(tmp_path):
    modes = ["random", "normal", "same", "identity", "impulse", "box"]
    filtered = SEARCH_SPACES["convmixer"]((1, 16, 16), 10).narrow({"filters": modes})
    some = ((f"filters-{n}", a) for n, a in enumerate(draws(filtered, random.Random(2), 20)))
    wrong, lines = differing([*of_spaces(15, seed=3), *of_names(60, seed=4), *some], tmp_path)
    assert not wrong
    assert len(lines) >= 200
    assert sorted(lines.values())[len(lines) // 2] <= 300  # two stages of four large mixers take more


@pytest.mark.slow
def test_graphs_of_every_mixer_take_any_batch_and_are_folded():
    for name, architecture in of_all_mixers():
        network, images = build(architecture).eval(), torch.rand(7, *architecture.input)
        plain = exported(network, architecture.input)
        graph, _ = fold(plain, Folding(1))
        with torch.no_grad():
            for batch in BATCHES:
                wanted = network(images[:batch])
                for module in (plain.module(), graph):
                    far = float((module(images[:batch]) - wanted).abs().max() / wanted.abs().max())
                    assert far < 1e-5, (name, batch)


@pytest.mark.slow
def test_known_networks_are_the_same_without_this_project(tmp_path):
    with torch.device("meta"):
        sizes = {name: sum(p.numel() for p in build(make()).parameters()) for name, make in KNOWN.items()}
    small = [(name, KNOWN[name]()) for name, size in sizes.items() if size <= 6e6]
    assert len(small) >= 5
    wrong, lines = differing(small, tmp_path)
    assert not wrong
    assert max(lines.values()) <= 310
