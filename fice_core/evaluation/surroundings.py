"""What an edit of a person changed that it should not have, in CIELAB."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from skimage.morphology import dilation, disk
from torch import Tensor

from ..demo.people import as_arrays
from ..ops.color import lab_difference, to_lab
from ..people.captions import facts
from ..people.classes import LEGS, LOWER
from ..people.maths import Array
from ..people.portrait import Portrait
from ..people.sampling import person_from_code
from .garments import along_arms, chest_of, skin_of
from .patterns import pitch

EASE = 0.05  # metres by which a garment may stand off the body
HEM = 0.06  # metres below the hips that a garment may reach
REACHED = (1, 2, 3, 4, *range(15, 23))  # DensePose's parts of torso, hands and arms
_BELOW_ELBOW = (0.58, 0.95)  # of the arm: from here to here it is bare without long sleeves
_FEW = 12


def out_of_reach(who: Portrait) -> Array:
    """Where no garment of the domain can reach on this person: (S, S) bool."""
    chest = chest_of(who)
    pixels = 1 / max(pitch(who.uv[chest]), 1e-4)  # a metre
    hips = (who.joint("left hip")[1] + who.joint("right hip")[1]) / 2
    below = (np.arange(who.size) + 0.5 > hips + HEM * pixels)[:, None]
    person = who.region("background") < 0.5
    near = np.isin(who.parts, REACHED) | (who.region("garment") > 0.01)
    near |= person & ~below & (who.region("head") < 0.5)
    if facts(person_from_code(np.asarray(who.code, np.float64))).kind == "dress":
        near |= who.coverage[[LOWER, LEGS]].sum(0) > 0.01
    return np.asarray(~dilation(near, disk(max(1, round(EASE * pixels)))))


def drift(generated: Tensor, photos: Tensor, people: Sequence[Portrait]) -> tuple[Tensor, Tensor]:
    """Mean CIELAB difference of the lower garment and of the background from the photo, before stitching.

    Counted where no garment can reach on these people: what a longer hem or sleeve covers has not drifted.

    Args:
        generated: the generator's images, (N, 3, S, S).
        photos: the photos that were edited.
        people: who is in them.

    Returns:
        (N,) each; NaN where nothing of it is in the image.
    """
    clear = torch.from_numpy(np.stack([out_of_reach(who) for who in people]))[:, None]
    found = []
    for region in (lambda who: who.coverage[LOWER], lambda who: who.region("background")):
        mask = torch.from_numpy(np.stack([region(who) for who in people]))[:, None] > 0.99
        inside = mask & clear
        value = lab_difference(generated, photos, inside)
        found.append(torch.where(inside.flatten(1).any(1), value, torch.nan))
    return found[0], found[1]


def becomes_bare(worn: Sequence[str | None], wished: Sequence[str]) -> list[bool]:
    """Whether arms in long sleeves are to be bare from the elbow down."""
    return [
        old == "long" and new in ("sleeveless", "short")
        for old, new in zip(worn, wished, strict=True)
    ]


def bare_skin(edited: Tensor, people: Sequence[Portrait]) -> Tensor:
    """CIELAB distance of the lower arms from the person's own bare skin, (N,).

    The distance of the median colours; the person's skin is that of hands and arms in the photo, else that of
    face and neck. NaN if no lower arm is in the image.

    Args:
        edited: (N, 3, S, S) in [0, 1].
        people: who they are.
    """
    result = []
    for image, who in zip(as_arrays(edited), people, strict=True):
        along = along_arms(who.parts, who.joints)
        arm = (along > _BELOW_ELBOW[0]) & (along < _BELOW_ELBOW[1])
        if arm.sum() < _FEW:
            result.append(float("nan"))
            continue
        seen, own = (np.median(to_lab(rgb), axis=0) for rgb in (image[arm], skin_of(who)))
        result.append(float(np.linalg.norm(seen - own)))
    return torch.tensor(result)
