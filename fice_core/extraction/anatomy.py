"""Body regions of a person, from pose and segmentation."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..networks.regions import CLOTHES, KEPT, Regions, winners
from ..settings import Garment

# Channels of part maps, which are DensePose's parts 1-4 and 15-24.
TORSO = slice(0, 2)
HANDS = slice(2, 4)
ARMS = slice(4, 12)
HEAD = slice(12, 14)


class Clothes(NamedTuple):
    """Masks of what is worn, by a segmenter that tells it apart: bool (N, 1, H, W) each, disjoint."""

    upper: torch.Tensor
    lower: torch.Tensor
    dress: torch.Tensor

    @property
    def any(self) -> torch.Tensor:
        """The union of the three."""
        return self.upper | self.lower | self.dress


class BodyRegions(NamedTuple):
    """Masks of the parts of a body: bool (N, 1, H, W) each, disjoint.

    Attributes:
        torso, arms: with whatever is worn there.
        legs: the rest of the body below the torso.
        protected: head, hair and hands; shoes, bags and the like, if the segmenter tells them apart.
        clothes: the garments, which lie in the first three; None if the segmenter cannot tell them apart.
    """

    torso: torch.Tensor
    arms: torch.Tensor
    legs: torch.Tensor
    protected: torch.Tensor
    clothes: Clothes | None = None

    def select(self, index: torch.Tensor | slice) -> "BodyRegions":
        """The regions of some of the samples."""
        torso, arms, legs, protected = (region[index] for region in self[:4])
        worn = self.clothes and Clothes(*(garment[index] for garment in self.clothes))
        return BodyRegions(torso, arms, legs, protected, worn)

    def garment_regions(self, garment: Garment) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The regions that a garment always covers, that it may cover, and that are never edited."""
        if self.clothes is not None:
            return self._worn_regions(self.clothes, garment)
        if garment == "lower":
            empty = torch.zeros_like(self.legs)
            return self.legs, empty, self.protected | self.torso | self.arms
        if garment == "outfit":
            return self.torso | self.legs, self.arms, self.protected
        if garment == "dress":
            return self.torso, self.arms | self.legs, self.protected
        return self.torso, self.arms, self.protected

    def _worn_regions(
        self, worn: Clothes, garment: Garment
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`garment_regions` with the garments known: bare skin is covered only where it changes."""
        above = self.torso | self.arms
        if garment == "upper":
            always = worn.upper | worn.dress & above
            return always, above & ~always, self.protected
        if garment == "lower":
            always = worn.lower | worn.dress & ~above
            return always, self.legs & ~worn.any, self.protected | (worn.upper | above) & ~always
        return worn.any, (above | self.legs) & ~worn.any, self.protected


def find_body_regions(
    parts: torch.Tensor, regions: Regions, classes: Mapping[str, torch.Tensor] | None = None
) -> BodyRegions:
    """Torso, arms, legs and protected parts, at the size of `regions`, and clothes where they are named.

    Args:
        parts: DensePose part map, (N, 14, h, w).
        regions: soft regions, (N, 1, H, W) each.
        classes: all soft maps of the segmenter, of which `regions` are the sums; (N, 1, H, W) each.
    """
    size = regions.body.shape[-2:]

    def probability(channels: slice) -> torch.Tensor:
        summed = parts[:, channels].sum(dim=1, keepdim=True)
        return F.interpolate(summed, size=size, mode="bilinear", align_corners=False)

    torso, arms, hands, head = (probability(part) for part in (TORSO, ARMS, HANDS, HEAD))
    protected = (regions.head > 0.5) | (head > 0.5) | (hands > 0.5)
    body = regions.body > 0.5
    clothes = None
    if classes is not None and {*CLOTHES} & {*classes}:
        won = winners(classes)
        nowhere = torch.zeros_like(body)
        # A parser knows better than DensePose where a collar or a cuff ends.
        worn = Clothes(*(won.get(name, nowhere) & body for name in CLOTHES))
        kept = [won[name] for name in KEPT if name in won]
        protected = sum(kept, protected) & ~worn.any
        clothes = worn
    body = body & ~protected
    clothed = body & (torso + arms > 0.5)
    return BodyRegions(
        clothed & (torso >= arms),
        clothed & (arms > torso),
        _below(body & ~clothed, torso),
        protected,
        clothes,
    )


def _below(mask: torch.Tensor, torso: torch.Tensor) -> torch.Tensor:
    """The part of a bool mask below the centre of the torso."""
    rows = torch.arange(mask.shape[-2], device=mask.device)[:, None].float()
    weight = torso.sum(dim=(2, 3), keepdim=True)
    centre = (rows * torso).sum(dim=(2, 3), keepdim=True) / weight.clamp_min(1e-6)
    return mask & (rows > centre)
