"""Where an edit may change an image.

May import `extraction`, `networks`, `ops` and what lies below them.
"""

from .garment import allowed_mask, edit_mask, garment_mask, sharpened, soften

__all__ = ["allowed_mask", "edit_mask", "garment_mask", "sharpened", "soften"]
