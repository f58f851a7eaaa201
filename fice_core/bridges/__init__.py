"""Edits that other programs made: restored to their photo, and measured.

May import from `registration`, `evaluation`, `stitching`, `masks`, `extraction` and the layers below them.
"""

from .drift import Drift, measure_drift
from .restore import Restored, RestoreSettings, restore

__all__ = ["Drift", "RestoreSettings", "Restored", "measure_drift", "restore"]
