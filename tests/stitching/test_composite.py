"""Plain stitch and the paper's stitch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fice_core.ops.patches import stitch
from fice_core.stitching.composite import stitch_head


def pictures(seed: int = 0, count: int = 2, size: int = 6) -> torch.Tensor:
    return torch.rand(2, count, 3, size, size, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_stitch_keeps_the_original_bit_for_bit(seed, threshold):
    generated, original = pictures(seed)
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
    generated, original = pictures()
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
    generated, original = pictures()
    with pytest.raises(ValueError, match="must have one size"):
        stitch(generated, original, torch.ones(2, 1, 5, 6))
    with pytest.raises(ValueError, match="must have one size"):
        stitch(generated[..., :5], original, torch.ones(2, 1, 6, 6))
