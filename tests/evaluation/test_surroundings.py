"""What an edit of a person changed that it should not have: images with known differences."""

import numpy as np
import pytest
import torch

from fice_core.demo.gallery import gallery
from fice_core.demo.people import as_images
from fice_core.evaluation.garments import along_arms, chest_of
from fice_core.evaluation.surroundings import bare_skin, becomes_bare, drift, out_of_reach
from fice_core.ops.color import to_lab
from fice_core.people.classes import LOWER
from fice_core.people.portrait import Portrait

SOME = (0, 2, 4, 17)  # sleeveless, short, long, and a dress


@pytest.fixture(scope="module")
def people() -> list[Portrait]:
    return [gallery()[k].portrait(128) for k in SOME]


def test_nothing_drifts_in_the_photo_itself(people: list[Portrait]) -> None:
    photos = as_images([who.image for who in people])
    lower, wall = drift(photos, photos, people)
    assert wall.tolist() == [0] * 4
    # trousers are out of reach, the skirt of a dress is not
    assert lower[:3].tolist() == [0] * 3 and torch.isnan(lower[3])


def test_drift_is_the_difference_where_no_garment_reaches(people: list[Portrait]) -> None:
    photos = as_images([who.image for who in people])
    clear = torch.from_numpy(np.stack([out_of_reach(who) for who in people]))[:, None]
    wall = torch.from_numpy(np.stack([who.region("background") for who in people]))[:, None] > 0.99
    shifted = torch.where(wall & clear, photos * 0.9, photos)
    lower, found = drift(shifted, photos, people)
    assert lower[:3].tolist() == [0] * 3
    for k, who in enumerate(people):
        where = (wall & clear)[k, 0].numpy()
        distance = np.linalg.norm(to_lab(0.9 * who.image[where]) - to_lab(who.image[where]), axis=1)
        assert float(found[k]) == pytest.approx(distance.mean(), rel=1e-4)


def test_a_garment_reaches_arms_and_hips_but_not_the_legs_or_the_wall(
    people: list[Portrait],
) -> None:
    for who in people:
        clear = out_of_reach(who)
        assert not clear[chest_of(who)].any()
        assert not clear[np.isfinite(along_arms(who.parts, who.joints))].any()
        assert clear[who.region("background") > 0.99].mean() > 0.5
    for who in people[:3]:
        assert out_of_reach(who)[who.coverage[LOWER] > 0.99].any()


def test_changes_within_reach_are_no_drift(people: list[Portrait]) -> None:
    photos = as_images([who.image for who in people])
    clear = torch.from_numpy(np.stack([out_of_reach(who) for who in people]))[:, None]
    edited = torch.where(clear, photos, torch.rand(photos.shape, generator=torch.Generator()))
    for value in drift(edited, photos, people):
        assert torch.nan_to_num(value).max() == 0


def test_bare_arms_are_like_the_own_skin_and_sleeves_are_not(people: list[Portrait]) -> None:
    photos = as_images([who.image for who in people])
    found = bare_skin(photos, people)
    assert found[:2].max() < 10 and found[2] > 25
    painted = people[2].image.copy()
    along = along_arms(people[2].parts, people[2].joints)
    hands = people[2].coverage[7] > 0.97
    painted[along > 0.5] = np.median(painted[hands], axis=0)
    assert bare_skin(as_images([painted]), [people[2]])[0] < 1


def test_arms_out_of_the_image_have_no_skin(people: list[Portrait]) -> None:
    hidden = Portrait(**{**vars(people[0]), "parts": np.zeros((128, 128), np.uint8)})
    assert torch.isnan(bare_skin(as_images([hidden.image]), [hidden])).all()


def test_only_long_sleeves_become_bare() -> None:
    worn = ["long", "long", "short", None, "long"]
    wished = ["short", "long", "sleeveless", "short", "sleeveless"]
    assert becomes_bare(worn, wished) == [True, False, False, False, True]
