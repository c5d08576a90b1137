"""Operations and parameters of a module, counted on the meta device: nothing is allocated or trained.

Conventions (batch size 1): ``macs`` are the multiply-accumulates of matrix products and convolutions, bias left out;
``flops = 2 macs + transform_flops + elementwise_flops``. A complex Fourier transform of length N costs 5 N log2 N
operations, a real one half of that. Element-wise: one operation for each element written (6 for a complex product);
pooling and sums: one for each element read; batch norm: 2 an element; layer and group norm: 5 (mean 1, variance 2,
scale and shift 2); softmax: 5. Moving data is free. An operation with no rule is listed by name, never taken for zero.

FlopCounterMode on the meta device is the one public counter that is right for every convolution and matrix product,
attention included; fvcore, thop, ptflops and torchinfo each miss some.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FREE = _names(
    """
    view _unsafe_view reshape t transpose permute expand cat stack split split_with_sizes slice select index
    index_select gather roll flip constant_pad_nd clone copy_ _to_copy contiguous empty zeros ones full detach
    alias unsqueeze squeeze arange argmax lift_fresh as_strided as_strided_ unbind view_as_real view_as_complex real
    imag _conj _reshape_alias repeat new_empty new_zeros empty_like zeros_like resolve_conj narrow unfold diagonal
    chunk scatter embedding
    """
)
ELEMENTWISE = _names(
    """
    add sub rsub mul div neg gelu relu silu mish sigmoid tanh sin cos exp log sqrt rsqrt reciprocal pow abs
    clamp clamp_min hardtanh hardswish hardsigmoid leaky_relu elu softplus where maximum minimum add_ mul_ relu_
    silu_ exp_ exp2 log2 round signbit addcmul addcmul_ lerp softshrink dropout native_dropout upsample_nearest2d
    complex
    """
)
PER_ELEMENT_READ = _names(
    """
    mean sum amax amin max min var linalg_vector_norm _adaptive_avg_pool2d adaptive_max_pool2d
    """
)
PER_ELEMENT_WRITTEN = {
    "native_batch_norm": 2,
    "_native_batch_norm_legit_no_training": 2,
    "native_layer_norm": 5,
    "native_group_norm": 5,
    "_softmax": 5,
    "_safe_softmax": 5,
    "_log_softmax": 5,
    "upsample_bilinear2d": 7,
    "_upsample_bilinear2d_aa": 7,
}


def _bag_flops(weight: Any, indices: Any, *args: Any, **kwargs: Any) -> int:
    """Operations of a weighted sum of rows, which is how a sparse matrix is applied; from the shapes of its inputs."""
    return int(2 * math.prod(indices) * weight[1])


SPARSE = {torch.ops.aten._embedding_bag: _bag_flops, torch.ops.aten._embedding_bag_forward_only: _bag_flops}
"""Products that FlopCounterMode leaves out."""


@dataclass(frozen=True)
class Counts:
    """What one forward pass of one image takes, in the conventions of this module.

    Args:
        checkpoint_bytes: of all parameters and buffers that are stored.
        uncounted: names of the operations that no rule covers; the other figures leave them out.
    """

    macs: int
    transform_flops: int
    elementwise_flops: int
    parameters: int
    trainable_parameters: int
    checkpoint_bytes: int
    uncounted: tuple[str, ...] = ()

    @property
    def flops(self) -> int:
        """2 macs + transforms + element-wise operations."""
        return 2 * self.macs + self.transform_flops + self.elementwise_flops


def count(model: nn.Module, input: tuple[int, int, int]) -> Counts:
    """Counts of ``model`` for one image of shape ``input`` = (C, H, W); exact where the model is on the meta device."""
    device = next((p.device for p in model.parameters()), torch.device("meta"))
    image = torch.empty(1, *input, device=device)
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.enable_grad(), FlopCounterMode(display=False, custom_mapping=SPARSE) as products, _Tally() as tally:
            model(image)
    finally:
        for module in training:
            module.training = True
    parameters = list(model.parameters())
    return Counts(
        macs=products.get_total_flops() // 2,
        transform_flops=tally.transform,
        elementwise_flops=tally.elementwise,
        parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        checkpoint_bytes=sum(t.numel() * t.element_size() for t in model.state_dict().values()),
        uncounted=tuple(sorted(tally.uncounted)),
    )


@dataclass(frozen=True)
class Kept:
    """Bytes that autograd keeps from the forward to the backward pass, parameters and buffers left out.

    Args:
        per_image: of each image of the batch.
        once: whatever the batch: composed or masked weights, statistics of batch norm.
    """

    per_image: int
    once: int

    def of(self, batch: int) -> int:
        """Bytes for a batch of that many images."""
        return batch * self.per_image + self.once


def kept(model: nn.Module, input: tuple[int, int, int]) -> Kept:
    """What training ``model`` on images of shape ``input`` = (C, H, W) keeps; found on the meta device, exactly.

    A tensor that two layers keep counts once. The input takes part in the gradient, as in adversarial training.
    """
    two, three = (_kept_bytes(model, (batch, *input)) for batch in (2, 3))  # batch norm cannot train on one
    return Kept(per_image=three - two, once=3 * two - 2 * three)


def _kept_bytes(model: nn.Module, shape: tuple[int, ...]) -> int:
    model = copy.deepcopy(model).to("meta").train()
    stored = [tensor.untyped_storage() for tensor in [*model.parameters(), *model.buffers()]]
    own, found = {storage._cdata for storage in stored}, {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            found[storage._cdata] = storage  # held, so that no two have the same address
        return tensor

    images = torch.empty(shape, device="meta", requires_grad=True)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(images)
    return sum(storage.nbytes() for storage in found.values())


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what FlopCounterMode leaves out, operation by operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.transform = 0
        self.elementwise = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        written = out[0] if isinstance(out, tuple | list) and out else out
        if name in FREE or func.overloadpacket in flop_registry or func.overloadpacket in SPARSE:
            pass
        elif name in TRANSFORMS:
            self.transform += TRANSFORMS[name](args, written)
        elif name in ELEMENTWISE:
            self.elementwise += written.numel() * (_COMPLEX.get(name, 2) if written.is_complex() else 1)
        elif name in PER_ELEMENT_READ:
            self.elementwise += args[0].numel()
        elif name in PER_ELEMENT_WRITTEN:
            self.elementwise += PER_ELEMENT_WRITTEN[name] * written.numel()
        elif name in ("avg_pool2d", "max_pool2d_with_indices"):
            kernel = args[1]
            self.elementwise += written.numel() * (kernel[0] * kernel[-1])
        else:
            self.uncounted.add(name)
        return out


_COMPLEX = {"mul": 6, "div": 11}


def _transform_flops(x: Tensor, dims: list[int], factor: float) -> int:
    length = math.prod(x.shape[d] for d in dims)
    return int(factor * x.numel() * math.log2(max(length, 2)))


TRANSFORMS: dict[str, Callable[[tuple[Any, ...], Tensor], int]] = {
    "_fft_c2c": lambda args, out: _transform_flops(args[0], args[1], 5.0),
    "_fft_r2c": lambda args, out: _transform_flops(args[0], args[1], 2.5),
    "_fft_c2r": lambda args, out: _transform_flops(out, args[1], 2.5),
}
