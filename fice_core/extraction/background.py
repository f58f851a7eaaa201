"""Persons before a wall that the generator knows, for photos taken before anything else.

A generator that has only seen studios cannot show a street. Asked to keep one, the inversion bends the
person to get at its colours. The street comes back from the photo anyway, so for the networks it is
replaced by the generator's own backdrop; and what of that backdrop shows in the end is replaced by the
street again, continued smoothly where the person has left it.
"""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch

from ..framing import Frame
from ..gradient_domain import membrane
from ..networks.segmenter import Regions, Segmenter
from ..networks.stylegan2 import Generator
from ..ops.autograd import no_graph
from ..ops.color import lab_difference
from ..ops.guided_filter import refine_mask
from ..ops.morphology import spread
from ..ops.resize import resize, working_copy
from .extractors import segment_regions, synthesize

#: mean CIELAB difference over the background from which the generator is said not to know it
UNKNOWN = 12.0
_RIM = 0.004  # of the height

_backdrops: WeakKeyDictionary[Generator, torch.Tensor] = WeakKeyDictionary()


def own_backdrop(generator: Generator, segmenter: Segmenter) -> torch.Tensor:
    """The colour of the background in the generator's average picture, (1, 3, 1, 1), on the CPU.

    Computed once for a generator; mid-grey if its average picture has no background.
    """
    if generator not in _backdrops:
        with no_graph():
            average = generator.w_avg.detach().clone().expand(1, generator.num_ws, -1)
            picture = synthesize(generator, average.contiguous(), clamp=True)
            behind = segment_regions(segmenter, picture).background > 0.9
            pixels = picture.cpu().movedim(1, -1)[behind[:, 0].cpu()]
            colour = pixels.median(dim=0).values if len(pixels) else torch.full((3,), 0.5)
            _backdrops[generator] = colour.view(1, 3, 1, 1)
    return _backdrops[generator]


def is_unknown(photos: torch.Tensor, reconstructed: torch.Tensor, regions: Regions) -> torch.Tensor:
    """Whether the generator cannot show what is behind the person, bool (N, 1, 1, 1).

    Args:
        photos: at the generator's resolution, (N, 3, H, W) in [0, 1].
        reconstructed: what the generator makes of them, the same shape.
        regions: of the photos.
    """
    mean = lab_difference(reconstructed, photos, regions.background > 0.9)
    unknown: torch.Tensor = mean > UNKNOWN
    return unknown.view(-1, 1, 1, 1)


def before_own_backdrop(
    photos: torch.Tensor, regions: Regions, colour: torch.Tensor
) -> torch.Tensor:
    """The persons before a plain wall of that colour, (N, 3, H, W)."""
    return torch.lerp(photos, colour.to(photos).expand_as(photos), regions.background)


class Scenery(NamedTuple):
    """What was behind the person in the photo, and where the generated picture shows its own backdrop.

    All at the generator's resolution: `behind` (N, 3, H, W), the photo without the person; `person`, of
    the photo, and `backdrop`, of the generated picture, (N, 1, H, W) in [0, 1].
    """

    behind: torch.Tensor
    person: torch.Tensor
    backdrop: torch.Tensor

    @classmethod
    def of(cls, photos: torch.Tensor, before: Regions, after: Regions) -> "Scenery":
        """Take the persons out of photos (N, 3, H, W).

        What was behind them is not known; it is given the smoothest colours that join its surroundings.
        """
        person = 1 - before.background
        # A little more than the person, whose outline is mixed with the person's colours.
        out = spread(person, 1) > 0.1
        behind = photos.clone()
        for sample, hidden in zip(behind, out[:, 0], strict=True):
            if hidden.any() and not hidden.all():
                fill = membrane(sample, torch.ones_like(sample[0]), hidden)
                sample.copy_(torch.where(hidden, fill.clamp(0, 1), sample))
        return cls(behind, person, after.background)

    def put_back(self, generated: torch.Tensor, photo: torch.Tensor, frame: Frame) -> torch.Tensor:
        """The generated picture before the photo's own background.

        Args:
            generated, photo: the part of one photo in its frame, (1, 3, h, w), as `frame.cut` gives it.
            frame: where it lies.
        """
        person = _along_edges(self.person, photo, frame)
        scene = torch.lerp(photo, frame.unfit(self.behind), person)
        return torch.lerp(generated, scene, _along_edges(self.backdrop, generated, frame, _RIM))


def _along_edges(
    mask: torch.Tensor, picture: torch.Tensor, frame: Frame, rim: float = 0.0
) -> torch.Tensor:
    """A mask (1, 1, *frame.resolution) at the scale of a picture (1, 3, h, w), on its edges.

    `rim` is how far it is grown, a fraction of the height: an outline is mixed of two colours.
    """
    small = working_copy(picture)
    exact = refine_mask(small, frame.trim(mask))
    exact = spread(exact, round(rim * small.shape[-2]))
    return resize(exact, (picture.shape[-2], picture.shape[-1]))
