"""A restored edit: the photo outside the mask, bit for bit; the garment inside; refusals."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moved_edits import box_mask, recoloured, seen_by, textured

from fice_core.bridges import RestoreSettings, restore
from fice_core.bridges.found_mask import body_regions, find_mask
from fice_core.bridges.restore import softened
from fice_core.errors import FiceError
from fice_core.extraction.anatomy import BodyRegions
from fice_core.models import load_network
from fice_core.registration import Alignment
from fice_core.settings import MaskSettings

SIZE = (160, 200)
TRUTH = Alignment(SIZE, (200, 230), (1.04, 1.03), 1.0, (5.5, -3.25))


def levels(bits: int, seed: int = 0) -> torch.Tensor:
    """A photo whose values are levels of a file with so many bits."""
    highest = 2**bits - 1
    return (textured(*SIZE, seed=seed) * highest).round() / highest


@pytest.mark.parametrize("stitch", ["mask", "pyramid", "gradient"])
@pytest.mark.parametrize("bits", [8, 16])
def test_outside_the_mask_it_is_the_photo_bit_for_bit(stitch: str, bits: int) -> None:
    photo, mask = levels(bits), box_mask(*SIZE)
    edited = 0.9 * seen_by(recoloured(photo, mask), TRUTH) + 0.05
    found = restore(photo, edited, mask, RestoreSettings(stitch=stitch, match_grain=False))  # type: ignore[arg-type]
    outside = (mask == 0).expand_as(photo)
    assert torch.equal(found.image[outside], photo[outside])
    assert torch.equal(found.mask > 0, (found.mask > 0) & (mask > 0))
    core = found.mask[0] == 1
    wanted = recoloured(photo, mask)
    assert (found.image - wanted)[:, core].abs().mean() < 0.03  # shift, zoom and tone are undone
    assert (photo - wanted)[:, core].abs().mean() > 0.1


@settings(max_examples=5)
@given(seed=st.integers(0, 100), shift=st.floats(-6, 6), zoom=st.floats(0.95, 1.05))
def test_a_found_mask_covers_the_change_and_little_else(
    seed: int, shift: float, zoom: float
) -> None:
    photo, mask = levels(8, seed), box_mask(*SIZE)
    truth = Alignment(SIZE, SIZE, (zoom, zoom), 0.0, (shift, 2.0))
    found = restore(photo, seen_by(recoloured(photo, mask), truth))
    outside = (found.mask == 0).expand_as(photo)
    assert torch.equal(found.image[outside], photo[outside])
    inside = found.mask > 0.5
    assert (inside & (mask > 0)).sum() > 0.9 * mask.sum()
    assert (inside & (mask == 0)).sum() < 0.5 * mask.sum()


def test_an_edit_that_changed_nothing_gives_the_photo() -> None:
    photo = levels(8)
    found = restore(photo, seen_by(photo, TRUTH))
    assert torch.equal(found.image, photo)
    assert "nothing was taken" in found.warnings[0]


def test_the_seed_of_the_grain_decides_the_bytes() -> None:
    noise = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(1))
    photo, mask = (0.5 + 0.2 * textured(*SIZE) + 0.02 * noise).clamp(0, 1), box_mask(*SIZE)
    edited = recoloured(textured(*SIZE) * 0.2 + 0.5, mask)
    first, again, other = (
        restore(photo, edited, mask, RestoreSettings(seed=seed)).image for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def refusal(photo: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor | None = None) -> str:
    with pytest.raises(FiceError) as error:
        restore(photo, edited, mask)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_refusals() -> None:
    photo, mask = levels(8), box_mask(*SIZE)
    assert "do not match" in refusal(photo, levels(8, seed=1))
    assert "do not match" in refusal(photo, levels(8, seed=1), mask)
    assert "do not match" in refusal(photo, photo[:, :80, :100])  # a crop
    assert "empty" in refusal(photo, photo, torch.zeros_like(mask))
    assert "whole photo" in refusal(photo, photo, torch.ones_like(mask))
    assert "pixels" in refusal(photo, photo[:, :20])
    with pytest.raises(ValueError, match="mask"):
        restore(photo, photo, mask[:, 1:])
    with pytest.raises(FiceError, match="stitch"):
        RestoreSettings(stitch="head")
    with pytest.raises(FiceError, match="least_confidence"):
        RestoreSettings(least_confidence=2)


def test_what_the_edit_does_not_show_stays_the_photos() -> None:
    photo, mask = levels(8), torch.zeros(1, *SIZE)
    mask[:, 60:100, 150:] = 1  # to the right border, of which 20 columns are gone
    truth = Alignment(SIZE, SIZE, shift=(20.0, 0.0))
    found = restore(photo, seen_by(recoloured(photo, mask), truth), mask)
    assert torch.equal(found.image[..., -20:], photo[..., -20:])
    assert "beyond what the edit shows" in found.warnings[-1]


@given(seed=st.integers(0, 50), feather=st.floats(0, 0.2))
@settings(max_examples=20)
def test_a_softened_mask_stays_within_the_mask(seed: int, feather: float) -> None:
    mask = (textured(40, 50, seed)[:1] > 0.55).float()
    soft = softened(mask, feather)
    assert ((soft >= 0) & (soft <= mask)).all()
    if feather == 0:
        assert torch.equal(soft, mask)


def test_a_softened_edge_by_hand() -> None:
    """Height 100, feather 0.04: the border falls over 4 pixels inside the mask."""
    mask = torch.zeros(1, 100, 100)
    mask[:, 20:80, 20:80] = 1
    soft = softened(mask, 0.04)[0, 50]
    assert soft[19] == 0
    assert 0 < soft[20] < soft[22] < 1
    assert (soft[25:75] == 1).all()


def test_the_garment_of_a_parser_joins_and_the_head_stays() -> None:
    photo, mask = levels(8), box_mask(*SIZE)
    edited = recoloured(photo, mask)
    empty = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    torso, head = empty.clone(), empty.clone()
    torso[..., 110:130, 70:130] = True  # shows no change
    head[..., 40:70, :] = True
    body = BodyRegions(torso, empty, empty, head)
    alone = Alignment(SIZE, SIZE)
    without, joined = (
        find_mask(photo, edited, alone, MaskSettings(), each) for each in (None, body)
    )
    assert without is not None
    assert joined is not None
    assert without[0, 120, 100] == 0
    assert joined[0, 120, 100] == 1
    assert without[0, 60, 100] == 1
    assert joined[0, 55, 100] == 0


def test_networks_see_the_whole_photo() -> None:
    networks = [load_network("demo", kind) for kind in ("densepose", "segmenter")]
    found = body_regions(networks[0], networks[1], textured(60, 80))
    assert {tuple(part.shape) for part in found[:4]} == {(1, 1, 60, 80)}
