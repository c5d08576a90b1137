"""What the graph of a form costs: counted from the graph, by hand for each operator of ONNX, and compared."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from nas.errors import StoppedError
from nas.export.formats.graph import ExpectedCosts, GraphCosts, onnx_costs, torch_costs
from nas.export.proof import prove
from nas.pricing import price
from searchspaces import SEARCH_SPACES, build
from tests.nas.export.test_formats import Boastful, boastful  # noqa: F401

SHAPE = (4, 6, 6)
HALF = {"parameters": None, "macs": None}


def chans(multiplier: int) -> Any:
    """A network with frozen spatial filters, which is fused where the multiplier is above 1."""
    space = SEARCH_SPACES["resnet"]((3, 8, 8), 4)
    frozen = {choice.name: ["chans"] for choice in space.choices if choice.name.endswith(".freeze")}
    space = space.narrow({**frozen, "multiplier": [multiplier]})
    return space.decode(space.first)


def written(folder: Path, node: Any, *weights: tuple[str, tuple[int, ...]]) -> str:
    """A file of one operator on ``images``."""
    held = [helper.make_tensor(n, TensorProto.FLOAT, s, np.zeros(s, np.float32).ravel()) for n, s in weights]
    takes = helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", *SHAPE))
    gives = helper.make_tensor_value_info("outputs", TensorProto.FLOAT, None)
    nodes = node if isinstance(node, list) else [node]
    model = helper.make_model(
        helper.make_graph(nodes, "one", [takes], [gives], held), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 8
    path = str(folder / "one.onnx")
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("operator", "settings", "weights", "macs"),
    [
        ("Conv", {"group": 2, "strides": [2, 2]}, (8, 2, 3, 3), 8 * 2 * 2 * 2 * 9),  # 2x2 positions
        ("ConvTranspose", {}, (4, 3, 2, 2), 4 * 6 * 6 * 3 * 4),
        ("MatMul", {}, (6, 5), 4 * 6 * 6 * 5),
        ("Einsum", {"equation": "bchw, wk -> bchk"}, (6, 5), 4 * 6 * 6 * 5),
    ],
)
def test_products_of_onnx_are_counted_by_their_shapes(
    tmp_path: Path, operator: str, settings: dict[str, Any], weights: tuple[int, ...], macs: int
) -> None:
    node = helper.make_node(operator, ["images", "w"], ["outputs"], **settings)
    assert onnx_costs(written(tmp_path, node, ("w", weights)), SHAPE) == {**HALF, "macs_per_image": macs}


def test_a_matrix_product_with_a_bias_and_transposed_sides_is_counted_once(tmp_path: Path) -> None:
    flat = helper.make_node("Flatten", ["images"], ["rows"])
    node = helper.make_node("Gemm", ["rows", "w", "bias"], ["outputs"], transB=1)
    path = written(tmp_path, [flat, node], ("w", (5, 144)), ("bias", (5,)))
    assert onnx_costs(path, SHAPE) == {**HALF, "macs_per_image": 5 * 144}


def test_an_operator_that_hides_products_is_not_counted_as_none(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["images"], ["outputs"])
    assert onnx_costs(written(tmp_path, node), SHAPE) is None


@pytest.mark.parametrize("multiplier", [1, 9])
def test_the_graph_of_a_fused_network_is_compared_with_the_form_that_is_run(multiplier: int) -> None:
    architecture = chans(multiplier)
    network, total = build(architecture).eval(), price(architecture).total
    expected = ExpectedCosts.of(architecture, network)
    counted = GraphCosts(**torch_costs(network, architecture.input))  # type: ignore[arg-type]
    assert expected.differing(counted) == ""
    assert (expected.macs == expected.macs_executed) == (multiplier == 1) == (total.macs == total.macs_executed)
    once = total.macs_executed - expected.macs_per_image  # kernels are made once for a whole batch
    assert (once > 0) == (multiplier > 1)


def test_a_graph_that_costs_something_else_is_refused_and_named(
    boastful: None,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costs = "def costs(shape):\n    return {'parameters': 10, 'macs': 1200, 'macs_per_image': 1200}"
    monkeypatch.setattr(Boastful, "runner", f"{Boastful.runner}\n{costs}")
    images, wanted = torch.rand(2, 1, 8, 8), np.ones((2, 3), np.float32)
    same = ExpectedCosts(parameters=10, macs=1000, macs_executed=1200, macs_per_image=1200)
    proof = prove("boastful", tmp_path, images, wanted, same)
    assert proof.cost == "1,200 multiply-accumulates for one image as run, 1,000 as defined, 10 parameters"
    other = ExpectedCosts(parameters=10, macs=1000, macs_executed=1000, macs_per_image=1000)
    with pytest.raises(StoppedError, match=r"it costs 1,200 multiply-accumulates, the architecture 1,000\."):
        prove("boastful", tmp_path, images, wanted, other)


def test_a_graph_that_an_exporter_rewrote_may_cost_less_and_never_more() -> None:
    expected = ExpectedCosts(parameters=10, macs=1000, macs_executed=1200, macs_per_image=1100)
    assert expected.differing(GraphCosts(None, None, 1100)) == expected.differing(GraphCosts(None, None, 1000)) == ""
    assert expected.differing(GraphCosts(None, None, 1101)).startswith("it costs 1,101 multiply-accumulates for each")
    assert (
        expected.differing(GraphCosts(10, 1100, 1100)) == "it costs 1,100 multiply-accumulates, the architecture 1,200"
    )
    assert expected.differing(GraphCosts(9, 1200, 1100)) == "it costs 9 parameters, the architecture 10"
