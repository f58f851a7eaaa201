"""Garment masks from photos, compared with scenes whose truth is known."""

from dataclasses import replace

import pytest
import torch

from fice_core.bridges.garment_area import Networks, _worn, garment_area
from fice_core.demo.scenes import scene
from fice_core.errors import FiceError
from fice_core.evaluation.metrics import mask_iou
from fice_core.extraction.anatomy import ARMS, HANDS, HEAD, TORSO, BodyRegions, Clothes
from fice_core.models import load_models
from fice_core.settings import MaskSettings

TIGHT = MaskSettings(mask_dilation=0.0, mask_feather=0.0)


@pytest.fixture(scope="module")
def networks() -> Networks:
    models = load_models("demo", device="cpu")
    return Networks(models.generator, models.densepose, models.segmenter)


def test_the_garment_of_a_person_in_a_larger_photo(networks: Networks) -> None:
    made = scene((500, 700), [(300, 120, 330)], seed=11)
    mask = garment_area(networks, made.image, TIGHT)
    assert mask.shape == (1, 1, 500, 700)
    assert float(mask_iou(mask, made.garment)) > 0.8
    assert float((mask * (made.head > 0.9)).max()) == 0


def test_growing_and_the_reach_only_add(networks: Networks) -> None:
    photo = scene((400, 400), [(0, 0, 400)], seed=4).image
    tight = garment_area(networks, photo, TIGHT)
    grown = garment_area(networks, photo, replace(TIGHT, mask_dilation=0.04))
    reach = garment_area(networks, photo, TIGHT, reach=True)
    assert ((grown > 0.5) | ~(tight > 0.5)).all() and (grown > 0.5).sum() > (tight > 0.5).sum()
    assert ((reach > 0.5) | ~(tight > 0.5)).float().mean() > 0.999


def test_each_photo_has_its_own_mask(networks: Networks) -> None:
    photos = torch.cat([scene((300, 300), [(0, 0, 300)], seed=seed).image for seed in (5, 9)])
    both = garment_area(networks, photos, TIGHT)
    alone = garment_area(networks, photos[1:], TIGHT)
    torch.testing.assert_close(both[1:], alone)
    assert not torch.equal(both[0], both[1])


def test_nobody_is_refused(networks: Networks) -> None:
    with pytest.raises(FiceError, match="no person"):
        garment_area(networks, scene((300, 300), [], seed=1).image)


def _person(skin: tuple[float, float, float], sleeve: tuple[float, float, float]) -> torch.Tensor:
    """Head, hands and the right arm are skin, the left arm is a sleeve, the torso is green."""
    image = torch.full((1, 3, 40, 40), 0.9)
    for rows, columns, colour in (
        ((2, 10), (15, 25), skin),
        ((12, 34), (14, 26), (0.1, 0.6, 0.2)),
        ((12, 30), (6, 12), skin),
        ((12, 30), (28, 34), sleeve),
        ((30, 34), (6, 12), skin),
        ((30, 34), (28, 34), skin),
    ):
        image[..., slice(*rows), slice(*columns)] = torch.tensor(colour).view(1, 3, 1, 1)
    return image


def test_arms_of_the_persons_own_tone_are_bare() -> None:
    skin, sleeve = (0.75, 0.55, 0.45), (0.1, 0.6, 0.2)
    image = _person(skin, sleeve)
    parts = torch.zeros(1, 14, 40, 40)
    places = ((HEAD, (2, 10), (15, 25)), (TORSO, (12, 34), (14, 26)), (ARMS, (12, 30), (6, 12)))
    places += ((ARMS, (12, 30), (28, 34)), (HANDS, (30, 34), (6, 12)), (HANDS, (30, 34), (28, 34)))
    for part, rows, columns in places:
        parts[:, part.start, slice(*rows), slice(*columns)] = 1

    def where(part: slice) -> torch.Tensor:
        return parts[:, part].sum(1, keepdim=True) > 0.5

    nothing = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    body = BodyRegions(where(TORSO), where(ARMS), nothing, where(HEAD) | where(HANDS))
    found = _worn(image, parts, body, TIGHT, reach=False)
    assert bool(found[..., 14:32, 16:24].all())  # the torso
    assert bool(found[..., 14:28, 29:33].all())  # the sleeve
    assert not bool(found[..., 14:28, 7:11].any())  # the bare arm
    assert bool(_worn(image, parts, body, TIGHT, reach=True)[..., 14:28, 7:11].all())
    # a parser that names clothes is believed
    known = body._replace(clothes=Clothes(where(TORSO), nothing, nothing))
    assert torch.equal(_worn(image, parts, known, TIGHT, reach=False), where(TORSO))
