"""DensePose R-CNN with one fixed box, the whole image: body-part probabilities and u, v charts.

Source: Guler et al., "DensePose: Dense Human Pose Estimation In The Wild" (CVPR 2018). The
architecture and the parameter names are those of detectron2's R50/R101-FPN models with s1x or
DeepLab (DL) head. Region proposals and box heads are left out: the person fills the image.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError
from ..ops.resize import Upsample2x, linear_weights
from .feature_pyramid import LEVELS, BottomUp, Decoder, FeaturePyramid
from .resnet import AtrousPyramid, ConvNorm, initialize

FINE_CHANNELS = 25  # background and the 24 body parts
#: labels of the channels that `DensePose` returns: torso (back, front), hands, upper arms, lower arms, head
UPPER_BODY_LABELS = (1, 2, 3, 4, *range(15, 25))
PIXEL_MEAN = (103.530, 116.280, 123.675)  # blue, green, red; of 0..255
DIVISIBILITY = 32  # the coarsest feature map has 1/32 of the image's size
CANONICAL_SIZE, CANONICAL_LEVEL = 224, 4  # a box of this size is pooled from this level
SAMPLES = 2  # bilinear samples along each side of a pooling bin
PREDICTORS = ("ann_index", "index_uv", "u", "v")
UNUSED = (
    "proposal_generator.",
    "roi_heads.box_",
    "pixel_",
    "roi_heads.densepose_predictor.sigma_",
    "roi_heads.densepose_predictor.kappa_",
    "roi_heads.densepose_predictor.fine_segm_confidence",
    "roi_heads.densepose_predictor.coarse_segm_confidence",
)


class Charts(NamedTuple):
    """All outputs over the image.

    Attributes:
        coarse: logits (N, 2 or 15, S, S).
        fine: logits (N, 25, S, S).
        u, v: chart coordinates (N, 25, S, S), about [0, 1] inside their part.
    """

    coarse: Tensor
    fine: Tensor
    u: Tensor
    v: Tensor


def bin_weights(extent: float, size: int, bins: int, like: Tensor) -> Tensor:
    """Matrix (bins, size) of ROI pooling along one axis, for a box over [0, extent] feature pixels.

    Each bin averages `SAMPLES` linear interpolations at evenly spaced points. Points are measured
    from the centre of the first pixel (detectron2's `aligned=False`) and clamped to the map.
    """
    steps = torch.arange(bins * SAMPLES, dtype=like.dtype, device=like.device)
    points = (steps + 0.5) * (extent / (bins * SAMPLES))
    return linear_weights(points, size).reshape(bins, SAMPLES, size).mean(1)


def pool_box(features: Tensor, extent: tuple[float, float], bins: int) -> Tensor:
    """Features of the box (0, 0)..extent (height, width): (N, C, H, W) -> (N, C, bins, bins).

    Interpolation and averaging are linear and separable, so ROI pooling is one matrix product for
    the rows and one for the columns.
    """
    rows = bin_weights(extent[0], features.shape[2], bins, features)
    columns = bin_weights(extent[1], features.shape[3], bins, features)
    return rows @ features @ columns.t()


class Head(nn.Module):
    """Convolutions `body_conv_fcn1..n` with ReLU.

    The DL head has an atrous pyramid before them and a group normalisation in each.
    """

    def __init__(self, in_channels: int, channels: int, convs: int, kind: str) -> None:
        super().__init__()
        self.convs = convs
        self.ASPP = None
        if kind == "dl":
            rates, tail = (6, 12, 56), [nn.ReLU(inplace=True)]
            self.ASPP = AtrousPyramid(in_channels, in_channels, rates, group_norm, tail)
        for i in range(convs):
            fan_in = channels if i else in_channels
            if kind == "dl":
                conv: nn.Module = ConvNorm(fan_in, channels, 3, norm=group_norm(channels))
            else:
                conv = nn.Conv2d(fan_in, channels, 3, padding=1)
            setattr(self, f"body_conv_fcn{i + 1}", conv)

    def forward(self, x: Tensor) -> Tensor:
        if self.ASPP is not None:
            x = self.ASPP(x)
        for i in range(self.convs):
            x = F.relu(getattr(self, f"body_conv_fcn{i + 1}")(x), inplace=True)
        return x


class Predictor(nn.Module):
    """Transposed convolutions to maps of twice the pooled size, followed by bilinear doubling."""

    def __init__(self, in_channels: int, coarse_channels: int) -> None:
        super().__init__()
        for name in PREDICTORS:
            channels = coarse_channels if name == "ann_index" else FINE_CHANNELS
            layer = nn.ConvTranspose2d(in_channels, channels, 4, stride=2, padding=1)
            setattr(self, f"{name}_lowres", layer)
        self.enlarge = Upsample2x()

    def forward(self, x: Tensor, names: Sequence[str]) -> list[Tensor]:
        """(N, C, S, S) -> the named maps, each (N, channels, 4S, 4S)."""
        return [self.enlarge(getattr(self, f"{name}_lowres")(x)) for name in names]


class RegionHeads(nn.Module):
    """Everything after the feature pyramid, under detectron2's name `roi_heads`."""

    def __init__(
        self,
        fpn_channels: int,
        decoder_channels: int,
        head: str,
        head_convs: int,
        head_channels: int,
        coarse_channels: int,
    ) -> None:
        super().__init__()
        self.decoder = Decoder(fpn_channels, decoder_channels) if decoder_channels else None
        fan_in = decoder_channels or fpn_channels
        self.densepose_head = Head(fan_in, head_channels, head_convs, head)
        self.densepose_predictor = Predictor(head_channels, coarse_channels)


class DensePose(nn.Module):
    """DensePose for one person who fills the image.

    Args:
        stem_channels, width, blocks: of the ResNet; stage i has inner width `width * 2**i`. R50 has
            blocks (3, 4, 6, 3), R101 (3, 4, 23, 3).
        fpn_channels: of the feature pyramid.
        decoder_channels: of the decoder that joins the levels; 0 for no decoder (legacy models).
            The box is then pooled from the one level that matches its size.
        head: "s1x" or "dl" (atrous pyramid and group normalisation).
        head_convs, head_channels: of the head.
        coarse_channels: 2 (background, person) or 15 (legacy: background and 14 regions).
        pooler_size: side of the pooled features; the outputs have four times this side.

    Raises:
        ValueError: `head` is unknown.
    """

    mean: Tensor

    def __init__(
        self,
        stem_channels: int = 64,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        fpn_channels: int = 256,
        decoder_channels: int = 256,
        head: str = "s1x",
        head_convs: int = 8,
        head_channels: int = 512,
        coarse_channels: int = 2,
        pooler_size: int = 28,
    ) -> None:
        super().__init__()
        if head not in ("s1x", "dl"):
            raise ValueError(f"head must be 's1x' or 'dl', got {head!r}")
        self.config = {
            "stem_channels": stem_channels,
            "width": width,
            "blocks": list(blocks),
            "fpn_channels": fpn_channels,
            "decoder_channels": decoder_channels,
            "head": head,
            "head_convs": head_convs,
            "head_channels": head_channels,
            "coarse_channels": coarse_channels,
            "pooler_size": pooler_size,
        }
        self.pooler_size = pooler_size
        bottom_up = BottomUp(stem_channels, width, blocks)
        self.backbone = FeaturePyramid(bottom_up, width, fpn_channels)
        self.roi_heads = RegionHeads(
            fpn_channels, decoder_channels, head, head_convs, head_channels, coarse_channels
        )
        initialize(self)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) in [0, 1] -> parts (N, 14, S, S) in [0, 1], S = 4 pooler_size.

        A value is the probability of a person times the probability of the part. The parts are
        those of the upper body (`UPPER_BODY_LABELS`). The u and v charts are not computed.
        """
        coarse, fine = self._predict(images, PREDICTORS[:2])
        foreground = (
            1 - coarse.softmax(1)[:, :1] if coarse.shape[1] > 2 else coarse.softmax(1)[:, 1:]
        )
        fine = fine.softmax(1)
        return torch.cat([fine[:, 1:5], fine[:, 15:25]], 1) * foreground

    def pyramid(self, images: Tensor) -> dict[int, Tensor]:
        """images (N, 3, H, W) in [0, 1] -> feature maps (N, C, h, w) of every level of the pyramid."""
        height, width = images.shape[-2:]
        x = images.flip(1) * 255 - self.mean  # RGB to BGR; the standard deviation is 1
        x = F.pad(x, (0, -width % DIVISIBILITY, 0, -height % DIVISIBILITY))
        maps: dict[int, Tensor] = self.backbone(x)
        return maps

    @property
    def part_size(self) -> int:
        """Side of the part map, S."""
        return 4 * self.pooler_size

    def predict_charts(self, images: Tensor) -> Charts:
        """images (N, 3, H, W) in [0, 1] -> logits and chart coordinates of the whole body."""
        return Charts(*self._predict(images, PREDICTORS))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights as `nn.Module.load_state_dict` does.

        The detection heads and confidences of whole detectron2 models are ignored: a fixed box
        does not use them.
        """
        used = {key: value for key, value in state_dict.items() if not key.startswith(UNUSED)}
        return super().load_state_dict(used, strict, assign)

    def _predict(self, images: Tensor, names: Sequence[str]) -> list[Tensor]:
        pooled = self._pool(images)
        features = self.roi_heads.densepose_head(pooled)
        maps: list[Tensor] = self.roi_heads.densepose_predictor(features, names)
        return maps

    def _pool(self, images: Tensor) -> Tensor:
        """Features of the whole image, (N, C, pooler_size, pooler_size)."""
        height, width = images.shape[-2:]
        pyramid = self.pyramid(images)
        if self.roi_heads.decoder is not None:
            level, features = LEVELS[0], self.roi_heads.decoder(pyramid)
        else:
            size = math.sqrt(height * width) / CANONICAL_SIZE
            level = math.floor(CANONICAL_LEVEL + math.log2(size + 1e-8))
            level = min(max(level, LEVELS[0]), LEVELS[-1])
            features = pyramid[level]
        return pool_box(features, (height / 2**level, width / 2**level), self.pooler_size)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups, or fewer, so that a group has at least two channels."""
    return nn.GroupNorm(max(1, math.gcd(64, channels) // 2), channels)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `DensePose` whose state dict this is.

    The state dict does not contain the pooled size: 28 is assumed with a decoder, 14 without (legacy).

    Raises:
        FiceError: keys are missing, or the kind of head is not supported.
    """
    head, predictor = "roi_heads.densepose_head.", "roi_heads.densepose_predictor."
    needed = {
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.bottom_up.res5.0.conv1.weight",
        "backbone.fpn_lateral2.weight",
        head + "body_conv_fcn1.weight",
        predictor + "ann_index_lowres.weight",
        predictor + "index_uv_lowres.weight",
    }
    if missing := needed - set(state):
        raise FiceError(
            "This is not a DensePose R50/R101-FPN chart model (s1x or DL): "
            f"{', '.join(sorted(missing))} is missing."
        )
    if any(key.startswith(head + "NLBlock.") for key in state):
        raise FiceError("DensePose heads with a non-local block are not supported; use s1x or DL.")
    blocks = []
    for level in LEVELS:
        prefix = f"backbone.bottom_up.res{level}."
        blocks.append(len({key.split(".")[3] for key in state if key.startswith(prefix)}))
    convs = {key for key in state if key.startswith(head + "body_conv_fcn")}
    decoder = state.get("roi_heads.decoder.predictor.weight")
    return {
        "stem_channels": state["backbone.bottom_up.stem.conv1.weight"].shape[0],
        "width": state["backbone.bottom_up.res2.0.conv1.weight"].shape[0],
        "blocks": blocks,
        "fpn_channels": state["backbone.fpn_lateral2.weight"].shape[0],
        "decoder_channels": 0 if decoder is None else decoder.shape[0],
        "head": "dl" if head + "ASPP.project.0.weight" in state else "s1x",
        "head_convs": len({key.removeprefix(head).split(".")[0] for key in convs}),
        "head_channels": state[head + "body_conv_fcn1.weight"].shape[0],
        "coarse_channels": state[predictor + "ann_index_lowres.weight"].shape[1],
        "pooler_size": 14 if decoder is None else 28,
    }
