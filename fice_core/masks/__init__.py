"""Masks of the area that an edit may change.

May import from `extraction`, `networks`, `ops` and the layers below them.
"""

from .garment import allowed_mask, edge_aligned_mask, edit_mask, feathered_mask, garment_mask

__all__ = ["allowed_mask", "edge_aligned_mask", "edit_mask", "feathered_mask", "garment_mask"]
