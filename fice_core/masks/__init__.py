"""Masks of the area that an edit may change.

May import from `extraction`, `networks`, `ops` and the layers below them.
"""

from .garment import allowed_mask, edge_aligned_mask, edit_mask, feathered_mask, garment_mask
from .guided_filter import refine_mask
from .sam import refine_by_sam

__all__ = [
    "allowed_mask",
    "edge_aligned_mask",
    "edit_mask",
    "feathered_mask",
    "garment_mask",
    "refine_by_sam",
    "refine_mask",
]
