"""Where an edited image shows what a photo shows: shift, zoom, stretch and turn.

May import from `stitching`, `ops` and the layers below them.
"""

from .alignment import Alignment
from .estimation import Registration, register

__all__ = ["Alignment", "Registration", "register"]
