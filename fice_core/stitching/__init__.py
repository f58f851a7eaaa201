"""Stage 3: the generated garment, matched to the photo and put into it.

May import `masks`, `extraction`, `framing`, `ops` and what lies below them.
"""

from ..ops.patches import stitch
from .color import match_colour, ring_around
from .composite import put_in, stitch_head
from .edges import edge
from .grain import match_grain
from .laplacian import blend_pyramid
from .poisson import blend_gradients
from .skin import match_skin

__all__ = [
    "blend_gradients",
    "blend_pyramid",
    "edge",
    "match_colour",
    "match_grain",
    "match_skin",
    "put_in",
    "ring_around",
    "stitch",
    "stitch_head",
]
