"""From a photo of any size to the generator's frame, and back."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .errors import FiceError

_SMALLEST_SIDE = 16
_LARGEST_RATIO = 4.0


@dataclass(frozen=True)
class Frame:
    """How a photo fits into the generator's picture: padded to its proportions, then resized.

    Attributes:
        size: the photo's (H, W) in pixels.
        resolution: the generator's (H, W) in pixels.
        padding: pixels added to the photo at (left, right, top, bottom).
    """

    size: tuple[int, int]
    resolution: tuple[int, int]
    padding: tuple[int, int, int, int]

    @classmethod
    def around(cls, size: tuple[int, int], resolution: tuple[int, int]) -> "Frame":
        """The smallest frame of the generator's proportions that holds a photo of `size`.

        Raises:
            FiceError: the photo is too small or too narrow to show a person.
        """
        height, width = size
        if min(size) < _SMALLEST_SIDE or max(size) > _LARGEST_RATIO * min(size):
            raise FiceError(
                f"the picture is {width} x {height} pixels; at least {_SMALLEST_SIDE} a side and "
                f"proportions up to {_LARGEST_RATIO:g} : 1 are needed"
            )
        across = max(0, round(height * resolution[1] / resolution[0]) - width)
        down = max(0, round(width * resolution[0] / resolution[1]) - height)
        return cls(
            size, resolution, (across // 2, across - across // 2, down // 2, down - down // 2)
        )

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Photos or masks (N, C, *size) -> (N, C, *resolution); the border is repeated outwards."""
        if any(self.padding):
            images = F.pad(images, self.padding, mode="replicate")
        return images if images.shape[-2:] == self.resolution else resize(images, self.resolution)

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures or masks (N, C, *resolution) -> (N, C, *size)."""
        left, right, top, bottom = self.padding
        height, width = self.size
        padded = (top + height + bottom, left + width + right)
        if images.shape[-2:] != padded:
            images = resize(images, padded)
        return images[..., top : top + height, left : left + width]


def resize(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, C, H, W) -> (N, C, *size): an axis is averaged over areas to shrink, else interpolated."""
    shrunk = (min(images.shape[-2], size[0]), min(images.shape[-1], size[1]))
    if shrunk != images.shape[-2:]:
        images = F.interpolate(images, size=shrunk, mode="area")
    if shrunk != size:
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return images
