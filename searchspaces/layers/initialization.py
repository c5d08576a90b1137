"""How weights start where it is not PyTorch's way."""

import math

from torch import nn


def fan_out_normal(module: nn.Module) -> None:
    """Starts every convolution and linear map at N(0, 2 / (k^2 outputs / groups)), biases at 0, as SpaRTAN does."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            taps, groups = layer.weight[0, 0].numel(), layer.groups if isinstance(layer, nn.Conv2d) else 1
            nn.init.normal_(layer.weight, std=math.sqrt(2 * groups / (taps * len(layer.weight))))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
