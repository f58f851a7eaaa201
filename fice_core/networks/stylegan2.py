"""StyleGAN2 generator: mapping and synthesis networks, named as in the published files.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), sections
2.2 and 4.1, with the layer order, gains and clamps of the StyleGAN2-ADA release. Images are square
or, as in StyleGAN-Human, half as wide as high.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError
from .stylegan2_layers import (
    EPSILON,
    GAIN,
    LEAKY_SLOPE,
    MAPPING_LR_MULTIPLIER,
    EqualizedLinear,
    StyledConv,
    ToRGB,
    upsample,
)


class MappingNetwork(nn.Module):
    """z (N, z_dim) -> w (N, w_dim); keeps the running mean of w, `w_avg` (w_dim,)."""

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        for i in range(layers):
            fan_in = z_dim if i == 0 else w_dim
            setattr(self, f"fc{i}", EqualizedLinear(fan_in, w_dim, lr=MAPPING_LR_MULTIPLIER))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON)
        for i in range(self.layers):
            x = F.leaky_relu(getattr(self, f"fc{i}")(x), LEAKY_SLOPE) * GAIN
        return x


class SynthesisBlock(nn.Module):
    """One resolution: (conv0 with upsampling,) conv1, torgb; the RGB images of all blocks add up."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        size: tuple[int, int],
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.first = in_channels == 0
        if self.first:
            self.const = nn.Parameter(torch.randn(out_channels, *size))
        else:
            self.conv0 = StyledConv(in_channels, out_channels, w_dim, size, True, clamp)
        self.conv1 = StyledConv(out_channels, out_channels, w_dim, size, False, clamp)
        self.torgb = ToRGB(out_channels, w_dim, clamp)

    def forward(self, x: Tensor | None, rgb: Tensor | None, ws: Tensor) -> tuple[Tensor, Tensor]:
        """Features and RGB image of this block, given those of the block before.

        ws (N, 2 or 3, w_dim) has one w for every layer. torgb and the next block's conv0 share theirs.
        """
        y: Tensor
        if x is None or rgb is None:
            y = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0])
            return y, self.torgb(y, ws[:, 1])
        y = self.conv1(self.conv0(x, ws[:, 0]), ws[:, 1])
        return y, upsample(rgb) + self.torgb(y, ws[:, 2])


class HeldFeatures(NamedTuple):
    """Codes whose features replace those of the synthesised codes inside a mask.

    Attributes:
        w_plus: these codes, (N, num_ws, w_dim).
        mask: where their features are used, (N, 1, H, W) in [0, 1]; 1 replaces.
    """

    w_plus: Tensor
    mask: Tensor


