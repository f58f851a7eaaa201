"""The whole method: the three stages in order.

May import `inversion`, `masks`, `stitching`, `persons`, `models` and what lies below them.
"""

from ..models import DEMO_WEIGHTS, Models, load_models, resolve_device
from .pipeline import edit
from .result import EditInterrupted, EditResult

__all__ = [
    "DEMO_WEIGHTS",
    "EditInterrupted",
    "EditResult",
    "Models",
    "edit",
    "load_models",
    "resolve_device",
]
