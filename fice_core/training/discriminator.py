"""The discriminator of StyleGAN2 for any generator; for training only.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020): residual blocks
with low-pass filters, equalised learning rates, the standard deviation over groups of samples. Parameters
are named as in the published files.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError, printable
from ..files import KIND_KEY, write_safetensors
from ..networks.stylegan2_layers import GAIN, LEAKY_SLOPE, EqualizedLinear

_KIND, _CONFIG_KEY = "discriminator", "fice.config"
_HALF_BLOCKS = 4  # blocks of the highest resolutions, which may compute with 16 bits


class _Conv(nn.Module):
    """Convolution with an equalised learning rate; `down` filters and halves. Activation, gain, clamp."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        down: bool = False,
        activate: bool = True,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.down, self.gain = down, gain
        self.clamp = None if clamp is None else clamp * gain
        self.weight_gain = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.weight_gain
        kernel = weight.shape[-1]
        if not self.down:
            x = F.conv2d(x, weight, padding=kernel // 2)
        elif kernel == 1:
            x = F.conv2d(_low_pass(x, 1, stride=2), weight)
        else:
            x = F.conv2d(_low_pass(x, 2), weight, stride=2)
        if self.bias is None:
            return x * self.gain
        x = F.leaky_relu(x + self.bias[:, None, None].to(x.dtype), LEAKY_SLOPE) * (GAIN * self.gain)
        return x if self.clamp is None else F.hardtanh(x, -self.clamp, self.clamp)


def _low_pass(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """The [1, 3, 3, 1] filter with gain 1 on every channel."""
    taps = 4 - 2 * (torch.arange(4, dtype=x.dtype, device=x.device) - 1.5).abs()
    kernel = (torch.outer(taps, taps) / 64).expand(x.shape[1], 1, 4, 4)
    filtered: Tensor = F.conv2d(x, kernel, stride=stride, padding=padding, groups=x.shape[1])
    return filtered


class _Block(nn.Module):
    """Features (or an image) (N, C, H, W) -> (N, D, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, first: bool, clamp: float | None) -> None:
        super().__init__()
        half = math.sqrt(0.5)
        self.fromrgb = _Conv(3, inputs, 1, clamp=clamp) if first else None
        self.conv0 = _Conv(inputs, inputs, 3, clamp=clamp)
        self.conv1 = _Conv(inputs, outputs, 3, down=True, gain=half, clamp=clamp)
        self.skip = _Conv(inputs, outputs, 1, down=True, activate=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        y: Tensor = self.skip(x) + self.conv1(self.conv0(x))
        return y


class _Last(nn.Module):
    """Features (N, C, 4, W) -> logits (N,), with the deviation over groups as one more channel."""

    def __init__(self, channels: int, width: int, clamp: float | None) -> None:
        super().__init__()
        self.conv = _Conv(channels + 1, channels, 3, clamp=clamp)
        self.fc = EqualizedLinear(channels * 4 * width, channels)
        self.out = EqualizedLinear(channels, 1)

    def forward(self, x: Tensor, group: int) -> Tensor:
        x = self.conv(torch.cat([x, _deviation(x, group)], 1))
        x = F.leaky_relu(self.fc(x.flatten(1)), LEAKY_SLOPE) * GAIN
        logits: Tensor = self.out(x)
        return logits.squeeze(1)


def _deviation(x: Tensor, group: int) -> Tensor:
    """Mean standard deviation over groups of consecutive samples, as a map (N, 1, H, W).

    Groups are consecutive, so that they stay whole when processes share a batch.
    """
    spread: Tensor = x.unflatten(0, (-1, group)).var(1, unbiased=False)
    deviation = (spread + 1e-8).sqrt().mean((1, 2, 3)).repeat_interleave(group)
    return deviation[:, None, None, None].expand(-1, 1, *x.shape[2:])


class Discriminator(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] -> logits of being real (N,).

    Args:
        resolution: (H, W); H a power of two from 8 up, W = H or W = H / 2.
        channel_base, channel_max: as of the generator.
        conv_clamp: activations are clamped to +-conv_clamp; None for no clamp.
        group: samples whose deviation is computed together; a batch is a multiple of it.
    """

    def __init__(
        self,
        resolution: tuple[int, int] = (256, 256),
        channel_base: int = 16384,
        channel_max: int = 512,
        conv_clamp: float | None = 256.0,
        group: int = 4,
    ) -> None:
        super().__init__()
        height, width = resolution
        self.config = {
            "resolution": [height, width],
            "channel_base": channel_base,
            "channel_max": channel_max,
            "conv_clamp": conv_clamp,
            "group": group,
        }
        self.resolution = (height, width)
        self.group = group
        self.heights = [2**k for k in range(int(math.log2(height)), 2, -1)]
        channels = {h: min(channel_base // h, channel_max) for h in (*self.heights, 4)}
        for h in self.heights:
            block = _Block(channels[h], channels[h // 2], h == height, conv_clamp)
            setattr(self, f"b{h}", block)
        self.b4 = _Last(channels[4], 4 * width // height, conv_clamp)

    def forward(self, images: Tensor, half: bool = False) -> Tensor:
        """Logits; with `half`, the blocks of the highest resolutions multiply in bfloat16."""
        x = images
        for k, h in enumerate(self.heights):
            in_half = half and k < _HALF_BLOCKS
            with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=in_half):
                x = getattr(self, f"b{h}")(x)
            x = x.to(images.dtype)
        logits: Tensor = self.b4(x, self.group)
        return logits

    def freeze(self, layers: int) -> None:
        """Freeze the first layers (Mo et al. 2020): of each block fromrgb, conv0, conv1 and skip."""
        blocks = [getattr(self, f"b{h}") for h in self.heights]
        ordered = [layer for block in blocks for layer in block.children()]
        for layer in ordered[:layers]:
            layer.requires_grad_(False)


def save_discriminator(network: Discriminator, path: str | os.PathLike[str]) -> None:
    """Write a discriminator for further training, whole or not at all."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    metadata = {KIND_KEY: _KIND, _CONFIG_KEY: json.dumps(network.config)}
    write_safetensors(path, state, metadata)


def load_discriminator(path: str | os.PathLike[str], group: int) -> Discriminator:
    """The discriminator that `save_discriminator` wrote, with another size of groups.

    Raises:
        FiceError: the file is missing, damaged or something else.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata.get(KIND_KEY) != _KIND:
            raise FiceError(f"{path} is no discriminator that `fice train generator` wrote")
        config = json.loads(metadata[_CONFIG_KEY]) | {"group": group}
        network = Discriminator(**config)
        network.load_state_dict(state)
    except FiceError:
        raise
    except Exception as error:  # the file is at fault, whatever it is
        reason = printable(str(error).partition("\n")[0], 200)
        raise FiceError(f"cannot read the discriminator {path}: {reason}") from error
    return network
