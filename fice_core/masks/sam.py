"""What Segment Anything is asked, from the part map; and its answer as an edit mask.

Masks are (N, 1, H, W) in [0, 1]; part maps, masks and pictures show the same extent.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..extraction.anatomy import HANDS, HEAD, TORSO
from ..networks.sam import INSIDE, OUTSIDE, UNUSED, Prompts, Sam
from ..ops.autograd import without_grad
from ..ops.guided_filter import refine_mask
from ..ops.overlap import soft_iou

# Channels of `parts` (DensePose 15 to 18): outer and inner half of each upper arm.
_UPPER_ARMS = ((4, 6), (5, 7))
_MARGIN = 0.03  # by which the box is larger than the garment, as a fraction of its sides
_LEAST_AGREEMENT = 0.5  # Jaccard index below which SAM has found something else


def sam_prompts(parts: Tensor, mask: Tensor, size: tuple[int, int]) -> Prompts:
    """Points and a box for the garment of the upper body.

    Inside: the middle of the torso and of each upper arm that `mask` covers. Outside: the middle of
    the head, of each hand, and of the largest empty place of the picture. A middle is the pixel
    deepest inside; a part that is not seen gives no point.

    Args:
        parts: DensePose part map, (N, 14, h, w).
        mask: rough mask of the garment, any size; its box, a little enlarged, is the prompt's.
        size: (H, W) of the pictures in whose pixels the prompts shall be.
    """
    if parts.ndim != 4 or parts.shape[1] != 14:
        raise ValueError(f"parts must be (N, 14, h, w), not {tuple(parts.shape)}")
    if mask.ndim != 4 or mask.shape[:2] != (len(parts), 1):
        raise ValueError(f"mask must be ({len(parts)}, 1, h, w), not {tuple(mask.shape)}")
    places = (parts.shape[2], parts.shape[3])
    garment = F.interpolate(mask.to(parts), places, mode="bilinear", antialias=True) > 0.5
    seen = [parts[:, TORSO], *(parts[:, list(channels)] for channels in _UPPER_ARMS)]
    inside = [_seen(part) & garment for part in seen]
    hands = (parts[:, c : c + 1] for c in range(HANDS.start, HANDS.stop))
    # A pixel belongs to the garment or to what is not edited, never to both.
    outside = [_seen(part) & ~garment for part in (parts[:, HEAD], *hands)]
    outside.append(~_seen(parts) & ~garment)
    points, labels = [], []
    for areas, label in ((inside, INSIDE), (outside, OUTSIDE)):
        for area in areas:
            point, found = _deepest(area)
            points.append(_to_pixels(point, places, size))
            labels.append(torch.where(found, label, UNUSED))
    return Prompts(torch.stack(points, dim=1), torch.stack(labels, dim=1), _boxes(mask, size))


def refine_by_sam(
    sam: Sam,
    images: Tensor,
    mask: Tensor,
    parts: Tensor | None = None,
    prompts: Prompts | None = None,
) -> tuple[Tensor, Tensor]:
    """A rough mask made exact by Segment Anything, and by `refine_mask` after it.

    Args:
        sam: on the device of the tensors.
        images: photos, (N, 3, H, W) in [0, 1].
        mask: rough mask of the garment, (N, 1, h, w), any size.
        parts: DensePose part map, (N, 14, h, w), for `sam_prompts`; without it, only the mask's box
            and the mask itself are the prompt.
        prompts: in pixels of `images`, instead.

    Returns:
        The mask, (N, 1, H, W) in [0, 1], and how far SAM agreed with the rough one, a Jaccard index,
        (N,). Where that is below one half, SAM found something else, and the mask given is refined
        without it.
    """
    size = (images.shape[2], images.shape[3])
    if prompts is None and parts is not None:
        prompts = sam_prompts(parts, mask, size)
    if prompts is None:
        prompts = Prompts(boxes=_boxes(mask, size), masks=mask)
    with without_grad():
        found = sam(images, prompts, like=mask)
    rough = F.interpolate(mask.to(found), size, mode="bilinear", antialias=True)
    agreement = soft_iou(found, rough)
    chosen = torch.where((agreement >= _LEAST_AGREEMENT)[:, None, None, None], found, rough)
    # SAM's border is exact to a few of its 256 pixels, the rough one to more.
    return refine_mask(images, chosen, radius=0.02), agreement


def _seen(parts: Tensor) -> Tensor:
    """Where the summed probability of parts (N, C, h, w) is above one half, (N, 1, h, w) bool."""
    return parts.sum(dim=1, keepdim=True) > 0.5


def _deepest(area: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel (x, y) farthest from the border of each area, (N, 2), and whether there is any, (N,).

    Depth is counted in erosions by a 3 x 3 square, the picture's border counting as the area's; of
    equally deep pixels the one nearest to their mean is taken.
    """
    depth, left = torch.zeros_like(area, dtype=torch.float32), area.float()
    while bool(left.any()):
        depth += left
        left = -F.max_pool2d(-F.pad(left, (1, 1, 1, 1)), 3, stride=1)
    deepest = (depth == depth.amax(dim=(2, 3), keepdim=True)) & area
    height, width = area.shape[2:]
    y = torch.arange(height, device=area.device, dtype=torch.float32)[:, None].expand(height, width)
    x = torch.arange(width, device=area.device, dtype=torch.float32).expand(height, width)
    weight = deepest[:, 0].float()
    count = weight.sum(dim=(1, 2)).clamp_min(1)
    middle = [(weight * axis).sum(dim=(1, 2)) / count for axis in (x, y)]
    off = (x - middle[0][:, None, None]) ** 2 + (y - middle[1][:, None, None]) ** 2
    nearest = torch.where(deepest[:, 0], off, torch.inf).flatten(1).argmin(dim=1)
    points = torch.stack([nearest % width, nearest // width], dim=1).float()
    return points, area.flatten(1).any(dim=1)


def _to_pixels(points: Tensor, places: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Middles of pixels (x, y) of a map of `places` (h, w) as coordinates in a picture of `size`."""
    scale = points.new_tensor([size[1] / places[1], size[0] / places[0]])
    return (points + 0.5) * scale - 0.5


def _boxes(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Left, top, right, bottom of each mask in a picture of `size`, (N, 4); NaN for an empty one."""
    inside = mask[:, 0] > 0.5
    bounds = []
    for dim, length in ((1, size[1]), (2, size[0])):
        line = inside.any(dim=dim)
        count = line.shape[1]
        place = torch.arange(count, device=mask.device, dtype=torch.float32)
        first = torch.where(line, place, torch.inf).amin(dim=1) * (length / count)
        last = (torch.where(line, place, -torch.inf).amax(dim=1) + 1) * (length / count)
        margin = _MARGIN * (last - first)
        bounds.append(((first - margin).clamp_min(0), (last + margin).clamp(max=length)))
    (left, right), (top, bottom) = bounds
    boxes = torch.stack([left, top, right, bottom], dim=1) - 0.5
    return torch.where((inside.flatten(1).any(dim=1))[:, None], boxes, torch.nan)
