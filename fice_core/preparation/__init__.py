"""Makes a data set for training from photos: frames persons, checks the photos, writes images and label maps.

May import from `datasets`, `persons`, `models` and the layers below them.
"""

from .photos import Report, Wanted, prepare

__all__ = ["Report", "Wanted", "prepare"]
