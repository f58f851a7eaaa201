"""Puts the photo's background into the generated image."""

from typing import NamedTuple

import torch

from ..framing import Frame
from ..masks.guided_filter import refine_mask
from ..networks.regions import Regions
from ..ops.morphology import max_filter
from ..ops.resize import resize, working_copy
from .poisson import membrane

_RIM = 0.004  # dilation of the generated background, a fraction of the height


class Scenery(NamedTuple):
    """The photo's background, and the background of the generated image, at the generator's resolution.

    Attributes:
        behind: the photo without the person, (N, 3, H, W).
        person: mask of the person in the photo, (N, 1, H, W) in [0, 1].
        backdrop: mask of the background in the generated image, (N, 1, H, W) in [0, 1].
    """

    behind: torch.Tensor
    person: torch.Tensor
    backdrop: torch.Tensor

    @classmethod
    def of(cls, photos: torch.Tensor, before: Regions, after: Regions) -> "Scenery":
        """The scenery of photos (N, 3, H, W), with the regions of the photos and of the generated images.

        Pixels behind a person are unknown. They are filled by a membrane, the smoothest continuation of
        the surroundings.
        """
        person = 1 - before.background
        # A little larger than the person: pixels at the outline contain colours of the person.
        masks = max_filter(person, 1) > 0.1
        behind = photos.clone()
        for sample, hidden in zip(behind, masks[:, 0], strict=True):
            if hidden.any() and not hidden.all():
                fill = membrane(sample, torch.ones_like(sample[0]), hidden)
                sample.copy_(torch.where(hidden, fill.clamp(0, 1), sample))
        return cls(behind, person, after.background)

    def put_back(self, generated: torch.Tensor, photo: torch.Tensor, frame: Frame) -> torch.Tensor:
        """The generated image with the photo's background, (1, 3, h, w).

        Args:
            generated, photo: the part inside the frame at the photo's scale, (1, 3, h, w), as returned
                by `frame.cut`.
            frame: of the photo.
        """
        person = _along_edges(self.person, photo, frame)
        scene = torch.lerp(photo, frame.unfit(self.behind), person)
        return torch.lerp(generated, scene, _along_edges(self.backdrop, generated, frame, _RIM))


def _along_edges(
    mask: torch.Tensor, image: torch.Tensor, frame: Frame, rim: float = 0.0
) -> torch.Tensor:
    """A mask (1, 1, *frame.resolution) at the scale of an image (1, 3, h, w), aligned to its edges.

    The mask is dilated by `rim`, a fraction of the height, because pixels at an outline mix two colours.
    """
    small = working_copy(image)
    exact = refine_mask(small, frame.trim(mask))
    exact = max_filter(exact, round(rim * small.shape[-2]))
    return resize(exact, (image.shape[-2], image.shape[-1]))
