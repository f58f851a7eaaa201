"""Stitch modes: exact outside of the mask, and the properties of each inside."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fice_core.ops.patches import edit_boxes, stitch
from fice_core.ops.pyramid import expand, laplacian_pyramid, reduce
from fice_core.stitching.laplacian import blend_pyramid
from fice_core.stitching.poisson import blend_gradients

MODES = [stitch, blend_pyramid, blend_gradients]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def disk(size: int, radius: float, feather: float = 0.0) -> torch.Tensor:
    """(1, 1, size, size): 1 in a disk, falling to 0 over `feather` pixels outside it."""
    axis = torch.arange(size) - (size - 1) / 2
    distance = torch.hypot(axis[:, None], axis)
    if feather == 0:
        return (distance < radius).float()[None, None]
    return ((radius + feather - distance) / feather).clamp(0, 1)[None, None]


def ragged(seed: int, height: int, width: int) -> torch.Tensor:
    """Two soft masks of arbitrary shape, which often touch the border of the image."""
    rough = noise(2, 1, 6, 5, seed=seed)
    soft = torch.nn.functional.interpolate(rough, (height, width), mode="bilinear")
    return ((soft - 0.45) * 4).clamp(0, 1)


@pytest.mark.parametrize("blend", MODES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 40), width=st.integers(1, 40))
def test_outside_the_mask_it_is_the_original_bit_for_bit(blend, seed, height, width):
    generated, original = noise(2, 2, 3, height, width, seed=seed)
    mask = ragged(seed, height, width)
    generated = torch.where(mask == 0, torch.nan, generated)
    result = blend(generated, original, mask)
    outside = (mask == 0).expand_as(original)
    assert torch.equal(result[outside], original[outside])
    assert ((result >= 0) & (result <= 1)).all()


@pytest.mark.parametrize("blend", MODES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_nothing_changes_where_the_images_are_the_same(blend, seed):
    original = noise(2, 3, 37, 23, seed=seed)
    assert torch.equal(blend(original, original, ragged(seed, 37, 23)), original)


@pytest.mark.parametrize("blend", MODES)
def test_images_of_a_batch_do_not_touch_each_other(blend):
    generated, original = noise(2, 2, 3, 40, 31)
    mask = ragged(1, 40, 31)
    together = blend(generated, original, mask)
    for k in range(2):
        alone = blend(generated[k : k + 1], original[k : k + 1], mask[k : k + 1])
        assert torch.equal(together[k : k + 1], alone)


@pytest.mark.parametrize("blend", MODES)
def test_the_inputs_do_not_change(blend):
    generated, original = noise(2, 1, 3, 20, 20)
    copies = generated.clone(), original.clone()
    blend(generated, original, disk(20, 6, 3))
    assert torch.equal(generated, copies[0]) and torch.equal(original, copies[1])


@pytest.mark.parametrize("blend", MODES)
@pytest.mark.parametrize("shape", [(1, 1, 5, 6), (2, 1, 6, 6)])
def test_sizes_must_agree(blend, shape):
    with pytest.raises(ValueError, match="must have one size"):
        blend(noise(1, 3, 6, 6), noise(1, 3, 6, 6), torch.ones(2, 1, 5, 6))


def test_an_empty_mask_gives_the_original_and_a_full_one_the_generated_image():
    generated, original = noise(2, 1, 3, 48, 48)
    for blend in MODES:
        assert torch.equal(blend(generated, original, torch.zeros(1, 1, 48, 48)), original)
        full = blend(generated, original, torch.ones(1, 1, 48, 48))
        torch.testing.assert_close(full, generated)


# -- the pyramid ----------------------------------------------------------------------------------


def test_reduce_and_expand_by_hand():
    impulse = torch.zeros(1, 1, 1, 9)
    impulse[..., 4] = 16
    assert reduce(impulse.expand(-1, -1, 9, -1))[0, 0, 2].tolist() == [0, 1, 6, 1, 0]
    coarse = torch.zeros(1, 1, 1, 5)
    coarse[..., 2] = 8
    assert expand(coarse, torch.Size((1, 9)))[0, 0, 0].tolist() == [0, 0, 1, 4, 6, 4, 1, 0, 0]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_levels_of_a_pyramid_sum_to_the_image(height, width, levels, seed):
    picture = noise(1, 3, height, width, seed=seed).double()
    bands = laplacian_pyramid(picture, levels)
    assert len(bands) == levels + 1
    whole = bands.pop()
    while bands:
        whole = bands[-1] + expand(whole, bands[-1].shape[-2:])
        bands.pop()
    torch.testing.assert_close(whole, picture, rtol=0, atol=1e-12)


def test_a_pyramid_without_levels_is_a_plain_blend():
    generated, original = noise(2, 1, 3, 50, 40)
    mask = ragged(0, 50, 40)[:1]
    torch.testing.assert_close(
        blend_pyramid(generated, original, mask, levels=0),
        stitch(generated, original, mask),
    )


def test_negative_levels_are_an_error():
    with pytest.raises(ValueError, match="levels is -1"):
        blend_pyramid(noise(1, 3, 6, 6), noise(1, 3, 6, 6), torch.ones(1, 1, 6, 6), levels=-1)


def test_a_cast_fades_over_the_pyramids_border_without_a_step():
    original = torch.full((1, 3, 256, 256), 0.4)
    result = blend_pyramid(original + 0.2, original, disk(256, 100))[0, 0, 128]
    assert (result.diff().abs() < 0.02).all()  # plain pasting steps by 0.2
    assert result[128] == pytest.approx(0.6, abs=1e-3)


def test_the_old_garment_does_not_shine_through_the_pyramid():
    """In the interior, the photo's content has no influence, even with wide transitions."""
    generated = noise(1, 3, 128, 128) * 0.2 + 0.4
    original = generated.clone()
    mask = disk(128, 40, 12)
    original = torch.where(mask == 1, torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1), original)
    torch.testing.assert_close(blend_pyramid(generated, original, mask), generated)


def test_content_that_differs_at_the_border_does_not_bleed_into_the_pyramid():
    """The photo is 0.05 lighter, except for blue trousers along an eighth of the border."""
    original = torch.full((1, 3, 128, 128), 0.6)
    generated = original - 0.05
    generated[..., 100:, :] += torch.tensor([-0.4, -0.3, 0.2]).view(3, 1, 1)
    result = blend_pyramid(generated, original, disk(128, 36, 10))
    garment = disk(128, 34)[0, 0] > 0
    correction = (result - generated)[..., garment]
    assert (correction > -1e-3).all() and (correction < 0.051).all()
    assert correction[:, :, :30].mean() > 0.005  # the light of the rest does take part


def test_gradients_of_the_pyramid():
    """It is linear in both images within [0, 1], and its gradients agree."""
    generated, original = noise(2, 1, 3, 8, 9).double() * 0.2 + 0.4
    mask = ragged(3, 8, 9)[:1].double()
    assert 0 < (mask > 0).float().mean() < 1
    inputs = (generated.requires_grad_(), original.requires_grad_())
    assert torch.autograd.gradcheck(lambda g, o: blend_pyramid(g, o, mask, levels=2), inputs)


def test_edit_boxes():
    mask = torch.zeros(3, 1, 10, 8)
    mask[0, 0, 2:5, 6] = 0.1
    mask[2, 0, 9, 0] = 1
    boxes = list(edit_boxes(mask, margin=2))
    assert boxes == [(0, (slice(0, 7), slice(4, 8))), (2, (slice(7, 10), slice(0, 3)))]
