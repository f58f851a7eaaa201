"""Composes photo and generated image: the stitch modes, after matching colour and grain."""

import torch

from ..ops.patches import stitch
from ..settings import EditSettings
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


_BLENDS = {"pyramid": blend_pyramid, "gradient": blend_gradients}


def blend_into_photo(
    generated: torch.Tensor, photo: torch.Tensor, mask: torch.Tensor, settings: EditSettings
) -> torch.Tensor:
    """The generated image, matched to the photo in colour and grain and blended into it by the mask.

    Args:
        generated, photo: (N, 3, H, W).
        mask: (N, 1, H, W) in [0, 1].
        settings: its `stitch`, `match_colour`, `match_grain` and `seed` are used.

    Returns:
        (N, 3, H, W); where `mask` is 0, equal to the photo bit for bit.
    """
    if settings.keeps_outside:
        generated = _matched(generated, photo, mask, settings)
    return _BLENDS.get(settings.stitch, stitch)(generated, photo, mask)


def _matched(
    generated: torch.Tensor, photo: torch.Tensor, mask: torch.Tensor, settings: EditSettings
) -> torch.Tensor:
    """The generated image with the photo's colours and grain, as far as the settings ask for them."""
    if settings.match_colour:
        generated = match_colour(generated, photo, ring_around(mask))
    if settings.match_grain:
        generated = match_grain(generated, photo, mask, settings.seed)
    return generated
