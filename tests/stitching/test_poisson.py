"""Seamless cloning: the membrane against a direct solver, and blended images."""

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fice_core.ops.patches import stitch
from fice_core.stitching.poisson import blend_gradients, membrane


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return rows, columns


def direct(values: torch.Tensor, weights: torch.Tensor, inside: torch.Tensor) -> np.ndarray:
    """The same equations, one per pixel inside, solved by sparse factorisation."""
    height, width = inside.shape
    pixels = [tuple(p) for p in inside.nonzero().tolist()]
    number = {pixel: k for k, pixel in enumerate(pixels)}
    matrix = scipy.sparse.lil_matrix((len(pixels), len(pixels)))
    right = np.zeros(len(pixels))
    for (y, x), k in number.items():
        for other in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
            if other in number:
                matrix[k, k] += 1
                matrix[k, number[other]] -= 1
            elif 0 <= other[0] < height and 0 <= other[1] < width:
                matrix[k, k] += float(weights[other])
                right[k] += float(weights[other] * values[other])
    result = np.zeros((height, width))
    result[tuple(np.array(pixels).T)] = scipy.sparse.linalg.spsolve(matrix.tocsc(), right)
    return result


def shape(name: str, height: int, width: int) -> torch.Tensor:
    rows, columns = grid(height, width)
    if name == "disk":
        return torch.hypot(rows - height / 2, columns - width / 2) < min(height, width) / 2.3
    if name == "rectangle":
        return (rows > 3) & (columns > 5) & (rows < height - 9) & (columns < width - 3)
    if name == "at the end":
        return rows > height // 2
    if name == "lattice":
        return ((rows % 7 == 3) | (columns % 9 == 4)) & (rows > 0)
    if name == "scattered":
        return noise(height, width) < 0.6
    return (rows > 0) | (columns != width // 2)  # a single known pixel


SHAPES = ["disk", "rectangle", "at the end", "lattice", "scattered", "all but one"]


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (97, 50)])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("firm", [True, False])
def test_the_membrane_solves_the_equations(size, name, firm):
    inside = shape(name, *size)
    values = noise(*size, seed=1) - 0.5
    weights = torch.ones(size) if firm else noise(*size, seed=2) ** 4
    solved = membrane(values[None], weights, inside)[0]
    assert np.abs(solved.numpy() - direct(values, weights, inside)).max() < 1e-4


def test_a_membrane_over_a_strip_is_linear():
    values = torch.tensor([[0.0, 9, 9, 9, 1]])[None]
    inside = torch.tensor([[False, True, True, True, False]])
    line = membrane(values, torch.ones(1, 5), inside)
    assert line[0, 0].tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 0], abs=1e-4)


def test_half_a_weight_is_a_spring_of_half_the_strength():
    """Springs of 1, 1 and 1/2 in series: the last one takes half of the difference."""
    values = torch.tensor([[0.0, 9, 9, 1]])[None]
    inside = torch.tensor([[False, True, True, False]])
    line = membrane(values, torch.tensor([[1.0, 1, 1, 0.5]]), inside)
    assert line[0, 0].tolist() == pytest.approx([0, 0.25, 0.5, 0], abs=1e-4)


def test_the_membrane_is_level_at_the_border_of_the_image():
    values = torch.tensor([[[0.7, 0, 0, 0]]])
    inside = torch.tensor([[False, True, True, True]])
    level = membrane(values, torch.ones(1, 4), inside)
    assert level[0, 0].tolist() == pytest.approx([0, 0.7, 0.7, 0.7], abs=1e-4)


def test_components_are_independent():
    values = torch.zeros(1, 40, 60)
    values[..., 30:] = 1
    inside = torch.zeros(40, 60, dtype=torch.bool)
    inside[5:30, 3:25] = True
    inside[12:35, 35:55] = True
    solved = membrane(values, torch.ones(40, 60), inside)[0]
    assert solved[inside & (values[0] == 0)].abs().max() < 1e-4
    assert (solved[inside & (values[0] == 1)] - 1).abs().max() < 1e-4


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_a_membrane_never_leaves_the_range_of_its_border(seed, height, width):
    values = noise(2, height, width, seed=seed)
    inside = noise(height, width, seed=seed + 1) < 0.7
    inside[0, 0] = False
    inside[0, 1] = True
    solved = membrane(values, torch.ones(height, width), inside)
    assert (solved[:, inside] <= 1 + 1e-3).all() and (solved[:, inside] >= -1e-3).all()
    assert (solved[:, ~inside] == 0).all()


def disk(size: int, radius: float) -> torch.Tensor:
    return shape_disk(size, radius).float()[None, None]


def shape_disk(size: int, radius: float) -> torch.Tensor:
    rows, columns = grid(size, size)
    return torch.hypot(rows - size / 2, columns - size / 2) < radius


def test_a_harmonic_change_of_light_is_reversed():
    """The patch is the photo plus a harmonic function: the result is the photo."""
    original = noise(1, 3, 90, 90) * 0.3 + 0.3
    rows, columns = grid(90, 90)
    light = 0.08 + 0.001 * rows - 0.0005 * columns
    result = blend_gradients(original + light, original, disk(90, 35))
    assert (result - original).abs().max() < 2e-3


@given(st.floats(-0.15, 0.15), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_constant_added_to_the_patch_makes_no_difference(shift, seed):
    generated, original = noise(2, 1, 3, 40, 40, seed=seed) * 0.02 + 0.5
    mask = disk(40, 14)
    first = blend_gradients(generated, original, mask)
    second = blend_gradients(generated + shift, original, mask)
    assert (first - second).abs().max() < 5e-3


def test_the_patch_keeps_its_own_gradients():
    original = torch.full((1, 3, 64, 64), 0.5)
    generated = original + 0.1
    generated[..., 28:36, 28:36] += 0.2
    mask = disk(64, 24)
    result = blend_gradients(generated, original, mask)
    wanted = torch.where(mask > 0, generated - 0.1, original)
    assert (result - wanted).abs().max() < 2e-3


def test_different_content_at_a_part_of_the_border_does_not_bleed_in():
    """An eighth of the border crosses trousers that the generator made blue."""
    original = torch.full((1, 3, 96, 96), 0.6)
    generated = original - 0.05
    trousers = torch.zeros(1, 1, 96, 96)
    trousers[..., 78:, :] = 1
    blue = torch.tensor([-0.4, -0.3, 0.2]).view(1, 3, 1, 1)
    generated = generated + trousers * blue
    mask = disk(96, 33)
    result = blend_gradients(generated, original, mask)
    garment = shape_disk(96, 24)
    assert (result - original)[..., garment].abs().max() < 0.005
    # Perez et al. as they are would let it in:
    inside = mask[0, 0] > 0
    plain = membrane((original - generated)[0], torch.ones(96, 96), inside)
    assert (plain[:, garment] - 0.05).abs().max() > 0.03


def test_the_patch_follows_a_border_that_differs_everywhere():
    original = torch.full((1, 3, 48, 48), 0.8)
    mask = disk(48, 18)
    result = blend_gradients(torch.full_like(original, 0.3), original, mask)
    assert (result - 0.8).abs().max() < 0.01


def test_a_border_of_nan_is_ignored():
    generated, original = noise(2, 1, 3, 30, 30)
    mask = disk(30, 10)
    generated = torch.where(mask > 0, generated, torch.nan)
    assert torch.equal(
        blend_gradients(generated, original, mask), stitch(generated, original, mask)
    )