class SynthesisNetwork(nn.Module):
    """w_plus (N, num_ws, w_dim) -> images (N, 3, H, W) about [-1, 1]."""

    def __init__(
        self,
        resolution: tuple[int, int],
        w_dim: int,
        base: int,
        max_channels: int,
        clamp: float | None,
    ) -> None:
        super().__init__()
        height, width = resolution
        self.heights = [2**k for k in range(2, int(math.log2(height)) + 1)]
        channels = 0
        for h in self.heights:
            previous, channels = channels, min(base // h, max_channels)
            block = SynthesisBlock(previous, channels, w_dim, (h, h * width // height), clamp)
            setattr(self, f"b{h}", block)

    def forward(self, w_plus: Tensor, held: HeldFeatures | None = None) -> Tensor:
        x: Tensor | None = None
        rgb: Tensor | None = None
        old: tuple[Tensor, Tensor] | None = None
        for k, h in enumerate(self.heights):
            block, span = getattr(self, f"b{h}"), slice(max(2 * k - 1, 0), 2 * k + 2)
            x, rgb = block(x, rgb, w_plus[:, span])
            if held is not None:
                with torch.no_grad():
                    old = block(*(old or (None, None)), held.w_plus[:, span])
                mask = F.interpolate(held.mask, old[0].shape[-2:], mode="area")
                x, rgb = (torch.lerp(a, b, mask) for a, b in zip((x, rgb), old, strict=True))
        assert rgb is not None
        return rgb


class Generator(nn.Module):
    """StyleGAN2 generator.

    Args:
        resolution: (H, W) of the image in pixels; H a power of two from 8 up, W = H or W = H / 2.
        z_dim, w_dim: sizes of the two latent spaces.
        channel_base, channel_max: a block of height r has min(channel_base // r, channel_max)
            channels.
        mapping_layers: fully connected layers between z and w.
        conv_clamp: activations are clamped to +-conv_clamp; None for no clamp.

    Attributes:
        demonstration: whether it is a demonstration model, on which the default settings were found.

    Raises:
        ValueError: the architecture cannot produce the resolution, or channel_base is below its height.
    """

    def __init__(
        self,
        resolution: tuple[int, int] = (256, 256),
        z_dim: int = 512,
        w_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
        mapping_layers: int = 2,
        conv_clamp: float | None = 256.0,
    ) -> None:
        super().__init__()
        height, width = resolution
        if height < 8 or height & (height - 1) or width not in (height, height // 2):
            raise ValueError(
                f"resolution must be (2^k, 2^k) or (2^k, 2^(k-1)), k >= 3, got {tuple(resolution)}"
            )
        if channel_base < height:
            raise ValueError(
                f"channel_base must be at least the height {height}, got {channel_base}"
            )
        self.config = {
            "resolution": [height, width],
            "z_dim": z_dim,
            "w_dim": w_dim,
            "channel_base": channel_base,
            "channel_max": channel_max,
            "mapping_layers": mapping_layers,
            "conv_clamp": conv_clamp,
        }
        self.demonstration = False
        self.resolution = (height, width)
        self.z_dim = z_dim
        self.w_dim = w_dim
        self.num_ws = 2 * int(math.log2(height)) - 2
        self.mapping = MappingNetwork(z_dim, w_dim, mapping_layers)
        self.synthesis = SynthesisNetwork(
            (height, width), w_dim, channel_base, channel_max, conv_clamp
        )

    @property
    def w_avg(self) -> Tensor:
        """Running mean of w, (w_dim,)."""
        return self.mapping.w_avg

    def map(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """z (N, z_dim) -> w_plus (N, num_ws, w_dim) with w truncated to w_avg + truncation (w - w_avg)."""
        w = self.w_avg.lerp(self.mapping(z), truncation) if truncation != 1.0 else self.mapping(z)
        return w[:, None].expand(-1, self.num_ws, -1)

    def synthesize(self, w_plus: Tensor, held: HeldFeatures | None = None) -> Tensor:
        """w_plus (N, num_ws, w_dim) -> images (N, 3, H, W), about [0, 1] but not clamped.

        With `held`, its features replace those of `w_plus` inside its mask, after every block. Only
        the rest of the image is generated from `w_plus`.

        Raises:
            ValueError: w_plus has another shape.
        """
        if w_plus.ndim != 3 or w_plus.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(
                f"w_plus must be (N, {self.num_ws}, {self.w_dim}), got {tuple(w_plus.shape)}"
            )
        signed: Tensor = self.synthesis(w_plus, held)
        return signed * 0.5 + 0.5

    def forward(self, z: Tensor) -> Tensor:
        """z (N, z_dim) -> images (N, 3, H, W)."""
        return self.synthesize(self.map(z))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights as `nn.Module.load_state_dict` does.

        The fixed low-pass filters that files repeat in every layer are ignored.
        """
        used = {k: v for k, v in state_dict.items() if not k.endswith("resample_filter")}
        return super().load_state_dict(used, strict, assign)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Generator` whose state dict this is.

    A state dict does not contain the clamp: 256, the value of every StyleGAN2-ADA file, is assumed.
    A reader that finds another value (in `G_kwargs`) replaces `conv_clamp`.

    Raises:
        FiceError: keys are missing, the generator takes class labels, or the channel counts do not
            follow the rule of `Generator`.
    """
    if "mapping.embed.weight" in state:
        raise FiceError(
            "This StyleGAN2 generator takes class labels; use one that was trained without labels."
        )
    heights = sorted(int(k.split(".")[1][1:]) for k in state if k.endswith(".torgb.weight"))
    missing = {"synthesis.b4.const", "mapping.fc0.weight"} - set(state)
    if missing or not heights or heights != [4 << k for k in range(len(heights))]:
        raise FiceError(
            "This is not a complete StyleGAN2 generator: "
            f"{', '.join(sorted(missing)) or 'a synthesis block'} is missing."
        )
    channels = {h: state[f"synthesis.b{h}.torgb.weight"].shape[1] for h in heights}
    height, const = heights[-1], state["synthesis.b4.const"]
    w_dim, z_dim = state["mapping.fc0.weight"].shape
    layers = len([k for k in state if k.startswith("mapping.fc") and k.endswith(".weight")])
    channel_max = max(channels.values())
    channel_base = max(c * h for h, c in channels.items())
    if any(c != min(channel_base // h, channel_max) for h, c in channels.items()):
        raise FiceError(
            f"The channel counts of this StyleGAN2 generator, {channels}, do not follow the rule "
            "min(base / height, maximum); only generators that follow it can be read."
        )
    return {
        "resolution": [height, height * const.shape[2] // const.shape[1]],
        "z_dim": z_dim,
        "w_dim": w_dim,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "mapping_layers": layers,
        "conv_clamp": 256.0,
    }
