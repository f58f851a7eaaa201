"""Stage 3: the generated garment, matched to the photo and put into it.

May import `masks`, `extraction`, `framing`, `ops` and what lies below them.
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
