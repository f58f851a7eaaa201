"""Garment masks of rendered people whose garments are known."""

import pytest
import torch
import torch.nn.functional as F
from sitters import dressed_alike

from fice_core.demo.people import Truth
from fice_core.extraction.anatomy import ARMS, HANDS, HEAD, TORSO, BodyRegions, find_body_regions
from fice_core.masks.garment import allowed_mask, edit_mask
from fice_core.networks.segmenter import Regions
from fice_core.ops.morphology import blur, dilate
from fice_core.settings import EditSettings

SETTINGS = EditSettings()


def anatomy_of(figures: Truth) -> BodyRegions:
    regions = Regions(figures.background, figures.body, figures.head)
    return find_body_regions(figures.parts(), regions)


@pytest.fixture(scope="module")
def figures() -> dict[str, Truth]:
    """The same persons in plain tops."""
    return {
        f"{colour} {sleeve}": dressed_alike(sleeve, colour)
        for colour in ("red", "blue")
        for sleeve in ("short", "long")
    }


def mask_between(figures, before: str, after: str) -> torch.Tensor:
    first, second = figures[before], figures[after]
    return edit_mask(
        anatomy_of(first), anatomy_of(second), first.images, first.images, second.images, SETTINGS
    )


def bare_forearms(*figures: Truth) -> torch.Tensor:
    """Pixels well inside the lower arms, away from any garment."""
    lower = figures[0].parts(256)[:, 8:12].sum(dim=1, keepdim=True) > 0.5
    garment = torch.cat([figure.garment for figure in figures], dim=1).amax(dim=1, keepdim=True)
    return lower & ~dilate(garment > 0.01, 0.05)


def share(inside: torch.Tensor, of: torch.Tensor) -> float:
    assert of.any()
    return ((inside & of).sum() / of.sum()).item()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("red short", "blue short"),
        ("red short", "blue long"),
        ("blue long", "red short"),
        ("red long", "blue long"),
    ],
)
def test_the_mask_covers_the_garment_before_and_after(figures, before, after):
    mask = mask_between(figures, before, after)
    garment = torch.maximum(figures[before].garment, figures[after].garment) > 0.5
    coverable = garment & ~anatomy_of(figures[before]).protected
    assert share(mask > 0.9, coverable) > 0.985


def test_bare_forearms_do_not_change_when_only_the_colour_changes(figures):
    mask = mask_between(figures, "red short", "blue short")
    skin = bare_forearms(figures["red short"], figures["blue short"])
    assert skin.sum() > 500
    assert share(mask > 0, skin) == 0


def test_forearms_belong_to_the_mask_when_sleeves_appear_or_disappear(figures):
    skin = bare_forearms(figures["red short"], figures["blue short"])
    for before, after in (("red short", "blue long"), ("blue long", "red short")):
        mask = mask_between(figures, before, after)
        covered = skin & ~anatomy_of(figures[before]).protected
        assert share(mask > 0.9, covered) > 0.95


@pytest.mark.parametrize("after", ["blue short", "blue long", "red long"])
def test_head_and_hands_and_far_background_are_never_in_the_mask(figures, after):
    mask = mask_between(figures, "red short", after)
    figure = figures["red short"]
    assert (mask[figure.head > 0.5] == 0).all()
    hands = F.interpolate(figure.parts()[:, HANDS].sum(1, keepdim=True), 256, mode="bilinear")
    assert (mask[hands > 0.5] == 0).all()
    garment = torch.maximum(figure.garment, figures[after].garment) > 0.01
    torso = anatomy_of(figure).torso | anatomy_of(figures[after]).torso
    # once for what differs nearby, once for the border
    reach = 2 * (SETTINGS.mask_dilation + SETTINGS.mask_feather)
    assert (mask[~dilate(garment | torso, reach)] == 0).all()


def test_the_mask_of_an_edit_without_changes_is_the_torso(figures):
    mask = mask_between(figures, "red short", "red short")
    anatomy = anatomy_of(figures["red short"])
    assert (mask[anatomy.torso] > 0.9).float().mean() > 0.99
    assert share(mask > 0, anatomy.arms & ~dilate(anatomy.torso, 0.05)) == 0


def test_the_allowed_mask_contains_the_edit_mask(figures):
    """Within the body of the photo, the inversion keeps next to no pixel that the edit mask replaces.

    Beyond it lies the wall, over which a wide sleeve may reach.
    """
    photo = figures["red short"]
    source, body = anatomy_of(photo), photo.body > 0.5
    allowed = allowed_mask(source, SETTINGS)
    mask = mask_between(figures, "red short", "red long")  # the same pose
    assert set(allowed.unique().tolist()) == {0.0, 1.0}
    assert share(allowed > 0.5, (mask > 0.5) & body) > 0.99
    assert share(allowed > 0.5, mask > 0.5) > 0.94
    assert (allowed[source.protected] == 0).all()


def test_body_regions_follow_parts_and_regions():
    parts = torch.zeros(1, 14, 8, 8)
    parts[0, TORSO.start, 2:6, 2:4] = 0.9
    parts[0, ARMS.start + 3, 2:6, 4] = 0.8
    parts[0, HANDS.start, 6, 4] = 0.9
    parts[0, HEAD.start, 0:2, 2:4] = 0.9
    body = torch.ones(1, 1, 8, 8)
    body[..., 5, :] = 0.2  # the segmenter sees no body in this row
    head = torch.zeros(1, 1, 8, 8)
    head[..., 2, 2] = 0.8  # hair over the torso
    found = find_body_regions(parts, Regions(1 - body, body, head))
    torso = torch.zeros(8, 8, dtype=torch.bool)
    torso[2:5, 2:4] = True
    torso[2, 2] = False
    assert torch.equal(found.torso[0, 0], torso)
    assert found.arms[0, 0].nonzero().tolist() == [[2, 4], [3, 4], [4, 4]]
    assert found.protected[0, 0].sum() == 4 + 1 + 1


def test_dilate_grows_by_a_disk():
    mask = torch.zeros(1, 1, 10, 10, dtype=torch.bool)
    mask[..., 5, 5] = True
    assert dilate(mask, 0.1).sum() == 5  # one pixel: a cross
    assert dilate(mask, 0.2).sum() == 13
    assert torch.equal(dilate(mask, 0.0), mask)


def test_blur_keeps_constants_and_stays_within_its_radius():
    assert torch.allclose(blur(torch.full((1, 1, 10, 10), 0.3), 0.25), torch.tensor(0.3))
    point = torch.zeros(1, 1, 20, 20)
    point[..., 10, 10] = 1
    spread = blur(point, 0.15)  # three pixels
    assert spread.sum().item() == pytest.approx(1)
    rows, columns = spread[0, 0].nonzero().T
    assert torch.hypot(rows - 10.0, columns - 10.0).max() < 3
    assert spread.max() == spread[..., 10, 10]
    assert torch.equal(blur(point, 0.0), point)


def test_feather_is_soft_and_bounded(figures):
    soft = mask_between(figures, "red short", "blue short")
    between = (soft > 0) & (soft < 1)
    assert 0.005 < between.float().mean() < 0.1
    first, second = figures["red short"], figures["blue short"]
    sharp = edit_mask(
        anatomy_of(first),
        anatomy_of(second),
        first.images,
        first.images,
        second.images,
        EditSettings(mask_feather=0.0),
    )
    assert set(sharp.unique().tolist()) == {0.0, 1.0}
