"""Feature pyramid network on a ResNet (Lin et al., CVPR 2017), the backbone of DensePose.

Parameter names are those of detectron2. `Decoder` is detectron2's head that joins the levels.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ..ops.resize import Upsample2x
from .resnet import EXPANSION, ConvNorm, StridedBottleneck

LEVELS = (2, 3, 4, 5)  # level k has 1 / 2**k of the image's size


class Stem(nn.Module):
    """First convolution and max pooling: (N, 3, H, W) -> (N, C, H/4, W/4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels, 7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, 1)


class BottomUp(nn.Module):
    """ResNet: images -> four maps at 1/4 .. 1/32 of the size with 4 width, 8 width, ... channels."""

    def __init__(self, stem_channels: int, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = Stem(stem_channels)
        channels = stem_channels
        for i, count in enumerate(blocks):
            inner = width * 2**i
            stage = []
            for j in range(count):
                stage.append(StridedBottleneck(channels, inner, 2 if i and j == 0 else 1))
                channels = inner * EXPANSION
            setattr(self, f"res{i + 2}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = []
        for level in LEVELS:
            x = getattr(self, f"res{level}")(x)
            maps.append(x)
        return maps


class FeaturePyramid(nn.Module):
    """Feature pyramid network (Lin et al., CVPR 2017): images -> four maps of equal channels."""

    def __init__(self, bottom_up: BottomUp, width: int, channels: int) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        for i, level in enumerate(LEVELS):
            fan_in = width * EXPANSION * 2**i
            setattr(self, f"fpn_lateral{level}", nn.Conv2d(fan_in, channels, 1))
            setattr(self, f"fpn_output{level}", nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        maps = self.bottom_up(x)
        top_down = None
        pyramid = {}
        for level, features in reversed(list(zip(LEVELS, maps, strict=True))):
            lateral = getattr(self, f"fpn_lateral{level}")(features)
            if top_down is not None:
                lateral = lateral + F.interpolate(top_down, scale_factor=2.0, mode="nearest")
            top_down = lateral
            pyramid[level] = getattr(self, f"fpn_output{level}")(top_down)
        return pyramid


class ReLUConv(nn.Conv2d):
    """3x3 convolution and ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input), inplace=True)


class Decoder(nn.Module):
    """Sum of all levels, each brought to 1/4 of the size by convolutions and bilinear doubling."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        for level in LEVELS:
            doublings = level - LEVELS[0]
            layers: list[nn.Module] = []
            for i in range(max(1, doublings)):
                layers.append(ReLUConv(channels if i else in_channels, channels))
                if doublings:
                    layers.append(Upsample2x())
            setattr(self, f"p{level}", nn.Sequential(*layers))
        self.predictor = nn.Conv2d(channels, channels, 1)

    def forward(self, pyramid: Mapping[int, Tensor]) -> Tensor:
        total: Tensor | int = 0
        for level in LEVELS:
            total = total + getattr(self, f"p{level}")(pyramid[level])
        joined: Tensor = self.predictor(total)
        return joined
