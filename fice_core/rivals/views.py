"""How the rivals show an image to CLIP."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..networks.clip import Clip

#: images (N, 3, H, W) in [0, 1] to features (N, D) of unit norm
Look = Callable[[Tensor], Tensor]


def unnormalised_look(clip: Clip, enlarged: int) -> Look:
    """CLIP's features of images as StyleCLIP and TediGAN show them, by their published code.

    The images stay in [-1, 1], are enlarged `enlarged` times by repeating pixels, and averaged down to CLIP's
    size. Channels are not normalised, which CLIP's authors do.
    """

    def look(images: Tensor) -> Tensor:
        signed = F.interpolate(images * 2 - 1, scale_factor=enlarged, mode="nearest")
        features: Tensor = clip.model.encode_image(F.adaptive_avg_pool2d(signed, clip.image_size))
        return F.normalize(features, dim=-1)

    return look
