"""Stage 3: matches the generated image to the photo and blends it in.

May import from `masks`, `extraction`, `framing`, `ops` and the layers below them.
"""

from ..ops.patches import stitch
from .color import match_colour, ring_around
from .composite import blend_into_photo, stitch_head
from .edges import edit_mask_at_photo_scale
from .grain import match_grain
from .laplacian import blend_pyramid
from .poisson import blend_gradients
from .skin import match_skin

__all__ = [
    "blend_gradients",
    "blend_into_photo",
    "blend_pyramid",
    "edit_mask_at_photo_scale",
    "match_colour",
    "match_grain",
    "match_skin",
    "ring_around",
    "stitch",
    "stitch_head",
]
