"""Scenes: the truth moves, mirrors and changes with the image; light and camera change the image alone."""

import pytest
import torch
from torch import Tensor

from fice_core.people.classes import (
    ARMS,
    BACKGROUND,
    CLASSES,
    FACE,
    HAIR,
    HANDS,
    LEGS,
    LOWER,
    UPPER,
)
from fice_core.training.camera import lit, photographed
from fice_core.training.demonstration import figures, scenes
from fice_core.training.demonstration.dataset import Batch
from fice_core.training.demonstration.figures import MIRRORED, Figures, cut_out
from fice_core.training.demonstration.scenery import Scenery
from fice_core.training.demonstration.scenes import Mixture, Scene, photographs, stage
from fice_core.training.dice import Dice

SIZE = 64


def people(count: int = 4) -> Batch:
    """Block figures: a head, a trunk with a shirt, arms with hands, trousers at the lower edge."""
    classes, parts = torch.zeros(2, count, SIZE, SIZE, dtype=torch.long).unbind(0)
    for rows, columns, name, right, left in (
        ((4, 8), (26, 38), HAIR, 23, 24),
        ((8, 18), (26, 38), FACE, 23, 24),
        ((18, 52), (22, 42), UPPER, 2, 2),
        ((20, 44), (14, 20), ARMS, 16, 16),
        ((20, 44), (44, 50), ARMS, 15, 15),
        ((44, 50), (14, 20), HANDS, 3, 3),
        ((44, 50), (44, 50), HANDS, 4, 4),
        ((52, 64), (22, 42), LOWER, 9, 10),
    ):
        classes[:, slice(*rows), slice(*columns)] = name
        parts[:, slice(*rows), slice(columns[0], 32)] = right
        parts[:, slice(*rows), slice(max(32, columns[0]), columns[1])] = left
    palette = torch.rand(len(CLASSES), 3, generator=torch.Generator().manual_seed(5))
    head = ((classes == FACE) | (classes == HAIR)).float()[:, None]
    whole = (classes > 0).float()[:, None]
    return Batch(
        index=torch.arange(count),
        images=palette[classes].permute(0, 3, 1, 2).contiguous(),
        numbers=torch.zeros(count, 1),
        others=torch.zeros(count, 1),
        classes=classes,
        parts=parts,
        body=whole - head,
        head=head,
        garment=(classes == UPPER).float()[:, None],
        patterns=torch.zeros(count, 7),
        marks=torch.zeros(count, 7, 1, 1, dtype=torch.uint8),
        waves=torch.zeros(count, 20, 1, 1, dtype=torch.int8),
    )


def dice(count: int = 4, seed: int = 0) -> Dice:
    return Dice(torch.Generator().manual_seed(seed), count)


@pytest.fixture(scope="module")
def scenery() -> Scenery:
    return Scenery(6, 1)


def placement(scale: float = 1.0, mirrored: bool = False, x: float = 0.0, y: float = 0.0) -> Tensor:
    sign = -1 if mirrored else 1
    return torch.tensor([[[sign / scale, 0, -sign * x / scale], [0, 1 / scale, -y / scale]]])


def test_mirroring_exchanges_left_and_right() -> None:
    assert torch.equal(MIRRORED[MIRRORED], torch.arange(25))
    assert MIRRORED[[0, 1, 2]].tolist() == [0, 1, 2]
    # hands, feet, thighs in front, upper and lower arms outside, head
    pairs = [(3, 4), (5, 6), (9, 10), (15, 16), (19, 20), (23, 24)]
    assert all(int(MIRRORED[a]) == b for a, b in pairs)


