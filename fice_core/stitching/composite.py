"""Composes photo and generated image: the stitch modes, after matching colour and grain."""

from collections.abc import Callable

import torch

from ..ops.patches import stitch
from ..settings import StitchMode, StitchSettings
from .color import match_colour, ring_around
from .grain import match_grain
from .laplacian import blend_pyramid
from .poisson import blend_gradients


def stitch_head(
    generated: torch.Tensor, original: torch.Tensor, head: torch.Tensor
) -> torch.Tensor:
    """The paper's stitch, I_f = S_head(I) * I + (1 - S_head(I)) * G(w), with a soft mask.

    Args:
        generated, original: (N, 3, H, W).
        head: soft head mask of the original, (N, 1, H, W).
    """
    return head * original + (1 - head) * generated


_BLENDS: dict[StitchMode, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mask": stitch,
    "pyramid": blend_pyramid,
    "gradient": blend_gradients,
    "head": stitch,
    "none": stitch,
}


def blend_into_photo(
    generated: torch.Tensor,
    photo: torch.Tensor,
    mask: torch.Tensor,
    settings: StitchSettings,
    match_colours: bool,
) -> torch.Tensor:
    """The photo with the generated image blended in, in the photo's light and with its grain.

    Args:
        generated, photo: (N, 3, H, W).
        mask: 1 where the generated image shows, (N, 1, H, W) in [0, 1].
        settings: the blend, whether grain is matched, and the seed of the grain.
        match_colours: bring the generated image to the photo's light first.

    Returns:
        (N, 3, H, W); where `mask` is 0, equal to the photo bit for bit.
    """
    if settings.keeps_outside:
        if match_colours:
            generated = match_colour(generated, photo, ring_around(mask))
        if settings.match_grain:
            generated = match_grain(generated, photo, mask, settings.seed)
    return _BLENDS[settings.stitch](generated, photo, mask)
