"""Fourier transforms as matrix products: the same numbers, and graphs without a DFT that are proven as any form."""

from pathlib import Path

import pytest
import torch
from releases import takes_onnx, takes_pt2

from nas.export.evaluate import Opened
from nas.export.formats import FORMATS, Taken, missing
from nas.export.formats.fourier import transforms_as_products
from nas.export.proof import answers, prove
from nas.export.running import OWN, running
from nas.settings import settings_of
from searchspaces import Architecture, build
from searchspaces.architecture import Stage, TokenMixer
from searchspaces.blocks.metaformer import MetaFormerBlock
from searchspaces.heads import AverageHead
from searchspaces.operators.aff import AdaptiveFilter
from searchspaces.operators.channel_mlp import ChannelMLP
from searchspaces.operators.gfilter import GlobalFilter
from searchspaces.stems.embedding import EmbeddingStem


@pytest.mark.parametrize("sides", [(6, 8), (5, 7), (4, 3)])
@pytest.mark.parametrize("dims", [(2, 3), (3,), (2,)])
def test_products_are_the_transforms_of_torch_and_back(sides: tuple[int, int], dims: tuple[int, ...]) -> None:
    x = torch.rand(2, 3, *sides)
    wanted = torch.fft.rfftn(x, dim=dims, norm="ortho")
    other = torch.randn_like(wanted)
    lengths = [x.shape[dim] for dim in dims]
    back = torch.fft.irfftn(other, s=lengths, dim=dims, norm="ortho")
    with transforms_as_products():
        torch.testing.assert_close(torch.fft.rfftn(x, dim=dims, norm="ortho"), wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            torch.fft.irfftn(other, s=lengths, dim=dims, norm="ortho"), back, atol=1e-5, rtol=1e-5
        )
    assert torch.equal(torch.fft.rfftn(x, dim=dims, norm="ortho"), wanted)


def fourier(*mixers: TokenMixer) -> Architecture:
    stages = tuple(Stage(MetaFormerBlock(mixer, ChannelMLP(0.5)), 1) for mixer in mixers)
    return Architecture((1, 8, 8), 3, EmbeddingStem(6, 2, 2), stages, AverageHead())


@takes_pt2
def test_a_graph_with_products_is_known_as_what_this_version_writes_and_runs(tmp_path: Path) -> None:
    architecture = fourier(GlobalFilter())
    network = build(architecture).eval()
    FORMATS["pt2"]().write(Taken(network, (1, 8, 8), products=True), tmp_path)
    settings = settings_of({"name": "products", "objectives": ["accuracy"], "data": {"name": "digits"}})
    with running(Opened(tmp_path, tmp_path, network, architecture, settings)) as (forms, left_out):
        assert ([form.name for form in forms], left_out) == ([OWN, "pt2"], {})


@pytest.mark.skipif(bool(missing("onnx")), reason=missing("onnx"))
@takes_onnx
def test_a_graph_of_onnx_without_a_dft_is_proven(tmp_path: Path) -> None:
    import onnx

    network = build(fourier(GlobalFilter(), AdaptiveFilter())).eval()
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    FORMATS["onnx"]().write(Taken(network, (1, 8, 8), products=True), tmp_path)
    assert prove("onnx", tmp_path, images, answers(network, images)).largest_difference < 1e-5
    nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert "DFT" not in nodes
    FORMATS["onnx"]().write(Taken(network, (1, 8, 8)), tmp_path)
    assert "DFT" in [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
