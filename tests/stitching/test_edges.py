"""The edit mask at the photo's scale: soft from the generator's mask, or along the photo's edges."""

import torch

from fice_core.extraction.anatomy import BodyRegions
from fice_core.framing import Frame
from fice_core.masks.garment import feathered_mask
from fice_core.settings import MaskSettings
from fice_core.stitching.edges import edit_mask_at_photo_scale

SIDE = 32
SETTINGS = MaskSettings(mask_dilation=0.0, mask_feather=0.0)


def person() -> tuple[torch.Tensor, BodyRegions]:
    """A garment of 16 x 16 pixels, and a head above it that is never edited."""
    garment = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    garment[..., 12:28, 8:24] = True
    nothing = torch.zeros_like(garment)
    head = nothing.clone()
    head[..., 4:12, 12:20] = True
    return garment, BodyRegions(torso=garment, arms=nothing, legs=nothing, protected=head)


def photo_with_garment(scale: int, shift: int) -> torch.Tensor:
    """A photo of `scale` times the size whose garment lies `shift` photo pixels to the right."""
    garment, _ = person()
    large = garment.float().repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    return large.roll(shift, dims=3).expand(-1, 3, -1, -1) * 0.8 + 0.1


def test_at_the_generators_scale_the_mask_is_the_feathered_one() -> None:
    garment, body = person()
    frame = Frame.around((SIDE, SIDE), (SIDE, SIDE))
    photo = photo_with_garment(1, 0)
    found = edit_mask_at_photo_scale(frame, photo, photo, garment, body, SETTINGS)
    assert torch.equal(found, feathered_mask(garment, body, SETTINGS))
    assert torch.equal(found, garment.float())


def test_in_a_larger_photo_the_border_follows_its_edges() -> None:
    """The garment of photo and generated image lies a quarter of a mask pixel beside the mask."""
    garment, body = person()
    frame = Frame.around((8 * SIDE, 8 * SIDE), (SIDE, SIDE))
    photo = photo_with_garment(8, 2)
    rows = slice(8 * 14, 8 * 26)  # away from corners and head
    truth = (photo[:, :1] > 0.5)[..., rows, :]
    sharp = edit_mask_at_photo_scale(frame, photo, photo, garment, body, SETTINGS)
    assert sharp.shape == (1, 1, 8 * SIDE, 8 * SIDE)
    assert torch.equal((sharp > 0.5)[..., rows, :], truth)
    interpolated = frame.unfit(feathered_mask(garment, body, SETTINGS))
    assert not torch.equal((interpolated > 0.5)[..., rows, :], truth)
    blunt = MaskSettings(mask_dilation=0.0, mask_feather=0.0, sharp_mask=False)
    found = edit_mask_at_photo_scale(frame, photo, photo, garment, body, blunt)
    assert torch.equal(found, interpolated)


def test_protected_parts_stay_at_any_scale() -> None:
    garment, body = person()
    wide = MaskSettings(mask_dilation=0.1, mask_feather=0.1)
    for scale in (1, 4):
        frame = Frame.around((scale * SIDE, scale * SIDE), (SIDE, SIDE))
        photo = photo_with_garment(scale, 0)
        found = edit_mask_at_photo_scale(frame, photo, photo, garment, body, wide)
        head = body.protected.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        inside = head[..., : -2 * scale, :]  # the border to the garment may be moved by the edges
        assert found[..., : -2 * scale, :][inside].max() < 1
        assert found[..., 4 * scale : 9 * scale, 13 * scale : 19 * scale].max() == 0
