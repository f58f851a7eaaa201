"""Keypoints of bodies in the files of published layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import FiceError
from ..files import read_bytes
from ..images.photo import stored_size
from .places import read_json
from .sample import Keypoints

COCO_18 = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow",
    "left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
BODY_25 = (
    *COCO_18[:8], "middle of hips", *COCO_18[8:],
    "left big toe", "left small toe", "left heel", "right big toe", "right small toe", "right heel",
)  # fmt: skip
_FORMATS = {len(names): names for names in (COCO_18, BODY_25)}


@dataclass(frozen=True)
class OpenPoseFile:
    """The first person in a JSON file of OpenPose, read when called."""

    path: Path

    def __call__(self) -> Keypoints:
        """The points.

        Raises:
            FiceError: the file cannot be read, or has no person with 18 or 25 points.
        """
        content = read_json(self.path)
        try:
            person = content["people"][0]
            values = person.get("pose_keypoints_2d") or person["pose_keypoints"]
        except (LookupError, TypeError, AttributeError):
            raise FiceError(f"{self.path} has no person of OpenPose in it") from None
        return _points(values, self.path)


@dataclass(frozen=True)
class DressCodePoints:
    """The points of a person of Dress Code, which are those of a photo 384 pixels wide.

    Attributes:
        path: of the points.
        image: of the photo.
    """

    path: Path
    image: Path

    def __call__(self) -> Keypoints:
        """The points in pixels of the photo; raises a FiceError if a file cannot be read."""
        content = read_json(self.path)
        try:
            rows = [row[:3] for row in content["keypoints"]]
        except (LookupError, TypeError):
            raise FiceError(f"{self.path} has no keypoints in it") from None
        names, points = _points([value for row in rows for value in row], self.path)
        size = stored_size(read_bytes(self.image, "an image file"))
        if size is None:
            raise FiceError(f"{self.image} is not an image")
        points[:, :2] *= size[1] / 384
        return Keypoints(names, points)


@dataclass(frozen=True)
class GivenPoints:
    """Points that were in a file with those of all photos: rows of x, y and a confidence."""

    names: tuple[str, ...]
    rows: tuple[tuple[float, float, float], ...]

    def __call__(self) -> Keypoints:
        """The points."""
        return Keypoints(self.names, torch.tensor(self.rows, dtype=torch.float32))


def _points(values: Sequence[float], path: Path) -> Keypoints:
    """Points from x, y and confidence of each in a row; what is at (0, 0) or left of it is absent."""
    if not isinstance(values, list):
        raise FiceError(f"{path} has no list of points in it")
    names = _FORMATS.get(len(values) // 3)
    if names is None or len(values) % 3:
        raise FiceError(
            f"{path} has {len(values) / 3:g} points; 18 (COCO) or 25 (BODY_25) were expected"
        )
    try:
        points = torch.tensor(values, dtype=torch.float32).reshape(-1, 3)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: too large for the type
        raise FiceError(f"{path} has points that are no numbers") from None
    absent = (points[:, :2] <= 0).all(1)
    points[absent] = 0
    return Keypoints(names, points)
