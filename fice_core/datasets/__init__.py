"""Reads data sets of photos of people, and of texts: any folder, and the layouts of published sets.

Nothing is downloaded. May import from `networks` (names of classes), `images`, `ops` and `files`.
"""

from .opening import LAYOUTS, open_photos, open_texts
from .sample import Keypoints, Sample, Text, held_out, person_in

__all__ = [
    "LAYOUTS",
    "Keypoints",
    "Sample",
    "Text",
    "held_out",
    "open_photos",
    "open_texts",
    "person_in",
]
