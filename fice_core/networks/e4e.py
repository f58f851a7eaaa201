"""e4e encoder: from an image to a W+ code of a StyleGAN2 generator.

Source: Tov et al., "Designing an Encoder for StyleGAN Image Manipulation" (SIGGRAPH 2021). The body
is the IR-SE-50 of ArcFace (Deng et al., CVPR 2019). Parameter names are those of the published
files.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError
from .resnet import initialize

# Styles 0-2 are computed from c3, styles 3-6 from p2, the rest from p1.
COARSE_STYLES, MIDDLE_STYLES = 3, 7
SQUEEZE = 16  # channel reduction inside squeeze-and-excitation


class SqueezeExcitation(nn.Module):
    """Scales every channel by a gate in (0, 1) that is computed from the channel means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // SQUEEZE)
        self.fc1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.fc2 = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.fc1(x.mean((2, 3), keepdim=True)), inplace=True)
        return x * torch.sigmoid(self.fc2(gate))


class BodyBlock(nn.Module):
    """Improved residual block with squeeze-and-excitation: (N, C, H, W) -> (N, D, H/s, W/s)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = (
            nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
            if in_channels != channels
            else None
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            SqueezeExcitation(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor
        if self.shortcut_layer is not None:
            shortcut = self.shortcut_layer(x)
        else:
            shortcut = x[:, :, :: self.stride, :: self.stride]  # max pooling over one pixel
        residual: Tensor = self.res_layer(x)
        return residual + shortcut


class ScaledLinear(nn.Module):
    """y = x (W / sqrt(fan_in))^T + b."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.scale = 1 / math.sqrt(in_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x * self.scale, self.weight, self.bias)


