"""DeepLabV3 on a dilated ResNet (Chen et al. 2017): soft masks of background, body and head.

Parameter names are those of torchvision's `deeplabv3_resnet50`. A network may tell more classes apart, and
may have the decoder of DeepLabV3+ (Chen et al. 2018).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import FiceError
from ..ops.resize import interpolate
from .regions import CLASSES, HEAD, PersonSegmenter, Regions, regions_of
from .resnet import EXPANSION, AtrousPyramid, ConvolutionNorm, DilatedBottleneck, initialize

__all__ = ["CLASSES", "HEAD", "Regions", "Segmenter", "infer_config", "regions_of"]


class DilatedResNet(nn.Module):
    """ResNet whose last two stages dilate instead of striding: (N, 3, H, W) -> (N, 32 width, H/8, W/8)."""

    def __init__(self, stem_channels: int, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem_channels, 7, 2, 3, bias=False)
        self.bn1 = ConvolutionNorm(stem_channels)
        channels, dilation = stem_channels, 1
        for i, count in enumerate(blocks):
            inner = width * 2**i
            stage = []
            for j in range(count):
                stride = 2 if i == 1 and j == 0 else 1
                # As in torchvision, the first block of a stage has the dilation of the stage before.
                stage.append(DilatedBottleneck(channels, inner, stride, dilation, project=j == 0))
                channels = inner * EXPANSION
                if i >= 2:
                    dilation = 2 ** (i - 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.stages = len(blocks)
        self.out_channels = channels

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the features of the stem (half the size), then those of every stage."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        yield x
        x = F.max_pool2d(x, 3, 2, 1)
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
            yield x

    def forward(self, x: Tensor) -> Tensor:
        for y in self.features(x):
            x = y
        return x


class FineFeatures(nn.Module):
    """DeepLabV3+'s decoder: the pyramid at a quarter of the image's size, with fine features beside it.

    Args:
        fine_channels: of the first stage's features.
        reduced: channels to which they are reduced first.
    """

    def __init__(self, fine_channels: int, reduced: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(fine_channels, reduced, 1, bias=False),
            ConvolutionNorm(reduced),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        """(N, C, H/8, W/8) and (N, F, H/4, W/4) -> (N, C + reduced, H/4, W/4)."""
        large = interpolate(x, (fine.shape[-2], fine.shape[-1]))
        return torch.cat([large, self.reduce(fine)], 1)


class Segmenter(PersonSegmenter):
    """Soft segmentation of an image of a person.

    Args:
        class_order: classes of the three output channels; SwagGAN's files have background, head,
            body. It changes the meaning of the weights, not their layout.
        stem_channels, width, blocks: of the ResNet; stage i has inner width `width * 2**i`.
        aspp_channels, aspp_rates: of the atrous spatial pyramid.
        dropout: probability after the pyramid, in training only.
        labels: named classes of the output channels of a network that tells more classes apart, see
            `PersonSegmenter`. Empty for the three of `class_order`.
        decoder_channels: channels of the fine features in DeepLabV3+'s decoder; 0 for no decoder.

    Raises:
        ValueError: class_order is not a permutation of background, body and head, or `labels` have no
            background, head or body.
    """

    def __init__(
        self,
        class_order: Sequence[str] = CLASSES,
        stem_channels: int = 64,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        aspp_channels: int = 256,
        aspp_rates: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
        labels: Sequence[str] = (),
        decoder_channels: int = 0,
    ) -> None:
        if sorted(class_order) != sorted(CLASSES):
            raise ValueError(f"class_order must be an order of {CLASSES}, got {tuple(class_order)}")
        super().__init__(labels or class_order)
        self.config = {
            "class_order": list(class_order),
            "stem_channels": stem_channels,
            "width": width,
            "blocks": list(blocks),
            "aspp_channels": aspp_channels,
            "aspp_rates": list(aspp_rates),
            "dropout": dropout,
        }
        if labels:
            self.config["labels"] = list(labels)
        if decoder_channels:
            self.config["decoder_channels"] = decoder_channels
        self.backbone = DilatedResNet(stem_channels, width, blocks)
        project = [ConvolutionNorm(aspp_channels), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        self.classifier = nn.Sequential(
            AtrousPyramid(
                self.backbone.out_channels, aspp_channels, aspp_rates, ConvolutionNorm, project
            ),
            nn.Conv2d(aspp_channels + decoder_channels, aspp_channels, 3, padding=1, bias=False),
            ConvolutionNorm(aspp_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(aspp_channels, len(self.channels), 1),
        )
        self.decoder = (
            FineFeatures(width * EXPANSION, decoder_channels) if decoder_channels else None
        )
        initialize(self)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) in [0, 1] -> logits (N, C, H, W) in the order of `channels`.

        The network was trained on plain RGB, so the input is not normalised.
        """
        return interpolate(self.coarse_logits(images), (images.shape[-2], images.shape[-1]))

    def coarse_logits(self, images: Tensor) -> Tensor:
        """`logits` as the last layer gives them: at 1/8 of the images' size, 1/4 with a decoder."""
        if self.decoder is None:
            low: Tensor = self.classifier(self.backbone(images))
        else:
            # The decoder goes between the pyramid and the layers that classify.
            _, fine, *_, deep = self.backbone.features(images)
            low = self.classifier[1:](self.decoder(self.classifier[0](deep), fine))
        return low

    def features(self, images: Tensor, count: int) -> list[Tensor]:
        """The first `count` feature maps (N, C, h, w) >= 0 of images (N, 3, H, W) in [0, 1].

        They come from the stem (H/2) and the first stages (H/4, then H/8). Later stages are not
        computed.
        """
        return list(islice(self.backbone.features(images), count))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights as `nn.Module.load_state_dict` does.

        The class weights and the auxiliary classifier, which only training uses, are ignored.
        """
        training = ("loss.", "aux_classifier.")
        used = {key: value for key, value in state_dict.items() if not key.startswith(training)}
        return super().load_state_dict(used, strict, assign)


def infer_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the `Segmenter` whose state dict this is.

    It contains neither the classes nor dilations nor dropout: these keep the published defaults.

    Raises:
        FiceError: keys are missing.
    """
    needed = {
        "backbone.conv1.weight",
        "backbone.layer1.0.conv3.weight",
        "classifier.0.convs.0.0.weight",
        "classifier.4.weight",
    }
    if missing := needed - set(state):
        raise FiceError(
            f"This is not a DeepLabV3 ResNet segmenter: {', '.join(sorted(missing))} is missing."
        )
    blocks: list[int] = []
    while f"backbone.layer{len(blocks) + 1}.0.conv1.weight" in state:
        prefix = f"backbone.layer{len(blocks) + 1}."
        blocks.append(len({key.split(".")[2] for key in state if key.startswith(prefix)}))
    return {
        "stem_channels": state["backbone.conv1.weight"].shape[0],
        "width": state["backbone.layer1.0.conv1.weight"].shape[0],
        "blocks": blocks,
        "aspp_channels": state["classifier.0.convs.0.0.weight"].shape[0],
    }
