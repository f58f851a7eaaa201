"""Resizing by matrices equals torch's interpolation, forward and backward."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fice_core.inversion.clip_views import _cut, cut_by_matrices, draw_views
from fice_core.ops.resize import by_matrices, resize

MODES = {"linear": "bilinear", "area": "area"}
SIDES = st.integers(1, 12)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(sorted(MODES)), st.booleans())
def test_matrices_resize_as_torch_does(h, w, p, q, mode, channels_last):
    rng = torch.Generator().manual_seed(h + 13 * w)
    x = torch.randn(2, 3, h, w, dtype=torch.float64, generator=rng)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    pull = torch.randn(2, 3, p, q, dtype=torch.float64, generator=rng)
    found = []
    for resized in (
        lambda y: by_matrices(y, (p, q), mode),
        lambda y: F.interpolate(y, size=(p, q), mode=MODES[mode]),
    ):
        y = x.detach().requires_grad_()
        images = resized(y)
        found.append((images, torch.autograd.grad(images, y, pull)[0]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_channels_last_is_kept():
    x = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert by_matrices(x, (8, 10), "linear").is_contiguous(memory_format=torch.channels_last)


def test_autocast_does_not_round_resized_images():
    x = torch.rand(1, 3, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = by_matrices(x, (9, 9), "linear")
    torch.testing.assert_close(rounded, by_matrices(x, (9, 9), "linear"), rtol=0, atol=0)


def test_an_axis_is_averaged_to_shrink_and_interpolated_to_grow():
    x = torch.tensor([[[[0.0, 2.0, 4.0, 6.0]]]])
    assert resize(x, (1, 2)).tolist() == [[[[1.0, 5.0]]]]
    assert resize(x[..., :2], (1, 4)).tolist() == [[[[0.0, 0.5, 1.5, 2.0]]]]
    assert resize(x, (2, 2)).tolist() == [[[[1.0, 5.0], [1.0, 5.0]]]]


@pytest.mark.parametrize("size", [(9, 7), (16, 16)])
def test_views_by_matrices_are_those_of_the_grid(size):
    rng = torch.Generator().manual_seed(1)
    pictures = torch.rand(3, 2, *size, dtype=torch.float64, generator=rng)
    boxes = draw_views(3, 5, 2).double()  # some of them reach beyond the image
    torch.testing.assert_close(
        cut_by_matrices(pictures, boxes), _cut(pictures, boxes), rtol=0, atol=1e-12
    )
