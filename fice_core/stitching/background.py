"""What lies behind the person, brought back from the photo."""

from typing import NamedTuple

import torch

from ..extraction.background import _RIM
from ..framing import Frame
from ..networks.segmenter import Regions
from ..ops.guided_filter import refine_mask
from ..ops.morphology import max_filter
from ..ops.resize import resize, working_copy
from .poisson import membrane


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
        out = max_filter(person, 1) > 0.1
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
    exact = max_filter(exact, round(rim * small.shape[-2]))
    return resize(exact, (picture.shape[-2], picture.shape[-1]))
