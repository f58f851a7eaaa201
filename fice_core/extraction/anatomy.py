"""Body regions of a person, from pose and segmentation."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..networks.segmenter import Regions
from ..settings import Garment

# Channels of part maps, which are DensePose's parts 1-4 and 15-24.
TORSO = slice(0, 2)
HANDS = slice(2, 4)
ARMS = slice(4, 12)
HEAD = slice(12, 14)


class BodyRegions(NamedTuple):
    """Masks of the parts of a body: bool (N, 1, H, W) each, disjoint."""

    torso: torch.Tensor
    arms: torch.Tensor
    legs: torch.Tensor  # the rest of the body
    protected: torch.Tensor  # head, hair and hands

    def garment_regions(self, garment: Garment) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The regions that a garment always covers, that it may cover, and that are never edited."""
        if garment == "lower":
            empty = torch.zeros_like(self.legs)
            return self.legs, empty, self.protected | self.torso | self.arms
        if garment == "outfit":
            return self.torso | self.legs, self.arms, self.protected
        return self.torso, self.arms, self.protected


def find_body_regions(parts: torch.Tensor, regions: Regions) -> BodyRegions:
    """Torso, arms, legs and protected parts, at the size of `regions`.

    Args:
        parts: DensePose part map, (N, 14, h, w).
        regions: soft regions, (N, 1, H, W) each.
    """
    size = regions.body.shape[-2:]

    def probability(channels: slice) -> torch.Tensor:
        summed = parts[:, channels].sum(dim=1, keepdim=True)
        return F.interpolate(summed, size=size, mode="bilinear", align_corners=False)

    torso, arms, hands, head = (probability(part) for part in (TORSO, ARMS, HANDS, HEAD))
    protected = (regions.head > 0.5) | (head > 0.5) | (hands > 0.5)
    body = (regions.body > 0.5) & ~protected
    clothed = body & (torso + arms > 0.5)
    return BodyRegions(
        clothed & (torso >= arms),
        clothed & (arms > torso),
        _below(body & ~clothed, torso),
        protected,
    )


def _below(mask: torch.Tensor, torso: torch.Tensor) -> torch.Tensor:
    """The part of a bool mask below the centre of the torso."""
    rows = torch.arange(mask.shape[-2], device=mask.device)[:, None].float()
    weight = torso.sum(dim=(2, 3), keepdim=True)
    centre = (rows * torso).sum(dim=(2, 3), keepdim=True) / weight.clamp_min(1e-6)
    return mask & (rows > centre)
