"""Measures against values counted by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fice_core.evaluation import metrics


def parts_of(labels: list[list[int]]) -> torch.Tensor:
    """A certain part map from labels, 0 for none."""
    table = torch.tensor(labels)
    return torch.stack([(table == k).float() for k in range(1, 15)])[None]


def test_part_labels():
    labels = [[0, 1], [14, 3]]
    assert metrics.part_labels(parts_of(labels)).tolist() == [labels]
    unsure = torch.zeros(1, 14, 1, 2)
    unsure[0, 2:4, 0, 0] = torch.tensor([0.3, 0.4])  # together a person, most likely part 4
    unsure[0, 2, 0, 1] = 0.4
    assert metrics.part_labels(unsure).tolist() == [[[4, 0]]]


def test_part_iou_averages_over_the_parts_that_occur():
    first = parts_of([[1, 1, 2, 0]])
    second = parts_of([[1, 0, 2, 3]])
    # part 1: 1 of 2, part 2: 1 of 1, part 3: 0 of 1
    assert metrics.part_iou(first, second).item() == pytest.approx(0.5)
    assert metrics.part_iou(first, first).item() == 1
    nobody = torch.zeros(1, 14, 1, 4)
    assert metrics.part_iou(nobody, nobody).item() == 1
    assert metrics.part_iou(first, nobody).item() == 0


def test_mask_iou():
    first = torch.tensor([1.0, 1, 0, 0]).view(1, 1, 1, 4)
    second = torch.tensor([0.9, 0.2, 0.6, 0]).view(1, 1, 1, 4)
    assert metrics.mask_iou(first, second).item() == pytest.approx(1 / 3)
    assert metrics.mask_iou(first * 0, first * 0).item() == 1


@given(st.integers(0, 1000))
def test_overlaps_are_symmetric_and_in_range(seed):
    rng = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 2, 14, 5, 5, generator=rng) * 0.2
    iou = metrics.part_iou(first, second)
    assert torch.equal(iou, metrics.part_iou(second, first))
    assert ((iou >= 0) & (iou <= 1)).all()


def test_unchanged_outside_sees_a_single_bit():
    original = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0, 0] = 1e-6
    images = original.clone()
    images[..., 0, 0] = 9
    assert metrics.unchanged_outside(images, original, mask).tolist() == [True]
    images[0, 1, 2, 2] = torch.nextafter(images[0, 1, 2, 2], torch.tensor(2.0))
    assert metrics.unchanged_outside(images, original, mask).tolist() == [False]


def test_mean_difference_is_weighted_by_the_mask():
    images = torch.zeros(1, 3, 1, 3)
    target = images.clone()
    target[0, 0, 0, 0] = 0.6  # a mean of 0.2 over the channels
    target[0, :, 0, 1] = 1.0
    mask = torch.tensor([1.0, 0.5, 0.0]).view(1, 1, 1, 3)
    assert metrics.mean_difference(images, target, mask).item() == pytest.approx(0.7 / 1.5)


def test_a_seam_is_the_gradient_that_neither_source_has():
    """Grey of L* 50 beside L* 60: one step of 10, in one of the four columns of the border."""
    grey = {50: 0.46633, 60: 0.56686}
    original = torch.full((1, 3, 8, 10), grey[50])
    mask = torch.zeros(1, 1, 8, 10)
    mask[..., 5:] = 1
    images = torch.where(mask > 0, torch.tensor(grey[60]), original)
    flat = torch.full_like(original, grey[60])
    seam = metrics.seam_visibility(images, (original, flat), mask)
    assert seam.item() == pytest.approx(2.5, abs=0.01)
    # an edge of the photo, or of the generated image, is no seam, nor is a weaker one than theirs
    assert metrics.seam_visibility(images, (images, flat), mask).item() == 0
    assert metrics.seam_visibility(images, (original, images), mask).item() == 0
    assert metrics.seam_visibility(original, (images, flat), mask).item() == 0


def test_the_border_of_a_soft_mask_is_all_that_is_soft():
    original = torch.full((1, 3, 8, 20), 0.46633)
    mask = torch.zeros(1, 1, 8, 20)
    mask[..., 5:15] = 0.5
    mask[..., 15:] = 1
    images = original.clone()
    images[..., 10:] = 0.56686
    # soft from 5 to 14 and two columns more on both sides: 14 columns
    seam = metrics.seam_visibility(images, (original,), mask)
    assert seam.item() == pytest.approx(10 / 14, abs=0.01)
    assert metrics.seam_visibility(images, (original,), mask * 0).item() == 0
