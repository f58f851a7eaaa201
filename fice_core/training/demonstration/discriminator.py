"""The discriminator of StyleGAN2 (residual blocks, minibatch standard deviation), for training only."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = _conv(inputs, inputs, 3), _conv(inputs, outputs, 3)
        self.skip = _conv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv0(x), 0.2)
        y = F.leaky_relu(self.conv1(F.avg_pool2d(y, 2)), 0.2)
        skip: Tensor = self.skip(F.avg_pool2d(x, 2))
        return (y + skip) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """StyleGAN2 discriminator: images (N, 3, S, S) in [0, 1] -> logits of being real (N,)."""

    def __init__(self, size: int, channel_base: int = 2048, channel_max: int = 192) -> None:
        super().__init__()

        def channels(height: int) -> int:
            return min(channel_base // height, channel_max)

        heights = [size // 2**k for k in range(int(math.log2(size)) - 2)]
        self.from_rgb = _conv(3, channels(size), 1)
        self.blocks = nn.Sequential(*[_Block(channels(h), channels(h // 2)) for h in heights])
        self.last = _conv(channels(4) + 1, channels(4), 3)
        self.head = nn.Sequential(
            nn.Linear(channels(4) * 16, channels(4)), nn.LeakyReLU(0.2), nn.Linear(channels(4), 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(F.leaky_relu(self.from_rgb(images * 2 - 1), 0.2))
        # The standard deviation over the batch is one more channel, which reveals a collapsed generator.
        groups = min(4, len(x)) if len(x) % min(4, len(x)) == 0 else 1
        spread = x.view(groups, -1, *x.shape[1:]).float()
        deviation = (spread.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        deviation = deviation.repeat(groups)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        x = F.leaky_relu(self.last(torch.cat([x, deviation.to(x.dtype)], 1)), 0.2)
        logits: Tensor = self.head(x.flatten(1))
        return logits.squeeze(1)
