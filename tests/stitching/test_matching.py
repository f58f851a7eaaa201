"""Matching of colour and grain, with casts and noise of known size."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sitters import sitters

from fice_core.demo.people import Truth
from fice_core.stitching.color import fit_colour, match_colour, ring_around
from fice_core.stitching.grain import _band_shares, _bands, match_grain


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def square(size: int, margin: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, size, size)
    mask[..., margin : size - margin, margin : size - margin] = 1
    return mask


@pytest.fixture(scope="module")
def figures() -> Truth:
    return sitters(3, 256)


# -- the ring -------------------------------------------------------------------------------------


def test_the_ring_is_the_kept_area_near_the_edit():
    mask = torch.zeros(1, 1, 50, 50)
    mask[..., 20:30, 20:30] = 0.1
    ring = ring_around(mask, width=0.1)  # 5 pixels
    expected = torch.zeros(1, 1, 50, 50, dtype=torch.bool)
    expected[..., 15:35, 15:35] = True
    expected[..., 20:30, 20:30] = False
    assert torch.equal(ring, expected)
    assert not ring_around(torch.zeros(1, 1, 50, 50)).any()


def test_the_ring_of_a_large_image_is_dilated_in_blocks():
    mask = square(1500, 600)
    ring = ring_around(mask, width=0.1)[0, 0]
    assert not (ring & (mask[0, 0] > 0)).any()
    across = ring[750].nonzero().flatten()
    assert 450 - 6 <= across.min() <= 450 and 1050 - 1 <= across.max() <= 1050 + 6


# -- colour ---------------------------------------------------------------------------------------

GAIN, OFFSET = (0.95, 1.1, 0.9), (0.02, -0.05, 0.08)


def cast(images: torch.Tensor) -> torch.Tensor:
    """The inverse of GAIN and OFFSET."""
    gain, offset = (images.new_tensor(v).view(1, 3, 1, 1) for v in (GAIN, OFFSET))
    return (images - offset) / gain


def test_a_known_cast_is_found_and_removed(figures):
    kept = ring_around(figures.garment)
    gain, offset = fit_colour(cast(figures.images), figures.images, kept)
    assert (gain - torch.tensor(GAIN)).abs().max() < 0.005
    assert (offset - torch.tensor(OFFSET)).abs().max() < 0.005
    matched = match_colour(cast(figures.images), figures.images, kept)
    assert (matched - figures.images).abs().max() < 0.01


def test_different_content_does_not_affect_the_fit(figures):
    """A third of the ring shows different content."""
    kept = ring_around(figures.garment)
    generated = cast(figures.images)
    generated[..., 180:, :] = torch.tensor([0.1, 0.3, 0.8]).view(1, 3, 1, 1)
    assert 0.1 < kept[..., 180:, :].sum() / kept.sum() < 0.45
    gain, offset = fit_colour(generated, figures.images, kept)
    fitted = gain * 0.5 + offset
    assert (fitted - (torch.tensor(GAIN) * 0.5 + torch.tensor(OFFSET))).abs().max() < 0.02


def test_a_gain_is_found_though_most_of_the_ring_is_one_wall():
    """The fit to the wall must not make outliers of the few darker pixels that determine the gain."""
    original = torch.full((1, 3, 100, 100), 0.9)
    original[..., 85:, :] = 0.2
    gain, offset = fit_colour(0.95 * original + 0.02, original, torch.ones(1, 1, 100, 100))
    assert (gain - 1 / 0.95).abs().max() < 0.002 and (offset + 0.02 / 0.95).abs().max() < 0.002


def test_a_single_colour_determines_an_offset_but_no_gain():
    original = torch.full((1, 3, 64, 64), 0.6)
    gain, offset = fit_colour(original - 0.05, original, torch.ones(1, 1, 64, 64))
    assert gain.tolist() == [pytest.approx([1.0] * 3, abs=1e-4)]
    assert offset.tolist() == [pytest.approx([0.05] * 3, abs=1e-4)]


def test_without_pixels_to_fit_nothing_changes():
    generated, original = torch.rand(2, 2, 3, 64, 64)
    kept = torch.zeros(2, 1, 64, 64)
    kept[0, 0, :3, :3] = 1  # 9 pixels
    kept[1] = 1
    generated[1] = torch.nan
    gain, offset = fit_colour(generated, original, kept)
    assert torch.equal(gain, torch.ones(2, 3)) and torch.equal(offset, torch.zeros(2, 3))
    matched = match_colour(generated, original, kept)
    assert torch.equal(matched[0], generated[0]) and matched[1].isnan().all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_correction_is_bounded(seed):
    generated, original = noise(2, 1, 3, 40, 40, seed=seed).sigmoid() ** 3
    gain, offset = fit_colour(generated, original, torch.ones(1, 1, 40, 40))
    assert ((gain >= 0.7 - 1e-6) & (gain <= 1.4 + 1e-6)).all()
    assert (offset.abs() <= 0.2 + 1e-6).all()


def test_equal_images_need_no_correction(figures):
    gain, offset = fit_colour(figures.images, figures.images, ring_around(figures.garment))
    assert (gain - 1).abs().max() < 1e-6 and offset.abs().max() < 1e-6


# -- grain ----------------------------------------------------------------------------------------


def deviations(images: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the grey value in the two bands of (1, 3, H, W)."""
    bands, _ = _bands(images.mean(dim=1, keepdim=True))
    return torch.stack([band.std() for band in bands])


