"""Plain stitch, the paper's stitch, and the five stitch modes by hand."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fice_core.ops.patches import stitch
from fice_core.settings import StitchMode, StitchSettings
from fice_core.stitching.composite import blend_into_photo, stitch_head


def random_images(seed: int = 0, count: int = 2, size: int = 6) -> torch.Tensor:
    return torch.rand(2, count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_stitch_keeps_the_original_bit_for_bit(seed, threshold):
    generated, original = random_images(seed)
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(2, 1, 6, 6, generator=rng)
    mask = torch.where(mask < threshold, 0.0, mask)
    generated = torch.where(mask == 0, torch.nan, generated)
    result = stitch(generated, original, mask)
    outside = (mask == 0).expand_as(original)
    assert torch.equal(result[outside], original[outside])
    assert result.isfinite().all()


def test_stitch_blends_linearly():
    generated, original = torch.ones(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)
    mask = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    assert stitch(generated, original, mask)[0, 1, 0].tolist() == [0, 0.25, 0.5, 1]


def test_a_full_mask_gives_the_generated_image_bit_for_bit():
    generated, original = random_images()
    assert torch.equal(stitch(generated, original, torch.ones(2, 1, 6, 6)), generated)


def test_stitch_head_is_the_papers_formula():
    generated, original = torch.full((1, 3, 1, 3), 0.2), torch.full((1, 3, 1, 3), 0.8)
    head = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    assert stitch_head(generated, original, head)[0, 0, 0].tolist() == pytest.approx(
        [0.2, 0.5, 0.8]
    )


def test_stitch_head_does_not_clamp():
    generated, original = torch.full((1, 3, 1, 1), 1.5), torch.zeros(1, 3, 1, 1)
    assert stitch_head(generated, original, torch.zeros(1, 1, 1, 1)).unique().tolist() == [1.5]


def test_sizes_must_agree():
    generated, original = random_images()
    with pytest.raises(ValueError, match="must have one size"):
        stitch(generated, original, torch.ones(2, 1, 5, 6))
    with pytest.raises(ValueError, match="must have one size"):
        stitch(generated[..., :5], original, torch.ones(2, 1, 6, 6))


# Four by four pixels: the photo is 0.25, the generated image 0.75, and the mask has 0, 1/4, 1/2 and 1
# in its columns.
PHOTO = torch.full((1, 3, 4, 4), 0.25)
GENERATED = torch.full((1, 3, 4, 4), 0.75)
MASK = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(1, 1, 4, 4)


def blended(stitch: StitchMode, match_colours: bool = False, **settings: object) -> torch.Tensor:
    chosen = StitchSettings(stitch=stitch, match_grain=False, **settings)  # type: ignore[arg-type]
    return blend_into_photo(GENERATED, PHOTO, MASK, chosen, match_colours)


@pytest.mark.parametrize("mode", ["mask", "pyramid", "head", "none"])
def test_soft_modes_mix_by_the_mask(mode):
    """0.25 + 0.5 * mask in every row. Four pixels have no coarser level, so the pyramid does the same."""
    expected = torch.tensor([0.25, 0.375, 0.5, 0.75]).expand(1, 3, 4, 4)
    torch.testing.assert_close(blended(mode), expected)


def test_the_gradient_mode_takes_a_constant_difference_for_light():
    torch.testing.assert_close(blended("gradient"), PHOTO)


def test_the_gradient_mode_keeps_the_steps_of_the_generated_image():
    """The photo is 0.25, the generated image 0.35 and 0.75: the step of 0.4 stays, the offset goes."""
    generated = torch.tensor([0.35, 0.35, 0.75, 0.75]).expand(1, 3, 4, 4)
    mask = torch.tensor([0.0, 1.0, 1.0, 1.0]).expand(1, 1, 4, 4)
    settings = StitchSettings(stitch="gradient", match_grain=False)
    found = blend_into_photo(generated, PHOTO, mask, settings, False)
    expected = torch.tensor([0.25, 0.25, 0.65, 0.65]).expand(1, 3, 4, 4)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize("mode", get_args(StitchMode))
def test_every_mode_keeps_the_photo_where_the_mask_is_0(mode):
    found = blended(mode)
    assert torch.equal(found[..., 0], PHOTO[..., 0])
    assert found.shape == PHOTO.shape and found.isfinite().all()


def test_matched_colours_leave_only_the_photo_of_flat_images():
    """A flat image that is brought to the light of a flat photo has the photo's value."""
    photo, generated = torch.full((1, 3, 40, 40), 0.25), torch.full((1, 3, 40, 40), 0.3)
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 10:30, 10:30] = 1
    settings = StitchSettings(match_grain=False)
    matched = blend_into_photo(generated, photo, mask, settings, True)
    plain = blend_into_photo(generated, photo, mask, settings, False)
    assert plain[..., 20, 20].unique().tolist() == pytest.approx([0.3])
    assert (matched - photo).abs().max() < 0.5 * (plain - photo).abs().max()


def test_modes_that_change_everything_match_nothing():
    """The paper's stitch takes the generated image as it is, whatever else the settings ask for."""
    for mode in ("head", "none"):
        settings = StitchSettings(stitch=mode, match_grain=True)
        found = blend_into_photo(GENERATED, PHOTO, MASK, settings, True)
        assert torch.equal(found, stitch(GENERATED, PHOTO, MASK))
