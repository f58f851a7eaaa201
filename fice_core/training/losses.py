"""How far images are from others, one number for each image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: error of a pixel in units of [0, 1] where the loss changes from squared to absolute
_SMALL = 0.1


def differences(output: Tensor, target: Tensor, importance: Tensor | None = None) -> Tensor:
    """Loss (N,) of pixels, of finite differences (edges) and of two coarser scales.

    Errors up to `_SMALL` are squared, larger ones count by their absolute value. With absolute values
    only, an error of half a grey level over the whole wall would weigh as much as a missing eye.

    Args:
        output, target: (N, 3, H, W).
        importance: weights of the pixels, (N, 1, H, W), about 1 on average.
    """
    error = output - target
    if importance is not None:
        error = error * importance
    loss = _robust(error, _SMALL)
    for dim in (2, 3):
        loss = loss + 1.5 * _robust(error.diff(dim=dim), _SMALL)
    for factor in (4, 16):
        if min(error.shape[-2:]) >= factor:
            loss = loss + _robust(F.avg_pool2d(error, factor), _SMALL / factor)
    return loss


def _robust(error: Tensor, small: float) -> Tensor:
    losses = F.smooth_l1_loss(error, torch.zeros_like(error), beta=small, reduction="none")
    return losses.flatten(1).mean(1)


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in dB of images in [0, 1], clamped to it first."""
    errors = (images.clamp(0, 1) - targets).square().flatten(1).mean(1)
    return -10 * errors.clamp_min(1e-10).log10()
