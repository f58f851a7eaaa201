"""Views of an image for CLIP: random crops, and the surroundings of the garment. Not in the paper.

An optimisation against one view can find textures that fool CLIP in that view alone. The average over
random crops is a common remedy in CLIP-guided synthesis.
"""

import torch
import torch.nn.functional as F

from ..ops.resize import has_nondeterministic_backward, linear_weights

_SMALLEST = 0.7  # side of the smallest view, as a fraction of the image's
_BEYOND = 0.05  # how far a view may reach beyond the image, in the same unit
_MARGIN = 0.06  # around a garment, in the same unit


def draw_views(count: int, seed: int, step: int) -> torch.Tensor:
    """Boxes of `count` views, (count, 3): size and centre (x, y) in the [-1, 1] of `grid_sample`.

    They depend on seed and step alone, so that every image of any batch gets the same views.
    """
    rng = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    size = _SMALLEST + (1 - _SMALLEST) * torch.rand(count, 1, generator=rng)
    room = 1 - size + 2 * _BEYOND
    middle = (2 * torch.rand(count, 2, generator=rng) - 1) * room
    return torch.cat([size, middle], dim=1)


def take_views(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Views of images, each resampled to the size of the image; differentiable.

    Args:
        images: (N, C, H, W).
        boxes: from `draw_views`, (V, 3).

    Returns:
        (N * V, C, H, W), the views of the first image first. The border is repeated outwards.
    """
    count, views = len(images), len(boxes)
    sources = images.repeat_interleave(views, dim=0)
    return _cut(sources, boxes.to(images).repeat(count, 1))


def garment_view(
    images: torch.Tensor, photos: torch.Tensor, keep_mask: torch.Tensor
) -> torch.Tensor:
    """A close view of the garment for CLIP: the image where it may change, the photo around it.

    Nothing outside the edit area gets a gradient, so the text cannot change it. CLIP still sees a whole
    person, as in its training images, not a cut-out.

    Args:
        images, photos: (N, 3, H, W).
        keep_mask: 1 where the photo stays, (N, 1, H, W) in [0, 1].

    Returns:
        (N, 3, H, W): the smallest view with the image's aspect ratio around everything that may change,
        with a margin; the whole image if nothing may.
    """
    composed = photos + (1 - keep_mask) * (images - photos)
    return _cut(composed, _around(1 - keep_mask))


def _around(masks: torch.Tensor) -> torch.Tensor:
    """Boxes, as from `draw_views`, around everything above 1/2 in (N, 1, H, W): (N, 3)."""
    middles, halves = [], []
    some = (masks > 0.5).flatten(1).any(dim=1)
    for axis in (3, 2):  # x, then y
        count = masks.shape[axis]
        line = (masks > 0.5).amax(dim=5 - axis).flatten(1).int()
        first = line.argmax(dim=1)
        last = count - line.flip(1).argmax(dim=1)
        middles.append((first + last) / count - 1)
        halves.append((last - first) / count)
    size = (torch.maximum(*halves) + 2 * _MARGIN).clamp(max=1)
    # The view stays within the image: a repeated border tells nothing.
    room = 1 - size
    x, y = (torch.minimum(torch.maximum(m, -room), room) for m in middles)
    box = torch.stack([size, x, y], dim=1)
    return torch.where(some[:, None], box, box.new_tensor([1.0, 0.0, 0.0]))


def _cut(sources: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The view of each of (N, C, H, W) through its own box (N, 3), at the same size."""
    if has_nondeterministic_backward(sources):
        return cut_by_matrices(sources, boxes)
    size, x, y = boxes.T
    nothing = torch.zeros_like(size)
    rows = [torch.stack([size, nothing, x], dim=1), torch.stack([nothing, size, y], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(sources.shape), align_corners=False)
    return F.grid_sample(sources, grid, mode="bilinear", padding_mode="border", align_corners=False)


def cut_by_matrices(sources: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """As `_cut`, by two matrix products: the boxes are axis-aligned, so that rows and columns separate."""
    size, *middle = boxes.T

    def of(axis: int) -> torch.Tensor:  # (N, 1, pixels, pixels)
        pixels = sources.shape[3 - axis]
        steps = torch.arange(pixels, dtype=boxes.dtype, device=boxes.device)
        places = size[:, None] * ((2 * steps + 1) / pixels - 1) + middle[axis][:, None]
        return linear_weights(((places + 1) * pixels - 1) / 2, pixels)[:, None]

    cut: torch.Tensor = of(1) @ sources @ of(0).mT
    return cut
