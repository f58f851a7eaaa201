"""Garments of a parser that names clothes: which pixels each of them covers, may cover and never covers.

A figure of 20 x 8 pixels, six columns wide: hat, face, upper garment with sleeves, a bag across it, lower
garment, legs, shoes. DensePose sees the torso down to the hips, over the waistband of the lower garment.
"""

from typing import get_args

import pytest
import torch

from fice_core.extraction.anatomy import ARMS, HANDS, TORSO, find_body_regions
from fice_core.masks.garment import allowed_mask, feathered_mask, garment_mask
from fice_core.networks.regions import regions_of
from fice_core.settings import EditSettings, Garment

ROWS, COLUMNS = 20, 8
CLASSES = ("background", "hat", "face", "upper", "lower", "dress", "arms", "legs", "shoes", "bag")
SHARP = {"mask_dilation": 0.0, "mask_feather": 0.0}


def area(rows, columns=slice(2, 6)):
    mask = torch.zeros(1, 1, ROWS, COLUMNS, dtype=torch.bool)
    mask[..., rows, columns] = True
    return mask


HAT, FACE = area(slice(0, 2)), area(slice(2, 5))
BAG = area(slice(6, 9), slice(3, 4))
UPPER = area(slice(5, 11)) & ~BAG  # with a sleeve in column 2
BARE_ARM = area(slice(8, 11), slice(5, 6))
LOWER, LEGS, SHOES = area(slice(11, 15)), area(slice(15, 18)), area(slice(18, 20))
WAISTBAND = area(slice(11, 13), slice(3, 5))  # DensePose calls it torso


def figure(**changes):
    """Soft maps of the classes, by name; `changes` exchange areas."""
    areas = {"hat": HAT, "face": FACE, "upper": UPPER & ~BARE_ARM, "lower": LOWER, "arms": BARE_ARM,
             "legs": LEGS, "shoes": SHOES, "bag": BAG}  # fmt: skip
    nothing = torch.zeros_like(HAT)
    areas = {name: (areas | changes).get(name, nothing) for name in CLASSES[1:]}
    person = sum(areas.values(), nothing)
    soft = torch.cat([~person, *areas.values()], 1).float() * 0.9 + 0.01
    return dict(zip(CLASSES, soft.split(1, dim=1), strict=True))


def anatomy(classes):
    parts = torch.zeros(1, 14, ROWS, COLUMNS)
    parts[:, TORSO.start, 5:13, 3:5] = 0.9
    parts[:, ARMS.start, 5:11, 2] = 0.9
    parts[:, ARMS.start, 5:11, 5] = 0.9
    parts[:, HANDS.start, 11, 6] = 0.9
    return find_body_regions(parts, regions_of(classes), classes)


def covered(garment, **changes):
    return anatomy(figure(**changes)).garment_regions(garment)


def test_an_upper_garment_is_where_the_parser_sees_it():
    always, possible, never = covered("upper")
    assert torch.equal(always, UPPER & ~BARE_ARM)
    assert torch.equal(possible, BARE_ARM | WAISTBAND)
    assert torch.equal(never, HAT | FACE | SHOES | BAG | area(11, slice(6, 7)))


def test_a_lower_garment_is_where_the_parser_sees_it():
    always, possible, never = covered("lower")
    assert torch.equal(always, LOWER)  # with the waistband
    assert torch.equal(possible, LEGS)
    assert (never & (UPPER | BARE_ARM | HAT | FACE | SHOES | BAG)).sum() == (
        UPPER | BARE_ARM | HAT | FACE | SHOES | BAG
    ).sum()
    assert not (never & (always | possible)).any()


@pytest.mark.parametrize("garment", ["outfit", "dress"])
def test_outfit_and_dress_cover_all_clothes(garment):
    always, possible, never = covered(garment)
    assert torch.equal(always, (UPPER & ~BARE_ARM) | LOWER)
    assert torch.equal(possible, BARE_ARM | LEGS)
    assert not (never & (always | possible)).any()


def test_a_worn_dress_is_divided_at_the_hips():
    gown = {"upper": torch.zeros_like(HAT), "lower": torch.zeros_like(HAT),
            "dress": (UPPER & ~BARE_ARM) | LOWER}  # fmt: skip
    assert torch.equal(covered("upper", **gown)[0], (UPPER & ~BARE_ARM) | WAISTBAND)
    assert torch.equal(covered("lower", **gown)[0], LOWER & ~WAISTBAND)
    assert torch.equal(covered("dress", **gown)[0], (UPPER & ~BARE_ARM) | LOWER)


def test_without_named_classes_a_dress_covers_legs_only_where_they_change():
    classes = figure()
    regions = regions_of(classes)
    parts = torch.zeros(1, 14, ROWS, COLUMNS)
    parts[:, TORSO.start, 5:13, 3:5] = 0.9
    found = find_body_regions(parts, regions)
    assert found.clothes is None
    always, possible, _ = found.garment_regions("dress")
    assert torch.equal(always, found.torso)
    assert (possible & LEGS).sum() == LEGS.sum()
    assert found.garment_regions("outfit")[0].sum() > always.sum()


@pytest.mark.parametrize("garment", get_args(Garment))
def test_masks_follow_the_named_classes(garment):
    """An edit that changes everything changes what it may, and never what must stay."""
    before = anatomy(figure())
    settings = EditSettings(garment=garment, **SHARP)
    black, white = torch.zeros(1, 3, ROWS, COLUMNS), torch.ones(1, 3, ROWS, COLUMNS)
    worn = garment_mask(before, before, black, black, white, settings)
    mask = feathered_mask(worn, before, settings)
    always, _, never = before.garment_regions(garment)
    assert (mask[always] == 1).all()
    assert (mask[never] == 0).all()
    assert (allowed_mask(before, settings)[never] == 0).all()


def test_a_shorter_garment_still_covers_the_old_one():
    """The mask holds the garment of the photo and of the generated image."""
    before = anatomy(figure())
    crop = area(slice(5, 8)) & ~BAG
    belly = UPPER & ~BARE_ARM & ~crop
    after = anatomy(figure(upper=crop & ~BARE_ARM, arms=BARE_ARM | belly))
    image = torch.zeros(1, 3, ROWS, COLUMNS)
    worn = garment_mask(before, after, image, image, image, EditSettings(**SHARP))
    assert torch.equal(worn, UPPER & ~BARE_ARM)


def test_regions_can_be_selected():
    found = anatomy(figure())
    twice = found.select(torch.tensor([0, 0]))
    assert [len(region) for region in twice[:4]] == [2] * 4
    assert torch.equal(twice.clothes.upper[1:], found.clothes.upper)
    assert torch.equal(found.select(slice(0, 1)).legs, found.legs)
