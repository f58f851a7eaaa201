"""Where a person's joints are in the image, without rendering."""

from __future__ import annotations

import numpy as np

from .attributes import Person
from .body import posed_body
from .maths import Array
from .scene import frame

HAIR = 0.03  # metres above the scalp: hair is not grown here, and moves the camera a little


def skeleton(person: Person) -> Array:
    """Joints (B, 2) of a person in an image of size 1, apart from what its hair does to the framing.

    Raises:
        FiceError: the extra `people` is not installed.
    """
    posed = posed_body(person)
    top = float(posed.vertices[posed.shared.body.vertices][:, 2].max())
    return np.asarray(frame(posed, top + HAIR, person).project(posed.joints, 1), np.float32)
