"""Garment masks by Segment Anything: its prompts from a part map, and the refined mask.

Masks are (N, 1, H, W) in [0, 1]. Part maps, masks and images cover the same area.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..extraction.anatomy import HANDS, HEAD, TORSO
from ..networks.sam import INSIDE, OUTSIDE, UNUSED, Prompts, Sam
from ..ops.autograd import without_grad
from ..ops.overlap import soft_iou
from .guided_filter import refine_mask

# Channels of `parts` (DensePose 15 to 18): outer and inner half of each upper arm.
_UPPER_ARMS = ((4, 6), (5, 7))
_MARGIN = 0.03  # of the box around the garment, a fraction of its sides
_MIN_AGREEMENT = 0.5  # Jaccard index; below it, SAM has segmented something else


def sam_prompts(parts: Tensor, mask: Tensor, size: tuple[int, int]) -> Prompts:
    """Points and a box for the garment of the upper body.

    Points inside are the centres of the torso and of each upper arm, where `mask` covers them. Points
    outside are the centres of the head, of each hand, and of the area without a person. A centre is the
    pixel farthest from the border. A part that is not visible gives no point.

    Args:
        parts: DensePose part map, (N, 14, h, w).
        mask: rough mask of the garment, (N, 1, h, w), any size; the box is its bounding box, slightly
            enlarged.
        size: (H, W) of the images; the prompts are in their pixels.

    Raises:
        ValueError: a shape is wrong.
    """
    if parts.ndim != 4 or parts.shape[1] != 14:
        raise ValueError(f"parts must be (N, 14, h, w), not {tuple(parts.shape)}")
    if mask.ndim != 4 or mask.shape[:2] != (len(parts), 1):
        raise ValueError(f"mask must be ({len(parts)}, 1, h, w), not {tuple(mask.shape)}")
    map_size = (parts.shape[2], parts.shape[3])
    garment = F.interpolate(mask.to(parts), map_size, mode="bilinear", antialias=True) > 0.5
    clothed = [parts[:, TORSO], *(parts[:, list(channels)] for channels in _UPPER_ARMS)]
    inside = [_visible(part) & garment for part in clothed]
    hands = (parts[:, c : c + 1] for c in range(HANDS.start, HANDS.stop))
    # A pixel belongs either to the garment or to the parts that are not edited.
    outside = [_visible(part) & ~garment for part in (parts[:, HEAD], *hands)]
    outside.append(~_visible(parts) & ~garment)
    points, labels = [], []
    for areas, label in ((inside, INSIDE), (outside, OUTSIDE)):
        for area in areas:
            point, exists = _deepest(area)
            points.append(_to_pixels(point, map_size, size))
            labels.append(torch.where(exists, label, UNUSED))
    return Prompts(torch.stack(points, dim=1), torch.stack(labels, dim=1), _boxes(mask, size))


def refine_by_sam(
    sam: Sam,
    images: Tensor,
    mask: Tensor,
    parts: Tensor | None = None,
    prompts: Prompts | None = None,
) -> tuple[Tensor, Tensor]:
    """A rough mask, refined by Segment Anything and then by `refine_mask`.

    Args:
        sam: on the device of the tensors.
        images: photos, (N, 3, H, W) in [0, 1].
        mask: rough mask of the garment, (N, 1, h, w), any size.
        parts: DensePose part map, (N, 14, h, w), for `sam_prompts`; without it, the prompts are the
            mask and its bounding box.
        prompts: used instead of those; in pixels of `images`.

    Returns:
        The mask, (N, 1, H, W) in [0, 1], and the soft Jaccard index of SAM's mask and the rough one,
        (N,). Below one half, SAM has segmented something else, and the rough mask is refined without
        it.
    """
    size = (images.shape[2], images.shape[3])
    if prompts is None and parts is not None:
        prompts = sam_prompts(parts, mask, size)
    if prompts is None:
        prompts = Prompts(boxes=_boxes(mask, size), masks=mask)
    with without_grad():
        segmented = sam(images, prompts, like=mask)
    rough = F.interpolate(mask.to(segmented), size, mode="bilinear", antialias=True)
    agreement = soft_iou(segmented, rough)
    better = torch.where((agreement >= _MIN_AGREEMENT)[:, None, None, None], segmented, rough)
    # The error of SAM's border is a few of its 256 pixels, smaller than that of a rough mask.
    return refine_mask(images, better, radius=0.02), agreement


def _visible(parts: Tensor) -> Tensor:
    """Where the summed probability of parts (N, C, h, w) is above one half, (N, 1, h, w) bool."""
    return parts.sum(dim=1, keepdim=True) > 0.5


def _deepest(area: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel (x, y) farthest from the border of each area, (N, 2), and whether there is one, (N,).

    The distance is the number of erosions by a 3 x 3 square. The image's border counts as a border of
    the area. Of several such pixels, the one nearest to their mean is returned.
    """
    depth, eroded = torch.zeros_like(area, dtype=torch.float32), area.float()
    while bool(eroded.any()):
        depth += eroded
        eroded = -F.max_pool2d(-F.pad(eroded, (1, 1, 1, 1)), 3, stride=1)
    deepest = (depth == depth.amax(dim=(2, 3), keepdim=True)) & area
    height, width = area.shape[2:]
    y = torch.arange(height, device=area.device, dtype=torch.float32)[:, None].expand(height, width)
    x = torch.arange(width, device=area.device, dtype=torch.float32).expand(height, width)
    weight = deepest[:, 0].float()
    count = weight.sum(dim=(1, 2)).clamp_min(1)
    mean = [(weight * axis).sum(dim=(1, 2)) / count for axis in (x, y)]
    distance = (x - mean[0][:, None, None]) ** 2 + (y - mean[1][:, None, None]) ** 2
    nearest = torch.where(deepest[:, 0], distance, torch.inf).flatten(1).argmin(dim=1)
    points = torch.stack([nearest % width, nearest // width], dim=1).float()
    return points, area.flatten(1).any(dim=1)


def _to_pixels(points: Tensor, map_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Pixel centres (x, y) of a map of `map_size` as coordinates in an image of `size`."""
    scale = points.new_tensor([size[1] / map_size[1], size[0] / map_size[0]])
    return (points + 0.5) * scale - 0.5


def _boxes(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarged bounding box of each mask in an image of `size`, (N, 4); NaN for an empty mask."""
    inside = mask[:, 0] > 0.5
    bounds = []
    for dim, length in ((1, size[1]), (2, size[0])):
        line = inside.any(dim=dim)
        count = line.shape[1]
        index = torch.arange(count, device=mask.device, dtype=torch.float32)
        first = torch.where(line, index, torch.inf).amin(dim=1) * (length / count)
        last = (torch.where(line, index, -torch.inf).amax(dim=1) + 1) * (length / count)
        margin = _MARGIN * (last - first)
        bounds.append(((first - margin).clamp_min(0), (last + margin).clamp(max=length)))
    (left, right), (top, bottom) = bounds
    boxes = torch.stack([left, top, right, bottom], dim=1) - 0.5
    return torch.where((inside.flatten(1).any(dim=1))[:, None], boxes, torch.nan)
