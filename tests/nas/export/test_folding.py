"""Folded graphs: what goes into what, and that they return what the network returns."""

import json
from pathlib import Path

import pytest
import tomli_w
import torch
from torch import Tensor, nn

import nas
from nas.export.formats.folding import Folding, exported, fastest, fold, folded
from nas.export.running import OWN
from nas.results.exports import compare_exports
from searchspaces.layers.separable import Separable, SeparableConvolution
from searchspaces.layers.sparse import MaskedLinear

SHAPE = (4, 6, 6)


class Norm(nn.BatchNorm2d):
    """A batch norm that has seen images."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        with torch.no_grad():
            self.weight.uniform_(0.5, 2)
            self.bias.normal_()
            self.running_mean.normal_()  # type: ignore[union-attr]
            self.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]


class Twice(nn.Module):
    """A convolution whose output is read beside the norm after it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(4, 4, 3, padding=1), Norm(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolution(x)
        return y + self.norm(y)


def largest(module: nn.Module, network: nn.Module, shape: tuple[int, ...] = SHAPE) -> float:
    """Largest difference of the outputs, as a share of the largest output, at batches of 1 and 5."""
    worst = 0.0
    with torch.no_grad():
        for batch in (1, 5):
            x = torch.rand(batch, *shape)
            wanted = network(x)
            worst = max(worst, float((module(x) - wanted).abs().max() / wanted.abs().max()))
    return worst


@pytest.mark.parametrize(
    ("layers", "norms"),
    [
        ([nn.Conv2d(4, 8, 3, padding=1, bias=False), Norm(8)], 1),
        ([nn.Conv2d(4, 8, 3, stride=2, groups=2), Norm(8), nn.ReLU(), nn.Conv2d(8, 4, 1), Norm(4)], 2),
        ([nn.Conv2d(4, 4, 3, padding="same", groups=4), Norm(4)], 1),
        ([Norm(4), nn.Conv2d(4, 8, 1)], 1),
        ([Norm(4), nn.Conv2d(4, 8, 1, stride=2, bias=False), Norm(8)], 2),
        ([Norm(4), nn.Conv2d(4, 8, 3, padding=1)], 0),
        ([Norm(4), nn.Conv2d(4, 8, 1, padding=1)], 0),
        ([Norm(4), nn.Conv2d(4, 4, 1, groups=4)], 0),
        ([nn.Conv2d(4, 8, 3, padding=1), nn.GELU(), Norm(8)], 0),
        ([Twice()], 0),
    ],
)
def test_norms_go_into_convolutions_where_the_order_allows_it(layers: list[nn.Module], norms: int) -> None:
    network = nn.Sequential(*layers).eval()
    graph, folding = fold(exported(network, SHAPE), Folding(1))
    assert folding.norms == norms
    assert largest(graph, network) < 2e-6


def test_what_was_folded_is_counted_in_words() -> None:
    one, more = Folding(1, norms=1, dense=1, before=2, after=1), Folding(4, norms=3, constants=2, split=2, after=1)
    assert str(one) == (
        "1 batch norm in convolutions, 1 separable convolution as one kernel: one image in 1.00 ms for 2.00, one thread"
    )
    counted = "3 batch norms in convolutions, 2 tensors computed once, 2 separable convolutions in two parts: 4 images"
    assert str(more).startswith(counted)


def test_the_tensors_of_a_folded_norm_are_left_out() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), Norm(8)).eval()
    program = exported(fold(exported(network, SHAPE), Folding(1))[0], SHAPE)
    assert sum(tensor.numel() for tensor in program.state_dict.values()) == 4 * 8 * 9 + 8


def test_what_is_computed_of_weights_alone_is_computed_once() -> None:
    network = nn.Sequential(nn.Flatten(), MaskedLinear(144, 10, 0.5, "bernoulli")).eval()
    graph, folding = fold(exported(network, SHAPE), Folding(1))
    assert folding.constants == 1
    assert not any("mul" in str(node.target) for node in graph.graph.nodes)
    assert largest(graph, network) < 1e-6


@pytest.mark.parametrize("fused", [True, False])
def test_a_frozen_separable_convolution_folds_in_either_form(fused: bool) -> None:
    network = SeparableConvolution(4, Separable(6, multiplier=4), fused=fused).eval()
    graph, folding = fold(exported(network, SHAPE), Folding(1, dense=fused), grow=True)
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    assert (len(calls), folding.dense) == ((1, 1) if fused else (2, 0))
    assert largest(graph, network) < 1e-5


def test_a_kernel_that_takes_more_memory_is_made_once_only_where_that_is_wanted() -> None:
    network = SeparableConvolution(4, Separable(64, multiplier=2, kernel=5), fused=True).eval()
    assert fold(exported(network, SHAPE), Folding(1))[1].constants == 0


def test_nothing_is_folded_where_there_is_nothing_to_fold() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.GELU()).eval()
    assert folded(network, SHAPE, 1)[1] is None


@pytest.mark.parametrize(
    ("after", "dense", "place"),
    [
        ([8.0, 7.5], [False, True], 0),  # a kernel has to save a tenth more
        ([8.0, 7.0], [False, True], 1),
        ([9.9, 9.9], [False, True], None),
        ([9.7], [True], 0),
    ],
)
def test_the_form_is_the_fastest_one_that_gains(after: list[float], dense: list[bool], place: int | None) -> None:
    assert fastest(10.0, after, dense) == place


def test_a_frozen_network_is_folded_as_a_whole() -> None:
    layers = [SeparableConvolution(8, Separable(8, multiplier=9), fused=True) for _ in range(2)]
    network = nn.Sequential(*layers).eval()
    program, folding = folded(network, (8, 8, 8), 1)
    assert folding is None or ({folding.dense, folding.split} == {0, 2} and folding.after < folding.before)
    assert largest(program.module(), network, (8, 8, 8)) < 1e-5


@pytest.mark.slow
def test_an_export_says_what_was_folded_and_its_folded_graph_runs_in_a_comparison(tmp_path: Path) -> None:
    settings = {
        "name": "folded",
        "trials": 1,
        "objectives": ["accuracy", "macs"],
        "space": {"kind": "resnet", "choices": {"multiplier": [1]}},
        "data": {"name": "digits", "limit": 200},
        "training": {"epochs": 1},
        "execution": {"workers": 1, "device": "cpu"},
    }
    (tmp_path / "study.toml").write_text(tomli_w.dumps(settings))
    study = nas.search(tmp_path / "study.toml", out=tmp_path / "run")
    study.export("knee", tmp_path / "out", formats=["pt2"])
    study.export("knee", tmp_path / "plain", formats=["pt2"], batch=None)
    (proof,) = json.loads((tmp_path / "out" / "measured.json").read_text())["formats"].values()
    assert proof["folding"]["norms"] > 10
    assert proof["folding"]["after"] < proof["folding"]["before"]
    assert "batch norms in convolutions" in (tmp_path / "out" / "README.md").read_text()
    assert "batch norms" not in (tmp_path / "plain" / "README.md").read_text()
    (found,) = compare_exports([tmp_path / "out"], None, "validation", seconds=0.1)["exports"]
    assert [form["form"] for form in found["forms"]] == [OWN, "pt2"]
