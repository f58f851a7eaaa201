"""The loss terms of constrained GAN inversion (FICE, arXiv 2301.02110, section 3.3), unweighted.

Every function returns one value per sample, shape (N,). The authors sum them over the batch, so that the
gradient of a sample does not depend on the rest of its batch.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..latents import LatentStatistics

_EPSILON = 1e-8  # keeps the direction, and its gradient, finite where all features are 0


def clip_loss(image_features: torch.Tensor, text_features: torch.Tensor) -> torch.Tensor:
    """1 - cos(image, text), in [0, 2].

    Args:
        image_features: (N, D).
        text_features: (N, D), or (1, D) for one text for all.
    """
    return 1 - F.cosine_similarity(image_features, text_features, dim=-1)


def direction_loss(
    image_features: torch.Tensor, photo_features: torch.Tensor, direction: torch.Tensor
) -> torch.Tensor:
    """1 - cos(image - photo, direction), in [0, 2]: directional CLIP (Gal et al. 2021, section 4).

    Args:
        image_features, photo_features: (N, D).
        direction: from the features of the source text to those of the text, (N, D), any length but 0.
    """
    return 1 - F.cosine_similarity(image_features - photo_features, direction, dim=-1)


def pose_loss(parts: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of DensePose part maps, both (N, 14, h, w) in [0, 1]."""
    return _mean_square(parts - target)


def head_loss(head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of soft head masks, both (N, 1, H, W) in [0, 1]."""
    return _mean_square(head - target)


def image_loss(images: torch.Tensor, target: torch.Tensor, keep_mask: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of images (N, 3, H, W) where `keep_mask` (N, 1, H, W) is 1.

    Masked-out pixels count in the mean, as in the authors' code: the weight of a kept pixel does not
    depend on how many are kept.
    """
    return _mean_square(keep_mask * (images - target))


def perceptual_loss(
    features: Sequence[torch.Tensor], target: Sequence[torch.Tensor], keep_mask: torch.Tensor
) -> torch.Tensor:
    """Difference of images in the features of a network, where `keep_mask` (N, 1, H, W) is 1.

    The squared distance of the two unit feature vectors at every position, averaged over the positions
    (masked-out ones count, as in `image_loss`) and summed over the maps: in [0, 4] each, [0, 2] for
    features >= 0. Like LPIPS (Zhang et al. 2018, equation 1), with another network and without the
    channel weights that LPIPS fits to human judgements: values are not comparable with LPIPS. Not in the
    paper.

    Args:
        features, target: the maps (N, C, h, w) of the images and of the photos, equally many.
        keep_mask: in [0, 1]; averaged down to the size of every map.
    """
    total = keep_mask.new_zeros(len(keep_mask))
    for own, other in zip(features, target, strict=True):
        distance = (_direction(own) - _direction(other)).square().sum(dim=1, keepdim=True)
        keep = F.interpolate(keep_mask, size=own.shape[-2:], mode="area")
        total = total + (keep * distance).flatten(1).mean(dim=1)
    return total


def latent_loss(w_plus: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of w_1, w_2, ... from w_0: pulls W+ codes (N, num_ws, w_dim) towards W."""
    return _mean_square(w_plus[:, 1:] - w_plus[:, :1])


def latent_prior_loss(w_plus: torch.Tensor, statistics: LatentStatistics) -> torch.Tensor:
    """Squared Mahalanobis distance from W per dimension, averaged over the layers of (N, num_ws, w_dim).

    About 1 for codes that the mapping network produces. Not in the paper.
    """
    return _mean_square(statistics.whiten(w_plus))


def _direction(features: torch.Tensor) -> torch.Tensor:
    return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + _EPSILON)


def _mean_square(difference: torch.Tensor) -> torch.Tensor:
    return difference.square().flatten(1).mean(dim=1)
