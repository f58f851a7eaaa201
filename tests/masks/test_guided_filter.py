"""The guided filter against a direct computation, and refined masks of people."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sitters import sitters

from fice_core.demo.people import Truth
from fice_core.evaluation.metrics import mask_iou
from fice_core.masks import guided_filter
from fice_core.masks.guided_filter import _fit, _predict, _solve, _window_mean, refine_mask
from fice_core.ops.resize import resize


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def people() -> Truth:
    return sitters(3, 256)


# The filter


def filtered(images: torch.Tensor, mask: torch.Tensor, pixels: int, epsilon: float) -> torch.Tensor:
    """One guided filter at the resolution of the images."""
    return _predict(_fit(images, mask, pixels, epsilon)[0], images)


def test_window_mean_by_hand():
    row = torch.tensor([1.0, 2, 4, 8, 16]).expand(1, 1, 5, 5)
    expected = torch.tensor([1.5, 7 / 3, 14 / 3, 28 / 3, 12])
    torch.testing.assert_close(_window_mean(row, 1), expected.expand(1, 1, 5, 5))
    torch.testing.assert_close(_window_mean(row, 9), torch.full_like(row, 31 / 5))


@settings(deadline=None, max_examples=20)
@given(
    height=st.integers(1, 9), width=st.integers(1, 9), pixels=st.integers(0, 5), seed=st.integers()
)
def test_window_mean_is_the_mean_of_the_window(height, width, pixels, seed):
    values = random(2, 3, height, width, seed=seed % 1000)
    found = _window_mean(values, pixels)
    for y in range(height):
        for x in range(width):
            top, left = max(0, y - pixels), max(0, x - pixels)
            window = values[:, :, top : y + pixels + 1, left : x + pixels + 1]
            torch.testing.assert_close(found[:, :, y, x], window.mean((2, 3)))


def test_solve_inverts_symmetric_matrices():
    factor = random(5, 3, 3)
    matrix = factor @ factor.mT
    right = random(5, 3, seed=1)
    expected = torch.linalg.solve(matrix + 0.1 * torch.eye(3), right)
    six = torch.stack([matrix[:, i, j] for i, j in guided_filter._PAIRS], dim=1)
    found = _solve(six[:, :, None, None], right[:, :, None, None], 0.1)
    torch.testing.assert_close(found[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)


def test_fit_is_ridge_regression_of_the_window():
    """If the image is one window, every pixel has the same fit, that of numpy."""
    guide, mask, epsilon = random(1, 3, 5, 6), random(1, 1, 5, 6, seed=1), 1e-3
    model, explained = _fit(guide, mask, 6, epsilon)
    x = guide[0].flatten(1).double().numpy() - 0.5
    p = mask.flatten().double().numpy()
    centred = x - x.mean(1, keepdims=True)
    covariance = centred @ centred.T / x.shape[1] + epsilon * np.eye(3)
    slopes = np.linalg.solve(covariance, centred @ (p - p.mean()) / x.shape[1])
    constant = p.mean() - slopes @ x.mean(1)
    expected = torch.tensor([*slopes, constant], dtype=torch.float32)
    torch.testing.assert_close(model, expected[None, :, None, None].expand(1, 4, 5, 6))
    assert explained.max() < 0.35  # nothing but chance


def test_a_mask_that_is_linear_in_the_colours_is_kept():
    images = random(2, 3, 40, 50)
    mask = (images * torch.tensor([0.2, 0.5, 0.3])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(filtered(images, mask, 1, 1e-8), mask, atol=1e-3, rtol=0)


def test_a_flat_image_blurs_the_mask():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 20:] = 1
    found = filtered(torch.full((1, 3, 40, 40), 0.4), mask, 4, 1e-4)
    assert found[..., :12].max() < 1e-5 and found[..., 28:].min() > 1 - 1e-5
    torch.testing.assert_close(found[..., 19] + found[..., 20], torch.ones(1, 1, 40))


def test_large_photos_are_processed_in_strips(monkeypatch):
    images, mask = random(2, 3, 90, 61), random(2, 1, 30, 20, seed=1)
    monkeypatch.setattr(guided_filter, "WORKING_SIDE", 40)
    whole = refine_mask(images, mask)
    monkeypatch.setattr(guided_filter, "_STRIP", 61 * 2 * 7)
    strips = refine_mask(images, mask)
    torch.testing.assert_close(strips, whole, rtol=1e-5, atol=1e-5)


def test_rows_are_those_of_interpolation():
    model, strip = random(1, 5, 7, 6), torch.empty(1, 3, 23, 31)
    expected = F.interpolate(model, (23, 31), mode="bilinear")
    found = [guided_filter._rows(model, top, strip[:, :, top : top + 9], 23) for top in (0, 9, 18)]
    torch.testing.assert_close(torch.cat(found, dim=2), expected)


def test_gradients_of_the_filter():
    guide, mask = random(1, 3, 5, 5).double(), random(1, 1, 5, 5, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: _fit(guide, m, 1, 1e-2)[0], mask)


# Refinement


@pytest.mark.parametrize("name", ["body", "head", "garment"])
@pytest.mark.parametrize(("side", "level"), [(112, 0.98), (64, 0.975), (24, 0.93)])
def test_masks_of_few_pixels_are_restored(people, name, side, level):
    truth = getattr(people, name)
    small = resize(truth, (side, side))
    plain = mask_iou(F.interpolate(small, (256, 256), mode="bilinear"), truth)
    found = mask_iou(refine_mask(people.images, small), truth)
    assert found.min() > level - 0.03 * (name == "head")  # strands of hair have no border
    if side < (
        64 if name == "head" else 112
    ):  # nor is there an edge between a pale face and a wall
        assert (1 - found).mean() < 0.75 * (1 - plain).mean()


@pytest.mark.parametrize("photo", ["flat", "noise", "somebody else"])
def test_an_unrelated_photo_changes_the_mask_little(people, photo):
    images = {
        "flat": torch.full_like(people.images, 0.5),
        "noise": random(*people.images.shape),
        "somebody else": people.images.roll(1, 0),
    }[photo]
    mask = resize(people.body, (112, 112))
    plain = mask_iou(F.interpolate(mask, (256, 256), mode="bilinear"), people.body)
    found = mask_iou(refine_mask(images, mask), people.body)
    loss = {"flat": 0.005, "noise": 0.005, "somebody else": 0.04}[photo]
    assert (plain - found).mean() < loss


def test_far_from_the_border_the_mask_is_exactly_0_or_1(people):
    small = resize(people.body, (112, 112)) * 0.9 + 0.05  # never sure
    found = refine_mask(people.images, small, radius=0.02)
    hard = (F.interpolate(small, (256, 256), mode="bilinear") > 0.5).float()
    inside = -F.max_pool2d(-hard, 31, 1, 15) == 1
    outside = F.max_pool2d(hard, 31, 1, 15) == 0
    assert inside.sum() > 1000 and outside.sum() > 1000
    assert (found[inside] == 1).all() and (found[outside] == 0).all()


@settings(deadline=None, max_examples=25)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    small=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    radius=st.floats(0.001, 0.5),
    seed=st.integers(0, 1000),
)
def test_any_sizes_give_masks(size, small, radius, seed):
    images, mask = random(2, 3, *size, seed=seed), random(2, 1, *small, seed=seed + 1)
    found = refine_mask(images, mask, radius)
    assert found.shape == (2, 1, *size) and found.dtype == torch.float32
    assert ((found >= 0) & (found <= 1)).all()
    alone = refine_mask(images[1:], mask[1:], radius)
    torch.testing.assert_close(found[1:], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_masks_do_not_change(value):
    mask = torch.full((1, 1, 8, 8), value)
    assert (refine_mask(random(1, 3, 50, 40), mask) == value).all()


def test_wrong_arguments_are_refused():
    images, mask = random(2, 3, 9, 9), random(2, 1, 4, 4)
    with pytest.raises(ValueError, match="images must be"):
        refine_mask(images[0], mask)
    with pytest.raises(ValueError, match=r"mask must be \(2, 1, h, w\)"):
        refine_mask(images, mask[:1])
    with pytest.raises(ValueError, match="must be positive"):
        refine_mask(images, mask, radius=0.0)
    with pytest.raises(ValueError, match="must be positive"):
        refine_mask(images, mask, epsilon=-1.0)
