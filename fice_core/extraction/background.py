"""Replaces a photo's background by one that the generator can produce.

A generator that was trained on studio photos cannot produce a street. If the inversion has to keep one,
it distorts the person to approximate its colours. The final image gets its background from the photo
anyway. So the networks see the person in front of the generator's background. In the result, that
background is replaced by the photo's again (`stitching.background`).
"""

from weakref import WeakKeyDictionary

import torch

from ..networks.regions import PersonSegmenter, Regions
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from ..ops.color import lab_difference
from .extractors import segment_regions, synthesize

#: mean CIELAB difference over the background; above it, the background is out of the generator's domain
UNKNOWN = 12.0

_colours: WeakKeyDictionary[Generator, torch.Tensor] = WeakKeyDictionary()


def generator_background(generator: Generator, segmenter: PersonSegmenter) -> torch.Tensor:
    """The background colour of the generator's average image, (1, 3, 1, 1), on the CPU.

    It is computed once per generator. It is mid-grey if the average image has no background.
    """
    if generator not in _colours:
        with without_grad():
            average = generator.w_avg.detach().clone().expand(1, generator.num_ws, -1)
            image = synthesize(generator, average.contiguous(), clamp=True)
            background = segment_regions(segmenter, image).background > 0.9
            pixels = image.cpu().movedim(1, -1)[background[:, 0].cpu()]
            colour = pixels.median(dim=0).values if len(pixels) else torch.full((3,), 0.5)
            _colours[generator] = colour.view(1, 3, 1, 1)
    return _colours[generator]


def is_out_of_domain(
    photos: torch.Tensor, reconstructed: torch.Tensor, regions: Regions
) -> torch.Tensor:
    """Whether the generator cannot produce the background of the photos, bool (N, 1, 1, 1).

    Args:
        photos: at the generator's resolution, (N, 3, H, W) in [0, 1].
        reconstructed: their reconstructions by the generator, of the same shape.
        regions: of the photos.
    """
    mean = lab_difference(reconstructed, photos, regions.background > 0.9)
    unknown: torch.Tensor = mean > UNKNOWN
    return unknown.view(-1, 1, 1, 1)


def replace_background(
    photos: torch.Tensor, regions: Regions, colour: torch.Tensor
) -> torch.Tensor:
    """The photos with a background of one colour, (N, 3, H, W)."""
    return torch.lerp(photos, colour.to(photos).expand_as(photos), regions.background)
