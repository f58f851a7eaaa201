"""Persons before a wall that the generator knows, for photos taken before anything else.

A generator that has only seen studios cannot show a street. Asked to keep one, the inversion bends the
person to get at its colours. The street comes back from the photo anyway, so for the networks it is
replaced by the generator's own backdrop; and what of that backdrop shows in the end is replaced by the
street again, continued smoothly where the person has left it.
"""

from weakref import WeakKeyDictionary

import torch

from ..networks.segmenter import Regions, Segmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.color import lab_difference
from .extractors import segment_regions, synthesize

#: mean CIELAB difference over the background from which the generator is said not to know it
UNKNOWN = 12.0
_RIM = 0.004  # of the height

_backdrops: WeakKeyDictionary[Generator, torch.Tensor] = WeakKeyDictionary()


def generator_background(generator: Generator, segmenter: Segmenter) -> torch.Tensor:
    """The colour of the background in the generator's average picture, (1, 3, 1, 1), on the CPU.

    Computed once for a generator; mid-grey if its average picture has no background.
    """
    if generator not in _backdrops:
        with without_grad():
            average = generator.w_avg.detach().clone().expand(1, generator.num_ws, -1)
            picture = synthesize(generator, average.contiguous(), clamp=True)
            behind = segment_regions(segmenter, picture).background > 0.9
            pixels = picture.cpu().movedim(1, -1)[behind[:, 0].cpu()]
            colour = pixels.median(dim=0).values if len(pixels) else torch.full((3,), 0.5)
            _backdrops[generator] = colour.view(1, 3, 1, 1)
    return _backdrops[generator]


def is_out_of_domain(
    photos: torch.Tensor, reconstructed: torch.Tensor, regions: Regions
) -> torch.Tensor:
    """Whether the generator cannot show what is behind the person, bool (N, 1, 1, 1).

    Args:
        photos: at the generator's resolution, (N, 3, H, W) in [0, 1].
        reconstructed: what the generator makes of them, the same shape.
        regions: of the photos.
    """
    mean = lab_difference(reconstructed, photos, regions.background > 0.9)
    unknown: torch.Tensor = mean > UNKNOWN
    return unknown.view(-1, 1, 1, 1)


def replace_background(
    photos: torch.Tensor, regions: Regions, colour: torch.Tensor
) -> torch.Tensor:
    """The persons before a plain wall of that colour, (N, 3, H, W)."""
    return torch.lerp(photos, colour.to(photos).expand_as(photos), regions.background)
