"""Random views of a picture, so that CLIP judges what is in it and not a pattern tuned to its grid.

Optimising one view can find textures that fool CLIP in that view alone; averaging over random crops
is a common remedy in CLIP-guided synthesis. Not in the paper.
"""

import torch
import torch.nn.functional as F

_SMALLEST = 0.7  # side of the smallest view, as a fraction of the picture's
_BEYOND = 0.05  # how far a view may reach beyond the picture, the same


def draw_views(count: int, seed: int, step: int) -> torch.Tensor:
    """Boxes of `count` views: (count, 3), size and middle (x, y) in the [-1, 1] of `grid_sample`.

    They follow from seed and step alone, so that every picture of any batch gets the same ones.
    """
    rng = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    size = _SMALLEST + (1 - _SMALLEST) * torch.rand(count, 1, generator=rng)
    room = 1 - size + 2 * _BEYOND
    middle = (2 * torch.rand(count, 2, generator=rng) - 1) * room
    return torch.cat([size, middle], dim=1)


def take_views(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Cut views out of pictures, at the pictures' own size; differentiable.

    Args:
        images: (N, C, H, W).
        boxes: (V, 3) as of `draw_views`.

    Returns:
        (N * V, C, H, W), the views of the first picture first. Beyond the border it is repeated.
    """
    count, views = len(images), len(boxes)
    size, x, y = boxes.to(images).T
    nothing = torch.zeros_like(size)
    rows = [torch.stack([size, nothing, x], dim=1), torch.stack([nothing, size, y], dim=1)]
    transforms = torch.stack(rows, dim=1).repeat(count, 1, 1)
    sources = images.repeat_interleave(views, dim=0)
    grid = F.affine_grid(transforms, list(sources.shape), align_corners=False)
    return F.grid_sample(sources, grid, mode="bilinear", padding_mode="border", align_corners=False)
