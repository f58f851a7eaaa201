"""Overlap of soft masks."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_iou(parts: Tensor, target: Tensor) -> Tensor:
    """Jaccard index of soft part maps (N, 14, h, w): sum of minima over sum of maxima, (N,)."""
    shared = torch.minimum(parts, target).flatten(1).sum(1)
    return shared / torch.maximum(parts, target).flatten(1).sum(1).clamp_min(1e-6)
