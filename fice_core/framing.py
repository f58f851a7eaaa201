"""Maps photos of any size to the generator's frame and back; geometry only."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .errors import FiceError
from .ops.patches import stitch
from .ops.resize import resize

_SMALLEST_SIDE = 16
_LARGEST_RATIO = 4.0
_ROUNDING = 1e-5  # of pixels in [0, 1]: ComfyUI cuts values to bytes, so the last bit would show


@dataclass(frozen=True)
class Frame:
    """The part of a photo that is the generator's image: cropped, padded, resized.

    Attributes:
        size: the photo's (H, W) in pixels.
        resolution: the generator's (H, W) in pixels.
        box: (left, top, right, bottom) in the photo's pixels, with the generator's aspect ratio. It
            may extend beyond the photo, whose border is then replicated.

    Raises:
        ValueError: the box is empty.
        FiceError: the box lies outside of the photo.
    """

    size: tuple[int, int]
    resolution: tuple[int, int]
    box: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        inside_left, inside_top, inside_right, inside_bottom = self.inside
        if left >= right or top >= bottom:
            raise ValueError(f"the box {self.box} is empty")
        if inside_left >= inside_right or inside_top >= inside_bottom:
            raise FiceError(
                f"the box from ({left}, {top}) to ({right}, {bottom}) lies outside of the image, "
                f"which has {self.size[1]} x {self.size[0]} pixels"
            )

    @classmethod
    def around(cls, size: tuple[int, int], resolution: tuple[int, int]) -> "Frame":
        """The smallest frame with the generator's aspect ratio that contains a photo of `size`.

        Raises:
            FiceError: the photo is too small or too narrow to show a person.
        """
        height, width = size
        if min(size) < _SMALLEST_SIDE or max(size) > _LARGEST_RATIO * min(size):
            raise FiceError(
                f"the image is {width} x {height} pixels; at least {_SMALLEST_SIDE} a side and "
                f"proportions up to {_LARGEST_RATIO:g} : 1 are needed"
            )
        return cls.covering(size, resolution, (0, 0, width, height))

    @classmethod
    def covering(
        cls, size: tuple[int, int], resolution: tuple[int, int], box: tuple[int, int, int, int]
    ) -> "Frame":
        """The smallest frame with the generator's aspect ratio that contains `box`, centred on it.

        Args:
            size: the photo's (H, W).
            resolution: the generator's (H, W).
            box: (left, top, right, bottom) in the photo's pixels.

        Raises:
            FiceError: the box is empty or lies outside of the photo.
        """
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        if width < 1 or height < 1:
            raise FiceError(
                f"the box from ({left}, {top}) to ({right}, {bottom}) is empty: its right and lower "
                "edges must lie beyond its left and upper ones"
            )
        extra_x = max(0, round(height * resolution[1] / resolution[0]) - width)
        extra_y = max(0, round(width * resolution[0] / resolution[1]) - height)
        left, top = left - extra_x // 2, top - extra_y // 2
        return cls(size, resolution, (left, top, left + width + extra_x, top + height + extra_y))

    def aligned(self, multiple: int) -> "Frame":
        """The frame, grown about its centre until both sides are multiples of `multiple` pixels.

        The generator's aspect ratio is kept. Diffusion editors need such sides, and resize an image or cut
        its border off otherwise, which moves everything in it.
        """
        tall, wide = self.resolution
        shared = math.gcd(tall, wide)
        unit_y, unit_x = multiple * tall // shared, multiple * wide // shared
        left, top, right, bottom = self.box
        count = max(math.ceil((right - left) / unit_x), math.ceil((bottom - top) / unit_y))
        extra_x, extra_y = count * unit_x - (right - left), count * unit_y - (bottom - top)
        left, top = left - extra_x // 2, top - extra_y // 2
        return replace(self, box=(left, top, left + count * unit_x, top + count * unit_y))

    def enlargement(self, megapixels: float) -> int:
        """The smallest whole factor by which the frame has at least that many million pixels."""
        left, top, right, bottom = self.box
        return max(1, math.ceil(math.sqrt(megapixels * 1e6 / ((right - left) * (bottom - top)))))

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """The part of the box that lies within the photo: (left, top, right, bottom)."""
        height, width = self.size
        left, top, right, bottom = self.box
        return max(left, 0), max(top, 0), min(right, width), min(bottom, height)

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Pixels of the box beyond the photo at (left, right, top, bottom)."""
        left, top, right, bottom = self.box
        inside_left, inside_top, inside_right, inside_bottom = self.inside
        return inside_left - left, right - inside_right, inside_top - top, bottom - inside_bottom

    @property
    def scale(self) -> float:
        """Pixels of the generator's image for one pixel of the photo."""
        return self.resolution[0] / (self.box[3] - self.box[1])

    def cut(self, images: torch.Tensor) -> torch.Tensor:
        """Photos or masks (N, C, *size) -> the part inside the frame at the photo's scale, a view.

        The result has no padding.
        """
        left, top, right, bottom = self.inside
        if (bottom - top, right - left) == self.size:
            return images
        return images[..., top:bottom, left:right]

    def crop(self, images: torch.Tensor) -> torch.Tensor:
        """Photos or masks (N, C, *size) -> the whole frame (N, C, H, W) at the photo's scale.

        The photo's border is replicated.
        """
        images = self.cut(images)
        return F.pad(images, self.padding, mode="replicate") if any(self.padding) else images

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Photos or masks (N, C, *size) -> (N, C, *resolution); the photo's border is replicated."""
        images = self.crop(images)
        return images if images.shape[-2:] == self.resolution else resize(images, self.resolution)

    def unfit(self, images: torch.Tensor) -> torch.Tensor:
        """Images or masks (N, C, H, W) that fill the frame -> (N, C, h, w), the area that `cut` returns."""
        left, top, right, bottom = self.box
        images = resize(images, (bottom - top, right - left))
        pad_left, pad_right, pad_top, pad_bottom = self.padding
        return images[..., pad_top : bottom - top - pad_bottom, pad_left : right - left - pad_right]

    def trim(self, images: torch.Tensor) -> torch.Tensor:
        """Images or maps (N, C, *resolution) -> the part within the photo, a view."""
        left, right, top, bottom = (round(pad * self.scale) for pad in self.padding)
        height, width = self.resolution
        return images[..., top : height - bottom, left : width - right]

    def paste(
        self, images: torch.Tensor, photos: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Photos with the frame replaced by images that fill it.

        Args:
            images: (N, C, H, W) of any size with the generator's aspect ratio; resized to the frame.
            photos: (N, C, *size).
            mask: where the photo changes, (N, 1, H, W) of the size of `images`, in [0, 1]; None for the
                whole frame.

        Returns:
            (N, C, *size); equal to the photo bit for bit outside of the frame and where the mask is 0.
            An unaltered image gives the photo back, at the photo's scale or enlarged by `ops.resize.enlarge`.

        Raises:
            ValueError: the photos are of another size.
        """
        if photos.shape[-2:] != self.size:
            raise ValueError(f"photos of {tuple(photos.shape)} for a frame in {self.size}")
        result = photos.clone()
        area, patch = self.cut(result), self.unfit(images)
        patch = torch.where((patch - area).abs() < _ROUNDING, area, patch)
        if mask is not None:
            patch = stitch(patch, area, self.unfit(mask))
        area.copy_(patch)
        return result

    def restore(self, images: torch.Tensor) -> torch.Tensor:
        """Images or masks (N, C, *resolution) -> (N, C, *size), 0 outside of the frame."""
        placed = self.unfit(images)
        if placed.shape[-2:] == self.size:
            return placed
        photo = placed.new_zeros(*placed.shape[:2], *self.size)
        self.cut(photo).copy_(placed)
        return photo