class StyleHead(nn.Module):
    """Feature map (N, C, S, S or S/2) with S = 2**halvings -> one style vector (N, style_dim)."""

    def __init__(self, in_channels: int, channels: int, style_dim: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(halvings):
            fan_in = channels if i else in_channels
            layers += [nn.Conv2d(fan_in, channels, 3, 2, 1), nn.LeakyReLU(0.01, inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.linear = ScaledLinear(channels, style_dim)

    def forward(self, features: Tensor) -> Tensor:
        style: Tensor = self.linear(self.convs(features).flatten(1))
        return style


class Encoder(nn.Module):
    """e4e encoder.

    Args:
        input_size: height of the network's input, a power of two from 32 up; images of other sizes
            are resized. Images half as wide as high keep their aspect ratio.
        stages: (channels, blocks) of the four body stages; neighbouring stages differ in channels.
        num_styles, style_dim: of the W+ code; `num_ws` and `w_dim` of the generator.
        head_channels: inner channels of the style heads; None for style_dim.

    Raises:
        ValueError: the size or the list of stages is impossible.
    """

    latent_avg: Tensor

    def __init__(
        self,
        input_size: int = 256,
        stages: Sequence[Sequence[int]] = ((64, 3), (128, 4), (256, 14), (512, 3)),
        num_styles: int = 14,
        style_dim: int = 512,
        head_channels: int | None = None,
    ) -> None:
        super().__init__()
        widths = [channels for channels, _ in stages]
        if len(stages) != 4 or any(a == b for a, b in itertools.pairwise(widths)):
            raise ValueError(f"stages must be four with changing channel counts, got {stages}")
        if input_size < 32 or input_size & (input_size - 1):
            raise ValueError(f"input_size must be a power of two from 32 up, got {input_size}")
        head_channels = head_channels or style_dim
        self.config = {
            "input_size": input_size,
            "stages": [list(stage) for stage in stages],
            "num_styles": num_styles,
            "style_dim": style_dim,
            "head_channels": head_channels,
        }
        self.input_size = input_size
        self.num_styles = num_styles
        self.style_dim = style_dim
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        )
        body: list[nn.Module] = []
        self.taps = []  # last block of each of the stages 2, 3 and 4
        previous = widths[0]
        for channels, count in stages:
            for i in range(count):
                body.append(BodyBlock(previous, channels, 2 if i == 0 else 1))
                previous = channels
            self.taps.append(len(body) - 1)
        self.taps = self.taps[1:]
        self.body = nn.ModuleList(body)
        self.latlayer1 = nn.Conv2d(widths[2], widths[3], 1)
        self.latlayer2 = nn.Conv2d(widths[1], widths[3], 1)
        initialize(self, negative_slope=0.25)
        halvings = int(math.log2(input_size)) - 4
        heads = []
        for i in range(num_styles):
            extra = 0 if i < COARSE_STYLES else 1 if i < MIDDLE_STYLES else 2
            heads.append(StyleHead(widths[3], head_channels, style_dim, halvings + extra))
        self.styles = nn.ModuleList(heads)
        initialize(self.styles, negative_slope=0.01)
        self.register_buffer("latent_avg", torch.zeros(num_styles, style_dim))

    def forward(self, images: Tensor, offsets: int | None = None) -> Tensor:
        """images (N, 3, H, W) in [0, 1] -> w_plus (N, num_styles, style_dim), `latent_avg` added.

        Every style is the first one and an offset. With `offsets`, only so many have one, and the rest
        are not computed: training begins without any.
        """
        height, width = images.shape[-2:]
        size = (self.input_size, self.input_size // 2 if 2 * width == height else self.input_size)
        if (height, width) != size:
            images = F.interpolate(images, size, mode="area")
        c1, c2, c3 = self._features(images * 2 - 1)
        p2 = self.latlayer1(c2) + _resize_to(c3, c2)
        p1 = self.latlayer2(c1) + _resize_to(p2, c1)
        w0 = self.styles[0](c3)
        codes = [w0]
        for i, head in enumerate(self.styles[1:], start=1):
            if offsets is not None and i > offsets:
                codes.append(w0)
                continue
            features = c3 if i < COARSE_STYLES else p2 if i < MIDDLE_STYLES else p1
            codes.append(w0 + head(features))
        return torch.stack(codes, 1) + self.latent_avg

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights as `nn.Module.load_state_dict` does.

        `latent_avg` may be (1, n, d), (n, d), or (d,), the same for all styles.
        """
        entries = dict(state_dict)
        average = entries.get("latent_avg")
        if average is not None and average.numel() in (self.style_dim, self.latent_avg.numel()):
            average = average.reshape(-1, self.style_dim).expand_as(self.latent_avg)
            entries["latent_avg"] = average.contiguous()
        return super().load_state_dict(entries, strict, assign)

    def _features(self, x: Tensor) -> list[Tensor]:
        """Normalised images -> feature maps at 1/4, 1/8 and 1/16 of the input."""
        x = self.input_layer(x)
        tapped = []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in self.taps:
                tapped.append(x)
        return tapped


def _resize_to(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Encoder` whose state dict this is.

    Raises:
        FiceError: the keys are not those of an e4e encoder, or the body is not an IR-SE body.
    """
    if "styles.0.convs.0.weight" not in state or "body.0.res_layer.3.weight" not in state:
        raise FiceError("This is not an e4e encoder: it has no styles.* or no body.*.res_layer.*")
    blocks = len({key.split(".")[1] for key in state if key.startswith("body.")})
    stages: list[list[int]] = []
    for i in range(blocks):
        weight = state.get(f"body.{i}.res_layer.3.weight")
        if weight is None:
            raise FiceError(
                f"This e4e encoder is incomplete: body.{i} is missing or of an unknown kind."
            )
        if stages and stages[-1][0] == weight.shape[0]:
            stages[-1][1] += 1
        else:
            stages.append([weight.shape[0], 1])
    if len(stages) != 4 or "body.0.res_layer.5.fc1.weight" not in state:
        raise FiceError(
            f"This e4e encoder has {len(stages)} body stages; "
            "four with squeeze-and-excitation (IR-SE) were expected."
        )
    halvings = len([k for k in state if k.startswith("styles.0.convs.") and k.endswith(".weight")])
    return {
        "input_size": 16 << halvings,
        "stages": stages,
        "num_styles": len({key.split(".")[1] for key in state if key.startswith("styles.")}),
        "style_dim": state["styles.0.linear.weight"].shape[0],
        "head_channels": state["styles.0.linear.weight"].shape[1],
    }