def test_cut_out_is_the_person_with_room_for_legs() -> None:
    batch = people(1)
    found = cut_out(batch, SIZE)
    assert found.images.shape == (1, 3, 112, SIZE)
    assert torch.equal(found.cover[..., :SIZE, :], batch.body + batch.head)
    assert float(found.cover[..., SIZE:, :].sum()) == 0
    assert torch.equal(found.classes[:, 0, :SIZE].long(), batch.classes)
    half = cut_out(batch, SIZE // 2)
    assert torch.equal(half.parts[:, 0, : SIZE // 2].long(), batch.parts[:, 1::2, 1::2])


def test_placed_where_they_were_nothing_changes() -> None:
    cut = cut_out(people(1), SIZE)
    same = scenes._placed(cut, placement(), SIZE)
    solid = cut.cover[..., :SIZE, :] > 0.5
    torch.testing.assert_close(same.cover, cut.cover[..., :SIZE, :], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        same.images * solid, cut.images[..., :SIZE, :] * solid, atol=1e-4, rtol=0
    )
    assert torch.equal(same.classes, cut.classes[..., :SIZE, :])
    assert torch.equal(same.parts, cut.parts[..., :SIZE, :])


def test_placed_in_a_mirror_image_and_truth_are_mirrored() -> None:
    cut = cut_out(people(1), SIZE)
    plain, turned = (scenes._placed(cut, placement(mirrored=m), SIZE) for m in (False, True))
    torch.testing.assert_close(turned.images, plain.images.flip(-1), atol=1e-4, rtol=0)
    assert torch.equal(turned.classes, plain.classes.flip(-1))
    assert torch.equal(turned.parts, MIRRORED[plain.parts.flip(-1).long()].float())


def test_placed_smaller_and_lower() -> None:
    cut = cut_out(people(1), SIZE)
    small = scenes._placed(cut, placement(scale=0.5, x=0.5, y=-0.5), SIZE)
    # the render becomes the right upper quarter of the scene
    assert float(small.cover[..., : SIZE // 2, : SIZE // 2].sum()) == 0
    area, before = float(small.cover.sum()), float(cut.cover.sum())
    assert area == pytest.approx(before / 4, rel=0.03)


def test_painting_by_hand() -> None:
    grey = Figures(
        torch.full((1, 3, 1, 3), 0.5), torch.tensor([[[[1.0, 0.0, 0.5]]]]),
        torch.zeros(1, 1, 1, 3), torch.zeros(1, 1, 1, 3),
    )  # fmt: skip
    grey.paint(torch.tensor([[[[0.6, 0.6, 0.0]]]]), torch.ones(1, 3, 1, 1), UPPER)
    # over the person the colours mix; over nothing the paint keeps its own; unpainted nothing changes
    torch.testing.assert_close(grey.images[0, 0, 0], torch.tensor([0.8, 1.0, 0.5]))
    torch.testing.assert_close(grey.cover[0, 0, 0], torch.tensor([1.0, 0.6, 0.5]))
    assert grey.classes[0, 0, 0].tolist() == [UPPER, UPPER, BACKGROUND]


def test_recolouring_changes_clothes_alone() -> None:
    cut = cut_out(people(24), SIZE)
    before = cut.images.clone()
    figures.recolour(cut, dice(24))
    cloth = (cut.classes == UPPER) | (cut.classes == LOWER)
    changed = (cut.images != before).any(1, keepdim=True)
    assert not bool((changed & ~cloth).any())
    share = changed.flatten(1).any(1).float().mean()
    assert 0.5 < float(share) < 0.95


def test_legs_continue_the_person_downwards() -> None:
    cut = cut_out(people(32), SIZE)
    above = [x[..., :SIZE, :].clone() for x in vars(cut).values()]
    figures.add_legs(cut, dice(32))
    for now, before in zip(vars(cut).values(), above, strict=True):
        assert torch.equal(now[..., :SIZE, :], before)
    classes, parts = cut.classes[:, 0, SIZE:], cut.parts[:, 0, SIZE:]
    assert set(classes.unique().tolist()) <= {BACKGROUND, UPPER, LOWER, LEGS, 5.0}
    assert bool((classes == LEGS).flatten(1).any(1).all())
    columns = torch.arange(SIZE).expand_as(parts).float()
    # the person's right leg is on the left of the image
    assert float(columns[parts == 9].mean()) < float(columns[parts == 10].mean())
    assert float(columns[parts == 13].mean()) < float(columns[parts == 14].mean())


def test_bags_are_not_the_person_and_coats_are() -> None:
    cut = cut_out(people(8), SIZE)
    bagged, coated = (Figures(*(x.clone() for x in vars(cut).values())) for _ in range(2))
    figures.add_bags(bagged, dice(8))
    taken = (bagged.classes == BACKGROUND) & (cut.classes > 0)
    assert bool(taken.any()) and not bool(bagged.parts[taken].any())
    assert not bool((bagged.classes != cut.classes)[cut.classes == FACE].any())
    figures.add_coats(coated, dice(8))
    new = (coated.classes == UPPER) & (cut.classes == BACKGROUND)
    assert bool(new.any()) and bool((coated.parts[new] > 0).all())
    for kept in (FACE, HAIR, HANDS):
        assert bool((coated.classes == kept)[cut.classes == kept].all())


def test_scenes_have_images_and_truth_of_their_size(scenery: Scenery) -> None:
    first, again = (
        stage(people(6), scenery, torch.Generator().manual_seed(3), Mixture(), SIZE)
        for _ in range(2)
    )
    assert torch.equal(first.images, again.images) and torch.equal(first.classes, again.classes)
    assert first.images.shape == (6, 3, SIZE, SIZE)
    assert first.classes.shape == first.parts.shape == (6, SIZE, SIZE)
    assert int(first.classes.min()) >= 0 and int(first.classes.max()) < len(CLASSES)
    assert int(first.parts.min()) >= 0 and int(first.parts.max()) <= 24
    assert bool(first.classes.any()) and bool(torch.isfinite(first.images).all())


def test_scenes_without_a_person_have_no_truth(scenery: Scenery) -> None:
    empty = Mixture(studio=0, crowd=0, occluded=0, empty=1.0)
    scene = stage(people(4), scenery, torch.Generator().manual_seed(0), empty, SIZE)
    assert not bool(scene.classes.any()) and not bool(scene.parts.any())


def test_beyond_the_photo_its_border_is_repeated_and_nobody_stands() -> None:
    batch = people(16)
    truth = batch.classes[:, None].float(), batch.parts[:, None].float()
    images, classes, parts = scenes._padded(batch.images, *truth, dice(16), 1.0)
    kept = (images == batch.images).all(1).all(1)  # (n, S): columns of the photo
    assert bool((~kept).any()) and bool(kept.any(1).all())
    lost = ~kept[:, None, None, :].expand_as(classes)
    assert not bool(classes[lost].any()) and not bool(parts[lost].any())
    first = int(kept[:, 0].long().argmin())  # one that is padded on the left
    edge = int(kept[first].long().argmax())
    assert edge > 0
    assert torch.equal(images[first, :, :, 0], images[first, :, :, edge])


def test_studio_scenes_are_the_renders(scenery: Scenery) -> None:
    batch = people(3)
    scene = stage(
        batch, scenery, torch.Generator().manual_seed(0), Mixture(studio=1.0, padded=0), SIZE
    )
    assert torch.equal(scene.images, batch.images)
    assert torch.equal(scene.classes, batch.classes) and torch.equal(scene.parts, batch.parts)


def test_second_photographs_are_mirrored() -> None:
    batch = people(2)
    scene = Scene(batch.images, batch.classes, batch.parts, 0.0)
    taken = photographs(scene, torch.Generator().manual_seed(0))
    assert len(taken.images) == 4
    assert (taken.images[:2] - batch.images).abs().max() < 0.01
    assert (taken.images[2:] - batch.images.flip(-1)).abs().max() < 0.01
    assert torch.equal(taken.classes[2:], batch.classes.flip(-1))
    assert torch.equal(taken.parts[2:], MIRRORED[batch.parts.flip(-1)])


def test_light_changes_brightness_smoothly() -> None:
    grey = torch.full((64, 3, 32, 32), 0.4)
    found = lit(grey, dice(64))
    assert torch.equal(found[:, 0], found[:, 1])
    means = found.mean((1, 2, 3))
    assert float(means.std()) > 0.05 and 0.3 < float(means.mean()) < 0.6


def test_a_camera_gives_eight_bits_and_varies() -> None:
    images = people(8).images
    found = photographed(images, torch.Generator().manual_seed(0))
    assert found.shape == images.shape and float(found.min()) >= 0 and float(found.max()) <= 1
    torch.testing.assert_close(found * 255, (found * 255).round(), atol=1e-3, rtol=0)
    assert len({float(x.mean()) for x in found}) == 8
    assert not torch.equal(found, images)


def test_scenery_is_reproducible_and_varied(scenery: Scenery) -> None:
    again = Scenery(6, 1)
    first, second = (s.crops(12, 48, torch.Generator().manual_seed(2)) for s in (scenery, again))
    assert torch.equal(first, second) and first.shape == (12, 3, 48, 48)
    assert float(first.min()) >= 0 and float(first.max()) <= 1
    assert float(first.mean((1, 2, 3)).std()) > 0.02
    assert not torch.equal(scenery[0], scenery[1])
