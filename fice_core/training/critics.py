"""Features of networks at hand: they stand for LPIPS and Inception, which would have to be downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.regions import PersonSegmenter

#: images (N, 3, H, W) in [0, 1] -> feature maps (N, C, h, w) or vectors (N, C)
Features = Callable[[Tensor], list[Tensor]]

_MAPS = 3  # of a segmenter: the stem's and those of two stages; later ones tell regions apart, not looks


def features_of(network: nn.Module) -> Features:
    """What a loss compares of images: maps of a segmenter or a DensePose, the vector of a CLIP.

    Raises:
        TypeError: the network is of another kind.
    """
    if isinstance(network, PersonSegmenter):
        return lambda images: network.features(images, _MAPS)
    if isinstance(network, DensePose):
        return lambda images: list(network.pyramid(images).values())
    if isinstance(network, Clip):
        return lambda images: [network.encode_image(images)]
    raise TypeError(f"a {type(network).__name__} has no features for a loss")


def feature_difference(features: Features, output: Tensor, target: Tensor) -> Tensor:
    """How far the features of images are from those of others, (N,); gradients reach `output` alone.

    Each feature vector is scaled to length 1, as in LPIPS (Zhang et al. 2018). The squared distances are
    averaged over all places of a map, and over the maps.

    Args:
        features: of a network.
        output, target: images (N, 3, H, W).
    """
    with torch.no_grad():
        wanted = [_unit(each) for each in features(target)]
    found = [_unit(each) for each in features(output)]
    distances = [
        (a - b).square().sum(1).flatten(1).mean(1) if a.ndim > 2 else (a - b).square().sum(1)
        for a, b in zip(found, wanted, strict=True)
    ]
    return torch.stack(distances).mean(0)


def summary(features: Features, images: Tensor) -> Tensor:
    """One vector (N, C) of features for each image: the means of its maps, side by side."""
    vectors = [x.float().flatten(2).mean(2) if x.ndim > 2 else x.float() for x in features(images)]
    return torch.cat(vectors, 1)


def names_of(networks: Sequence[nn.Module]) -> str:
    """The kinds of networks, for a log."""
    return ", ".join(type(network).__name__.lower() for network in networks) or "none"


def _unit(x: Tensor) -> Tensor:
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-8)