def test_the_two_bands_and_the_rest_sum_to_the_image():
    picture = noise(1, 3, 20, 30).double()
    bands, rest = _bands(picture)
    torch.testing.assert_close(bands[0] + bands[1] + rest, picture, rtol=0, atol=1e-12)


def test_shares_of_the_bands_are_those_of_filtered_noise():
    white = noise(1, 1, 1000, 1000)
    for j, once in enumerate(_bands(white)[0]):
        for i, twice in enumerate(_bands(once)[0]):
            assert twice.var().item() == pytest.approx(_band_shares()[i, j].item(), rel=0.03)


@pytest.mark.parametrize("soft", [False, True])
def test_missing_grain_is_added_with_the_photos_strength(soft):
    """White grain, and grain made coarser by resizing the photo."""
    flat = torch.full((1, 3, 400, 400), 0.5)
    grain = 0.03 * noise(1, 1, 400, 400)
    if soft:
        grain = 2 * F.avg_pool2d(F.pad(grain, (1, 0, 1, 0), mode="reflect"), 2, 1)
    photo = flat + grain
    mask = square(400, 100)
    result = match_grain(flat, photo, mask, seed=1)
    inside = (..., slice(110, 290), slice(110, 290))
    wanted, found = deviations(photo[inside]), deviations(result[inside])
    assert (found / wanted - 1).abs().max() < 0.1
    assert torch.equal(
        result[mask.expand(-1, 3, -1, -1) == 0], flat[mask.expand(-1, 3, -1, -1) == 0]
    )
    channels = result[inside] - 0.5
    assert (channels[:, 0] - channels[:, 1]).abs().max() < 1e-5  # grey grain stays grey


def test_existing_grain_is_not_added_again():
    flat = torch.full((1, 3, 300, 300), 0.5)
    photo = flat + 0.03 * noise(1, 3, 300, 300)
    patch = flat + 0.03 * noise(1, 3, 300, 300, seed=1)
    inside = (..., slice(70, 230), slice(70, 230))
    result = match_grain(patch, photo, square(300, 60), seed=2)
    assert (deviations(result[inside]) / deviations(patch[inside]) - 1).abs().max() < 0.05
    rough = flat + 0.06 * noise(1, 3, 300, 300, seed=1)
    assert torch.equal(match_grain(rough, photo, square(300, 60), seed=2), rough)


def test_an_image_without_grain_gets_none(figures):
    """Drawn figures, rounded to 8 bits: shading and rounding are not grain."""
    photo = (figures.images * 255).round() / 255
    patch = F.interpolate(F.avg_pool2d(photo, 2), scale_factor=2, mode="bilinear")
    assert torch.equal(match_grain(patch, photo, figures.garment, seed=0), patch)


def test_an_overexposed_wall_does_not_hide_the_grain():
    photo = torch.full((1, 3, 300, 300), 0.5) + 0.03 * noise(1, 3, 300, 300)
    photo[..., :200] = 1.0
    flat = torch.full_like(photo, 0.5)
    mask = torch.zeros(1, 1, 300, 300)
    mask[..., 100:200, 100:250] = 1
    assert match_grain(flat, photo, mask, seed=0)[..., 110:190, 210:240].std() > 0.02


def test_grain_depends_only_on_the_seed():
    photo = torch.full((2, 3, 200, 200), 0.5) + 0.03 * noise(1, 3, 200, 200)
    flat = torch.full_like(photo, 0.5)
    mask = square(200, 50).expand(2, -1, -1, -1)
    first = match_grain(flat, photo, mask, seed=5)
    torch.randn(3)  # the global generator has no part in it
    assert torch.equal(first, match_grain(flat, photo, mask, seed=5))
    assert torch.equal(first[:1], match_grain(flat[1:], photo[1:], mask[1:], seed=5))
    assert not torch.equal(first, match_grain(flat, photo, mask, seed=6))


def test_with_nothing_kept_there_is_no_grain_to_match():
    photo, flat = torch.rand(1, 3, 64, 64), torch.full((1, 3, 64, 64), 0.5)
    assert torch.equal(match_grain(flat, photo, torch.ones(1, 1, 64, 64), seed=0), flat)


@pytest.mark.parametrize("function", [match_colour, lambda g, o, m: match_grain(g, o, m, seed=0)])
def test_sizes_must_agree(function):
    with pytest.raises(ValueError, match="must have one size"):
        function(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6), torch.ones(1, 1, 5, 6))
