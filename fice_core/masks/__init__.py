"""Where an edit may change an image.

May import `extraction`, `networks`, `ops` and what lies below them.
"""

from .garment import allowed_mask, edge_aligned_mask, edit_mask, feathered_mask, garment_mask

__all__ = ["allowed_mask", "edge_aligned_mask", "edit_mask", "feathered_mask", "garment_mask"]
